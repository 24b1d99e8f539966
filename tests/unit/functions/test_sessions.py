"""A mobile node says which prefixes its sessions use, at once and until it is heard."""

from __future__ import annotations

import math
from ipaddress import IPv6Address, IPv6Network
from random import Random
from typing import Any

from dmm_agent.config import AgentConfig, MobileNodePolicy
from dmm_agent.config import MobileNode as AccessPolicy
from dmm_agent.functions.effects import (
    ACCESS_ROUTER_LINK_LOCAL,
    CancelTimer,
    KeepAddress,
    SendOnLink,
    SetTimer,
)
from dmm_agent.functions.events import (
    Addressed,
    Event,
    HeardOnLink,
    LinkUp,
    OwnAddress,
    PrefixesAdvertised,
    SocketsInUse,
    TimerFired,
)
from dmm_agent.functions.node import build_node
from dmm_agent.functions.sessions import Sessions
from dmm_agent.simulator.plan import make_plan
from dmm_agent.wire import (
    Heartbeat,
    HeartbeatFlag,
    HomeNetworkPrefix,
    Message,
    ReportStatus,
    SessionReport,
    SessionReportAcknowledgement,
)

HNP1, HNP3 = IPv6Network("2001:db8:1:8100::/64"), IPv6Network("2001:db8:3:8100::/64")
PLAIN = IPv6Address("2001:db8:1:1::7")
CONFIG = AgentConfig(
    schema=1,
    host="mn11",
    network="net1",
    radio="radio0",
    directory=make_plan(3, 1, 1).directory,
    functions={"sessions": {"report_interval_s": 3}},
)


class MobileNode:
    """The function on a node whose clock stands at 1000 s."""

    def __init__(self, config: AgentConfig = CONFIG) -> None:
        self.node = build_node(config, Random(1), {"sessions": Sessions})
        self.timers: dict[Any, float] = {}
        self.now = 1000.0

    def handle(self, *events: Event) -> list[SessionReport]:
        """The reports that go out."""
        said: list[SessionReport] = []
        for event in events:
            for effect in self.node.handle(event, self.now):
                match effect:
                    case SendOnLink("radio0", to, SessionReport() as report):
                        assert to == ACCESS_ROUTER_LINK_LOCAL
                        said.append(report)
                    case SetTimer(_, key, at_s):
                        self.timers[key] = at_s
                    case CancelTimer(_, key):
                        self.timers.pop(key, None)
                    case _:
                        pass
        return said

    def fire(self, key: Any) -> list[SessionReport]:
        self.now = self.timers.pop(key)
        return self.handle(TimerFired("sessions", key))

    def answer(
        self,
        to: SessionReport,
        status: ReportStatus = ReportStatus.ACCEPTED,
        source: IPv6Address = ACCESS_ROUTER_LINK_LOCAL,
    ) -> None:
        self.hear(SessionReportAcknowledgement(status, to.sequence), source)

    def hear(self, message: Message, source: IPv6Address = ACCESS_ROUTER_LINK_LOCAL) -> None:
        assert self.handle(HeardOnLink("radio0", "", source, message)) == []

    def is_asking(self) -> bool:
        return ("request", "report") in self.timers


def addressed(*addresses: IPv6Address) -> Addressed:
    return Addressed(tuple(OwnAddress(a, math.inf, math.inf) for a in addresses))


def in_use(*addresses: IPv6Address) -> SocketsInUse:
    return SocketsInUse(frozenset(addresses))


def prefixes(report: SessionReport) -> list[IPv6Network]:
    return [option.prefix for option in report.every(HomeNetworkPrefix)]


def with_session() -> MobileNode:
    """A node with a session of its first network, which the access router knows of."""
    mn = MobileNode()
    (report,) = mn.handle(addressed(HNP1[7]), in_use(HNP1[7]))
    mn.answer(report)
    return mn


def test_a_session_that_begins_is_reported_at_once() -> None:
    mn = MobileNode()
    assert mn.handle(addressed(HNP1[7])) == []

    (report,) = mn.handle(in_use(HNP1[7]))

    assert prefixes(report) == [HNP1]
    assert report.lifetime_s == 12


