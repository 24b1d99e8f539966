"""Whatever a peer sends, in whatever state: no function raises, and what it holds stays bounded.

Messages go over the wire, so these are all that a decoder can give. Half of them answer what the
function has asked, with something changed: those go deepest.
"""

from __future__ import annotations

import dataclasses
import math
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from steps import HNP1, HNP3, MN1, MN1_MAC, MN2, MN2_MAC, PLAN, Steps, address, attached

from dmm_agent import wire
from dmm_agent.functions.effects import Advertise, CancelTimer, Delivery, Install, Send, SetTimer
from dmm_agent.functions.events import (
    Detached,
    Intercepted,
    Observed,
    ProbeAnswered,
    Received,
    TimerFired,
)
from dmm_agent.functions.prefix import HNP_LENGTH
from dmm_agent.functions.proxy_messages import ANY_PREFIX, MAX_PREFIXES

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from dmm_agent.functions.effects import Effect
    from dmm_agent.functions.events import Event

U8, U16, U64 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 64))
SEQUENCES = st.integers(0, 3) | U16
LIFETIMES = st.sampled_from([0, 4, 60, 262140])
ROUTERS = st.sampled_from([router.address for router in PLAN.routers.values()])
ADDRESSES = ROUTERS | st.sampled_from(
    [HNP1[5], HNP3[5], IPv6Address("::"), IPv6Address("ff02::1"), IPv6Address("2001:db8:1:1::10")]
)
PREFIXES = st.sampled_from(
    [
        ANY_PREFIX,
        HNP1,
        HNP3,
        HNP1.supernet(1),
        HNP1.supernet(24),
        IPv6Network("2001:db8:1:8101::/64"),
        IPv6Network("2001:db8:1:8100::5/128"),
        IPv6Network("2001:db8:1:1::/64"),
        IPv6Network("2001:db8:1::/49"),
        IPv6Network("2001:db8:2:8100::/64"),
        IPv6Network("2001:db8:77::/64"),
        IPv6Network("ff00::/8"),
    ]
)
TIMES = st.sampled_from([0.0, 0.1, -0.1, -5.0, 5.0])
"""Seconds from now."""


def timestamp(now: float) -> st.SearchStrategy[wire.Option]:
    near = TIMES.map(lambda off_s: wire.Timestamp.at(now + off_s))
    return near | U64.map(wire.Timestamp)


def options(now: float) -> st.SearchStrategy[tuple[wire.Option, ...]]:
    """Those that the functions look at, in any number, and some that they do not."""
    identifiers = st.sampled_from([MN1, MN1, MN2, "", "x" * 250]).map(wire.MobileNodeIdentifier.nai)
    one = st.one_of(
        identifiers,
        st.binary(max_size=40).map(lambda octets: wire.MobileNodeIdentifier(2, octets)),
        PREFIXES.map(wire.HomeNetworkPrefix),
        U8.map(wire.HandoffIndicator),
        U8.map(wire.AccessTechnologyType),
        st.binary(max_size=60).map(wire.MobileNodeLinkLayerIdentifier),
        timestamp(now),
        ADDRESSES.map(wire.MagAddress),
        st.binary(max_size=40).map(lambda octets: wire.UnknownOption(200, octets)),
    )
    whole = st.tuples(
        identifiers,
        PREFIXES.map(wire.HomeNetworkPrefix),
        st.just(wire.HandoffIndicator(4)),
        st.just(wire.AccessTechnologyType(4)),
        timestamp(now),
    )
    some = st.lists(one, max_size=8).map(tuple)
    many = st.integers(0, 80).map(
        lambda n: tuple(wire.HomeNetworkPrefix(HNP1.supernet(16)) for _ in range(n))
    )
    parts = st.tuples(whole | st.just(()), some, st.just(()) | many)
    return parts.map(lambda found: tuple(option for part in found for option in part))


def flags(names: Any) -> st.SearchStrategy[Any]:
    return st.integers(0, int(sum(names))).map(lambda bits: names(bits & int(sum(names))))