def test_a_new_link_is_told_at_once_and_even_that_there_is_nothing() -> None:
    mn = with_session()
    (report,) = mn.handle(LinkUp("radio0"))
    assert prefixes(report) == [HNP1]
    mn.answer(report)

    (empty,) = MobileNode().handle(LinkUp("radio0"))
    assert prefixes(empty) == []


def test_sessions_of_several_prefixes_are_one_report() -> None:
    mn = with_session()

    (report,) = mn.handle(addressed(HNP1[7], HNP3[7]), in_use(HNP3[7], HNP1[7], HNP1[8]))

    assert prefixes(report) == [HNP1, HNP3]


def test_only_the_nodes_own_mobile_addresses_count() -> None:
    mn = MobileNode()

    assert mn.handle(addressed(PLAIN), in_use(PLAIN, HNP3[7])) == []


def test_an_address_that_has_ended_takes_its_sessions_with_it() -> None:
    mn = with_session()

    (report,) = mn.handle(addressed())

    assert prefixes(report) == []


def test_nothing_new_is_not_reported() -> None:
    mn = with_session()

    assert mn.handle(in_use(HNP1[7]), in_use(HNP1[7], HNP1[8]), addressed(HNP1[7])) == []


def test_a_report_is_repeated_with_its_number_until_it_is_acknowledged() -> None:
    mn = MobileNode()
    (first,) = mn.handle(addressed(HNP1[7]), in_use(HNP1[7]))

    assert mn.fire(("request", "report")) == [first]
    assert mn.fire(("request", "report")) == [first]
    mn.answer(first)

    assert not mn.is_asking()


def test_repeating_ends_though_nobody_answers() -> None:
    mn = MobileNode()
    mn.handle(LinkUp("radio0"))
    copies = 1
    while mn.is_asking():
        copies += len(mn.fire(("request", "report")))

    assert copies == 8


def test_it_is_refreshed_with_a_new_number_while_sessions_last() -> None:
    mn = with_session()
    before = mn.now

    (refresh,) = mn.fire("refresh")

    assert mn.now == before + 3
    assert prefixes(refresh) == [HNP1]
    (ended,) = mn.handle(in_use())
    assert ended.sequence == (refresh.sequence + 1) % 0x10000
    assert prefixes(ended) == []
    assert "refresh" not in mn.timers, "a node without sessions is quiet"


def test_acknowledgements_of_others_or_of_older_reports_do_not_count() -> None:
    mn = MobileNode()
    (first,) = mn.handle(addressed(HNP1[7]), in_use(HNP1[7]))
    (second,) = mn.handle(LinkUp("radio0"))

    mn.answer(first)
    mn.answer(second, source=IPv6Address("fe80::1"))
    mn.hear(Heartbeat(second.sequence, HeartbeatFlag(0)))

    assert mn.is_asking()


def test_a_router_that_does_not_know_the_node_yet_is_told_again_when_it_has_been_heard() -> None:
    mn = MobileNode()
    (report,) = mn.handle(addressed(HNP1[7]), in_use(HNP1[7]))
    mn.answer(report, ReportStatus.NOT_ATTACHED)
    mn.fire(("request", "report"))

    assert mn.handle(addressed(HNP1[7])) == [report]


def test_a_router_that_takes_no_more_is_left_alone_until_there_is_something_new() -> None:
    mn = MobileNode()
    (report,) = mn.handle(addressed(HNP1[7]), in_use(HNP1[7]))

    mn.answer(report, ReportStatus.TOO_MANY)

    assert not mn.is_asking()
    (row,) = mn.node.snapshot(mn.now)["sessions"]
    assert row["acknowledged"] is False


def test_a_node_that_mobility_is_declined_to_says_nothing() -> None:
    declined = AccessPolicy(id="mn11", link_layer="02:00:00:00:01:01", mobility="declined")
    policy = MobileNodePolicy(nodes=(declined,))
    mn = MobileNode(CONFIG.model_copy(update={"mobile_nodes": policy}))

    assert mn.handle(LinkUp("radio0"), addressed(HNP1[7]), in_use(HNP1[7])) == []


def test_an_agent_that_starts_anew_is_newer_than_what_it_said_before() -> None:
    before = with_session()
    (last,) = before.handle(LinkUp("radio0"))
    restarted = MobileNode()
    restarted.now = before.now + 1

    (first,) = restarted.handle(LinkUp("radio0"))

    assert 0 < (first.sequence - last.sequence) % 0x10000 < 0x8000