def messages(now: float) -> st.SearchStrategy[wire.Message]:
    some = options(now)
    return st.one_of(
        st.builds(wire.BindingUpdate, SEQUENCES, flags(wire.BindingUpdateFlag), LIFETIMES, some),
        st.builds(
            wire.BindingAcknowledgement,
            U8,
            flags(wire.BindingAckFlag),
            SEQUENCES,
            LIFETIMES,
            some,
        ),
        st.builds(wire.LocationQuery, SEQUENCES, some),
        st.builds(wire.LocationAnswer, st.sampled_from(wire.AnswerStatus), SEQUENCES, U16, some),
        st.builds(
            wire.BindingRevocationIndication, U8, SEQUENCES, flags(wire.RevocationFlag), some
        ),
        st.builds(
            wire.BindingRevocationAcknowledgement, U8, SEQUENCES, flags(wire.RevocationFlag), some
        ),
        st.builds(
            wire.UpdateNotification, SEQUENCES, U16, flags(wire.UpdateNotificationFlag), some
        ),
        st.builds(wire.UpdateNotificationAcknowledgement, SEQUENCES, U8, some),
        st.builds(wire.BindingRefreshRequest, some),
        st.builds(wire.Heartbeat, U16, flags(wire.HeartbeatFlag), some),
        st.builds(wire.LocalizedRoutingInitiation, SEQUENCES, U16, some),
    )


def answer_to(asked: wire.Message) -> wire.Message | None:
    """What would be expected in answer to a message."""
    match asked:
        case wire.BindingUpdate():
            hnps = [
                HNP3 if o.prefix == ANY_PREFIX else o.prefix
                for o in asked.every(wire.HomeNetworkPrefix)
            ]
            named = [o for o in asked.options if not isinstance(o, wire.HomeNetworkPrefix)]
            given = (*named, *map(wire.HomeNetworkPrefix, hnps))
            return wire.BindingAcknowledgement(
                0, wire.BindingAckFlag.PROXY, asked.sequence, asked.lifetime_s, given
            )
        case wire.LocationQuery():
            where = wire.MagAddress(address("gw3"))
            given = (*asked.options, where)
            return wire.LocationAnswer(wire.AnswerStatus.AWAY, asked.sequence, 40, given)
        case wire.BindingRevocationIndication():
            return wire.BindingRevocationAcknowledgement(
                0, asked.sequence, asked.flags, asked.options
            )
        case wire.UpdateNotification():
            return wire.UpdateNotificationAcknowledgement(asked.sequence, 0)
    return None


def mixtures(one: Any, other: Any) -> Iterator[wire.Message]:
    """A message with each of its fields in turn from another one."""
    for field in dataclasses.fields(one):
        yield dataclasses.replace(one, **{field.name: getattr(other, field.name)})