def deprecated(*addresses: IPv6Address, at: float) -> Addressed:
    return Addressed(tuple(OwnAddress(a, at, math.inf) for a in addresses))


def test_an_address_is_kept_a_while_for_sockets_that_can_do_without() -> None:
    mn = MobileNode()
    mn.handle(addressed(HNP1[7]))
    (report,) = mn.handle(SocketsInUse(frozenset(), replaceable=frozenset({HNP1[7]})))
    assert prefixes(report) == [HNP1]
    assert "replaced" not in mn.timers

    mn.now = 2000.0
    assert mn.handle(deprecated(HNP1[7], at=2000.0)) == []
    mn.now = 2020.0
    assert mn.handle(deprecated(HNP1[7], at=2020.0)) == [], "a router says it again"
    assert mn.timers["replaced"] == 2030.0

    (ended,) = mn.fire("replaced")
    assert prefixes(ended) == []
    assert mn.node.snapshot(mn.now)["sessions"] == []


def test_an_address_that_is_preferred_again_is_kept_on() -> None:
    mn = MobileNode()
    mn.handle(SocketsInUse(frozenset(), replaceable=frozenset({HNP1[7]})))
    mn.handle(deprecated(HNP1[7], at=1000.0))
    mn.now = 1010.0
    mn.handle(addressed(HNP1[7]))
    assert "replaced" not in mn.timers

    mn.now = 1050.0
    mn.handle(deprecated(HNP1[7], at=1050.0))
    assert mn.timers["replaced"] == 1080.0


def test_an_address_that_will_be_deprecated_is_kept_from_then_on() -> None:
    mn = MobileNode()
    mn.handle(SocketsInUse(frozenset(), replaceable=frozenset({HNP1[7]})))
    mn.handle(deprecated(HNP1[7], at=5000.0))
    assert mn.timers["replaced"] == 5030.0


def test_another_socket_that_lasts_keeps_its_address() -> None:
    mn = MobileNode()
    mn.handle(SocketsInUse(frozenset({HNP1[7]}), replaceable=frozenset({HNP1[7]})))
    mn.handle(deprecated(HNP1[7], at=1000.0))

    assert mn.fire("replaced") == []
    (row,) = mn.node.snapshot(mn.now)["sessions"]
    assert row["hnp"] == str(HNP1)


def test_what_is_reported_can_be_looked_at() -> None:
    assert with_session().node.snapshot(0.0)["sessions"] == [
        {"hnp": str(HNP1), "addresses": [str(HNP1[7])], "acknowledged": True}
    ]


class TestNewSessions:
    """Theirs is the prefix of the network where the node is, which the others make room for."""

    def deprecated(self, *own: OwnAddress, advertised: IPv6Network = HNP3) -> list[KeepAddress]:
        """What a router advertisement changes at a node with these addresses."""
        mn = MobileNode()
        mn.handle(Addressed(own))
        heard = PrefixesAdvertised("radio0", frozenset({advertised}))
        effects = mn.node.handle(heard, mn.now)
        return [effect for effect in effects if isinstance(effect, KeepAddress)]

    def test_an_older_address_is_deprecated_and_stays_for_as_long_as_it_was_leased(self) -> None:
        older = OwnAddress(HNP1[7], preferred_until=1010.0, valid_until=5000.0)
        present = OwnAddress(HNP3[7], preferred_until=1010.0, valid_until=5000.0)
        assert self.deprecated(older, present) == [KeepAddress("radio0", HNP1[7], 4000.0)]

    def test_one_that_is_deprecated_is_left_alone(self) -> None:
        assert self.deprecated(OwnAddress(HNP1[7], 999.0, 5000.0)) == []

    def test_so_is_one_that_no_mobile_network_gave(self) -> None:
        assert self.deprecated(OwnAddress(PLAIN, 1010.0, 5000.0)) == []

    def test_and_all_when_a_router_has_nothing_better(self) -> None:
        mn = MobileNode()
        mn.handle(addressed(HNP1[7]))
        heard = PrefixesAdvertised("radio0", frozenset())
        assert mn.node.handle(heard, mn.now) == []