class Peers(RuleBasedStateMachine):
    """A host with functions, and peers that send it whatever they like."""

    def __init__(self, host: str, functions: list[str]) -> None:
        super().__init__()
        self.steps = Steps(host, functions, allocator={"max_leases": 3})
        self.host = address(host)
        self.asked: list[Send] = []
        self.timers: dict[tuple[str, Hashable], SetTimer] = {}
        self.delivered: set[IPv6Network] = set()

    def give(self, event: Event) -> None:
        for effect in self.steps(event):
            self.look_at(effect)

    def look_at(self, effect: Effect) -> None:
        match effect:
            case Send(destination, message):
                octets = wire.encode(message, self.host, destination)
                assert wire.decode(octets) == message
                self.asked = [*self.asked[-5:], effect]
            case SetTimer(owner, key, at_s):
                assert math.isfinite(at_s)
                self.timers[owner, key] = effect
            case CancelTimer(owner, key):
                self.timers.pop((owner, key), None)
            case Install(Delivery(prefix)):
                assert prefix.prefixlen == HNP_LENGTH
                assert PLAN.directory.home_of(prefix) is not None
            case Advertise(prefixes=prefixes):
                assert len(prefixes) <= MAX_PREFIXES

    def over_the_wire(self, source: IPv6Address, message: wire.Message) -> None:
        try:
            octets = wire.encode(message, source, self.host)
        except wire.EncodeError:
            return  # longer than any message can be
        self.give(Received(source, wire.decode(octets)))

    @rule(source=ADDRESSES, data=st.data())
    def anything(self, source: IPv6Address, data: st.DataObject) -> None:
        self.over_the_wire(source, data.draw(messages(self.steps.now)))

    @precondition(lambda self: self.asked)
    @rule(which=st.integers(0, 5), data=st.data())
    def an_answer(self, which: int, data: st.DataObject) -> None:
        """As expected, or with one field or the options changed."""
        asked = self.asked[which % len(self.asked)]
        answer = answer_to(asked.message)
        if answer is None:
            return
        if data.draw(st.booleans(), "changed"):
            other = data.draw(messages(self.steps.now).filter(lambda m: type(m) is type(answer)))
            answer = data.draw(st.sampled_from(list(mixtures(answer, other))), "mixture")
        self.over_the_wire(asked.destination, answer)

    @precondition(lambda self: self.timers)
    @rule(which=st.integers(0, 30))
    def a_timer(self, which: int) -> None:
        due = sorted(self.timers.values(), key=lambda t: t.at_s)[which % len(self.timers)]
        self.fire(due)

    def fire(self, due: SetTimer) -> None:
        del self.timers[due.owner, due.key]
        self.steps.now = max(self.steps.now, due.at_s)
        self.give(TimerFired(due.owner, due.key))

    @rule(for_s=st.sampled_from([0.01, 1.0, 30.0, 500.0]))
    def time(self, for_s: float) -> None:
        self.steps.now += for_s

    def end(self) -> None:
        """Nothing that peers said stays for ever."""
        until = self.steps.now + 10_000
        while self.timers:
            due = min(self.timers.values(), key=lambda t: t.at_s)
            assert due.at_s <= until, "everything has an end"
            self.fire(due)
        tables = self.steps.node.snapshot(self.steps.now)
        assert {table: rows for table, rows in tables.items() if rows} == {}

    def teardown(self) -> None:
        self.end()


class Gateway(Peers):
    """Allocator, location manager and mobility router in one host."""

    def __init__(self) -> None:
        super().__init__("gw1", ["allocator", "lm", "mr"])

    @rule(sender=ROUTERS, prefix=PREFIXES, mn_id=st.sampled_from([MN1, MN2]), lifetime_s=LIFETIMES)
    def an_update(
        self, sender: IPv6Address, prefix: IPv6Network, mn_id: str, lifetime_s: int
    ) -> None:
        update = self.steps.update(prefix, mn_id=mn_id, lifetime_s=lifetime_s, after_s=0.01)
        self.over_the_wire(sender, update)

    @rule(source=ADDRESSES, destination=ADDRESSES)
    def a_packet(self, source: IPv6Address, destination: IPv6Address) -> None:
        self.give(Intercepted(source, destination))


class AccessRouter(Peers):
    """A proxy."""

    LINKS = st.sampled_from(["mn1", "mn2"])
    MACS = st.sampled_from([MN1_MAC, MN2_MAC, "02:00:00:00:00:99"])

    def __init__(self) -> None:
        super().__init__("ar31", ["proxy"])

    @rule(link=LINKS, mac=MACS, solicited=st.booleans())
    def a_node(self, link: str, mac: str, *, solicited: bool) -> None:
        self.give(attached(mac, link, solicited=solicited))

    @rule(link=LINKS)
    def a_link_down(self, link: str) -> None:
        self.give(Detached(link))

    @rule(link=LINKS, mac=MACS, source=ADDRESSES)
    def a_strange_packet(self, link: str, mac: str, source: IPv6Address) -> None:
        self.give(Observed(link, mac, source))

    @rule(link=LINKS, mac=MACS)
    def a_sign_of_life(self, link: str, mac: str) -> None:
        self.give(ProbeAnswered(link, mac))

    def teardown(self) -> None:
        for link in ("mn1", "mn2"):
            self.give(Detached(link))
        self.timers = {k: t for k, t in self.timers.items() if k[1] not in TICKS}
        self.end()


TICKS = (("tick", "mn1"), ("tick", "mn2"))
"""A proxy looks after a link for ever whose carrier is up."""

TestGateway = Gateway.TestCase
TestAccessRouter = AccessRouter.TestCase
TestGateway.settings = TestAccessRouter.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None
)
