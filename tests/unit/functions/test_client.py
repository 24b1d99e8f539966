"""The client of the functions: a mobile node that sees to its own mobility (RFC 6275, 11)."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from steps import MN1, NOW, PLAN, address, all_of, recorded

from dmm_agent.config import MobileNode, MobileNodePolicy
from dmm_agent.functions.base import Context
from dmm_agent.functions.client import Client, ClientOptions
from dmm_agent.functions.effects import (
    DropAddress,
    Effect,
    Install,
    KeepAddress,
    Remove,
    Send,
    SetTimer,
    VisitorRoute,
)
from dmm_agent.functions.events import (
    Addressed,
    OwnAddress,
    PrefixesAdvertised,
    Received,
    SocketsInUse,
    TimerFired,
)
from dmm_agent.wire import (
    AlternateCareOfAddress,
    BindingAckFlag,
    BindingAcknowledgement,
    BindingError,
    BindingErrorStatus,
    BindingRefreshAdvice,
    BindingRefreshRequest,
    BindingUpdate,
    BindingUpdateFlag,
    MobileNodeIdentifier,
)

if TYPE_CHECKING:
    from dmm_agent.functions.events import Event

LINK1, LINK2, LINK3 = (IPv6Network(f"2001:db8:{n}:4100::/64") for n in (1, 2, 3))
HOME, SECOND, THIRD = (p.network_address + 0xFF_FE00_0101 for p in (LINK1, LINK2, LINK3))
LM1, LM2 = address("gw1"), address("gw2")
NO_FLAGS = BindingAckFlag(0)


class Node:
    """A mobile node with a client, a kernel that keeps addresses, and a clock."""

    def __init__(self, policy: MobileNode = PLAN.mobile_nodes.nodes[0], **options: Any) -> None:
        context = Context(
            host="mn1",
            network="net1",
            address=IPv6Address("::"),
            radio="radio0",
            access_links=(),
            home_block=None,
            directory=PLAN.config(PLAN.routers["gw1"], {}).directory,
            mobile_nodes=MobileNodePolicy(nodes=(policy,)),
            random=Random(1),
            beside={},
        )
        self.client = Client(context, ClientOptions(**{"authentication": "none"} | options))
        self.now = NOW
        self.valid: dict[IPv6Address, float] = {}
        self.preferred: set[IPv6Address] = set()

    def __call__(self, event: Event, after_s: float = 0.0) -> list[Effect]:
        """Let time pass, then give it an event; addresses follow its effects."""
        self.now += after_s
        effects = list(self.client.handle(event, self.now))
        changed = False
        for effect in effects:
            if isinstance(effect, KeepAddress):
                self.valid[effect.address] = self.now + effect.valid_s
                self.preferred.discard(effect.address)
                changed = True
            elif isinstance(effect, DropAddress):
                self.valid.pop(effect.address, None)
                changed = True
        return effects + (self(self.addressed()) if changed else [])

    def addressed(self) -> Addressed:
        return Addressed(
            tuple(
                OwnAddress(a, end if a in self.preferred else 0.0, end)
                for a, end in sorted(self.valid.items())
            )
        )

    def attach(self, link: IPv6Network, after_s: float = 0.0) -> list[Effect]:
        """A router advertisement on a link, and the address that is made of it."""
        effects = self(PrefixesAdvertised("radio0", frozenset({link})), after_s)
        own = link.network_address + 0xFF_FE00_0101
        self.valid[own] = self.now + 86400
        self.preferred.add(own)
        return effects + self(self.addressed())

    def use(self, *addresses: IPv6Address) -> list[Effect]:
        return self(SocketsInUse(frozenset(addresses)))

    def answer(
        self,
        update: BindingUpdate,
        status: int = 0,
        lifetime_s: int | None = None,
        *,
        home: IPv6Address = HOME,
        source: IPv6Address = LM1,
        sequence: int | None = None,
        advice_s: int | None = None,
        flags: BindingAckFlag = NO_FLAGS,
        after_s: float = 0.0,
    ) -> list[Effect]:
        """A home agent answers an update."""
        granted = update.lifetime_s if status < 128 else 0
        answer = BindingAcknowledgement(
            status,
            flags,
            update.sequence if sequence is None else sequence,
            granted if lifetime_s is None else lifetime_s,
            () if advice_s is None else (BindingRefreshAdvice(advice_s),),
        )
        return self(Received(source, answer, home), after_s)

    def fire(self, timer: SetTimer) -> list[Effect]:
        self.now = max(self.now, timer.at_s)
        return self(TimerFired(timer.owner, timer.key))

    def rows(self) -> list[dict[str, Any]]:
        return self.client.snapshot(self.now)["bindings"]


def asked(effects: list[Effect]) -> BindingUpdate:
    (sent,) = all_of(effects, Send)
    assert isinstance(sent.message, BindingUpdate)
    return sent.message


def timer(effects: list[Effect], what: str) -> SetTimer:
    """The last timer of a kind that was set."""
    found = [t for t in all_of(effects, SetTimer) if t.key == (what, HOME)]
    return found[-1]


def away(node: Node) -> list[Effect]:
    """A session begins at home, and the node moves."""
    node.attach(LINK1)
    node.use(HOME)
    return node.attach(LINK3)


def registered(node: Node, **answer: Any) -> list[Effect]:
    return node.answer(asked(away(node)), **answer)


@pytest.fixture
def node() -> Node:
    return Node()


def test_a_node_that_stays_says_nothing(node: Node) -> None:
    node.attach(LINK1)
    assert all_of(node.use(HOME), Send) == []
    assert node.rows() == []


def test_a_node_that_moves_without_sessions_says_nothing(node: Node) -> None:
    node.attach(LINK1)
    effects = node.attach(LINK3)
    assert all_of(effects, Send) == []
    assert HOME not in node.preferred, "new sessions take the present network's address"
    assert node.rows() == []


def test_a_session_makes_the_address_a_home_address(node: Node) -> None:
    effects = away(node)
    (sent,) = all_of(effects, Send)
    assert (sent.destination, sent.source, sent.home_source) == (LM1, THIRD, HOME)
    update = asked(effects)
    assert update.flags == BindingUpdateFlag.ACKNOWLEDGE | BindingUpdateFlag.HOME_REGISTRATION
    assert update.lifetime_s == 60
    assert update.options == (MobileNodeIdentifier.nai(MN1), AlternateCareOfAddress(THIRD))
    assert all_of(effects, Install) == [], "nobody has agreed to carry its packets"


def test_an_address_that_comes_before_its_prefix_is_heard_of_is_left_alone(node: Node) -> None:
    node.attach(LINK1)
    node.use(HOME)
    node.valid[THIRD] = node.now + 86400
    node.preferred.add(THIRD)
    node(node.addressed())
    assert THIRD in node.preferred
    effects = node(PrefixesAdvertised("radio0", frozenset({LINK3})))
    assert all_of(effects, Send)[0].source == THIRD


def test_what_is_accepted_is_tunnelled_and_kept(node: Node) -> None:
    effects = registered(node, after_s=0.5)
    assert all_of(effects, Install) == [Install(VisitorRoute(IPv6Network(HOME), LM1, THIRD))]
    assert node.valid[HOME] == pytest.approx(node.now + 59.5), "counted from the update"
    assert HOME not in node.preferred


def test_a_move_is_told_and_the_tunnel_stays(node: Node) -> None:
    registered(node)
    effects = node.attach(LINK2)
    (sent,) = all_of(effects, Send)
    assert (sent.source, sent.home_source) == (SECOND, HOME)
    assert all_of(effects, Remove) == []


def test_the_way_home_is_taken_without_a_tunnel(node: Node) -> None:
    registered(node)
    effects = node.attach(LINK1)
    assert Remove(VisitorRoute(IPv6Network(HOME), LM1)) in effects
    (sent,) = all_of(effects, Send)
    assert (sent.source, sent.home_source) == (HOME, HOME)
    assert asked(effects).lifetime_s == 0
    node.answer(asked(effects))
    assert node.rows() == []


def test_the_end_of_the_last_session_is_told_from_elsewhere(node: Node) -> None:
    registered(node)
    effects = node.use()
    (sent,) = all_of(effects, Send)
    assert (sent.source, sent.home_source, asked(effects).lifetime_s) == (THIRD, HOME, 0)
    assert all_of(effects, Remove) == [], "packets still come through the tunnel"
    assert Remove(VisitorRoute(IPv6Network(HOME), LM1)) in node.answer(asked(effects))
    assert node.rows() == []


def test_a_home_agent_that_knows_no_binding_any_more_ends_it_as_well(node: Node) -> None:
    registered(node)
    node.answer(asked(node.use()), status=133)
    assert node.rows() == []


def test_a_session_that_begins_while_the_end_is_told_is_registered_again(node: Node) -> None:
    registered(node)
    node.use()
    assert asked(node.use(HOME)).lifetime_s == 60


def test_a_registration_is_renewed_as_the_home_agent_advises(node: Node) -> None:
    effects = registered(node, advice_s=12)
    refresh = timer(effects, "refresh")
    assert refresh.at_s == NOW + 12
    assert asked(node.fire(refresh)).lifetime_s == 60


@pytest.mark.parametrize("advice_s", [None, 0, 60])
def test_other_advice_is_ignored_and_half_the_lifetime_taken(
    node: Node, advice_s: int | None
) -> None:
    effects = registered(node, lifetime_s=40, advice_s=advice_s)
    assert timer(effects, "refresh").at_s == NOW + 20


def test_a_longer_lifetime_than_asked_for_is_not_believed(node: Node) -> None:
    effects = registered(node, lifetime_s=4000)
    assert timer(effects, "expiry").at_s == NOW + 60


def test_updates_are_repeated_with_growing_pauses_and_new_sequence_numbers(node: Node) -> None:
    effects = away(node)
    first = asked(effects)
    pauses, numbers, before = [], [], node.now
    for _ in range(4):
        again = timer(effects, "request")
        pauses.append(again.at_s - before)
        before = again.at_s
        effects = node.fire(again)
        numbers.append(asked(effects).sequence)
    assert pauses == [1.5, 3.0, 6.0, 12.0]
    assert numbers == [(first.sequence + n) % 65536 for n in (1, 2, 3, 4)]


def test_only_the_newest_update_is_answered(node: Node) -> None:
    first = asked(effects := away(node))
    node.fire(timer(effects, "request"))
    assert node.answer(first) == []


def test_nobody_but_the_home_agent_answers(node: Node) -> None:
    update = asked(away(node))
    assert node.answer(update, source=LM2) == []
    assert node.answer(update, home=THIRD) == []


def test_a_sequence_number_out_of_window_is_taken_over_at_once_but_once(node: Node) -> None:
    update = asked(away(node))
    effects = node.answer(update, status=135, sequence=65535)
    assert asked(effects).sequence == 0
    assert all_of(node.answer(asked(effects), status=135, sequence=65535), Send) == []


@pytest.mark.parametrize("status", [129, 131, 132, 133, 134, 174])
def test_a_refusal_for_good_ends_the_address_so_that_the_end_is_seen(
    node: Node, status: int
) -> None:
    effects = registered(node, status=status)
    assert DropAddress("radio0", HOME) in effects
    assert "registration_refused" in recorded(effects)
    assert node.rows() == []


@pytest.mark.parametrize("status", [128, 130])
def test_a_refusal_for_now_is_asked_again_later(node: Node, status: int) -> None:
    effects = away(node)
    assert node.answer(asked(effects), status=status) == []
    assert asked(node.fire(timer(effects, "request"))).lifetime_s == 60


def test_a_binding_that_cannot_be_renewed_ends_with_the_address(node: Node) -> None:
    effects = registered(node)
    ends = timer(effects, "expiry")
    assert ends.at_s == NOW + 60
    assert timer(node.fire(timer(effects, "refresh")), "request").at_s < ends.at_s
    effects = node.fire(ends)
    assert DropAddress("radio0", HOME) in effects
    assert Remove(VisitorRoute(IPv6Network(HOME), LM1)) in effects
    assert asked(effects).lifetime_s == 0, "the renewal may have been accepted all the same"
    assert timer(effects, "expiry").at_s == NOW + 30 + 60
    node.fire(timer(effects, "expiry"))
    assert node.rows() == []


def test_a_home_agent_that_never_answers_is_not_told_the_end_for_ever(node: Node) -> None:
    sent_at = node.now
    away(node)
    ends = timer(node.use(), "expiry")
    assert ends.at_s == sent_at + 60, "what it may have made of the first update is over then"
    node.fire(ends)
    assert node.rows() == []


@pytest.mark.parametrize(
    "news",
    [BindingError(BindingErrorStatus.UNKNOWN_BINDING, HOME), BindingRefreshRequest()],
)
def test_a_home_agent_can_ask_for_an_update(node: Node, news: Any) -> None:
    registered(node)
    assert asked(node(Received(LM1, news, HOME))).lifetime_s == 60
    assert node(Received(LM1, news, HOME)) == [], "one is on its way"


def test_strangers_cannot(node: Node) -> None:
    registered(node)
    news = BindingError(BindingErrorStatus.UNKNOWN_BINDING, HOME)
    assert node(Received(LM2, news, HOME)) == []


def test_many_home_addresses_have_a_home_agent_each(node: Node) -> None:
    registered(node)
    node.use(HOME, THIRD)
    effects = node.attach(LINK2)
    assert {(s.destination, s.home_source) for s in all_of(effects, Send)} == {
        (LM1, HOME),
        (address("gw3"), THIRD),
    }
    assert len(node.rows()) == 2


def test_nothing_is_sent_to_an_address_that_is_still_bound_elsewhere(node: Node) -> None:
    registered(node)
    node.use(HOME, THIRD)
    (home,) = all_of(node.attach(LINK1), Send)
    assert home.source == HOME, "only the de-registration"
    assert isinstance(home.message, BindingUpdate)
    (other,) = all_of(node.answer(home.message), Send)
    assert (other.source, other.home_source) == (HOME, THIRD)


def test_a_node_to_which_mobility_is_declined_says_nothing() -> None:
    policy = PLAN.mobile_nodes.nodes[0].model_copy(update={"mobility": "declined"})
    node = Node(policy)
    assert all_of(away(node), Send) == []


def test_prefixes_of_networks_that_see_to_it_themselves_are_left_alone(node: Node) -> None:
    pooled = IPv6Network("2001:db8:1:8100::/64")
    node.attach(pooled)
    own = pooled.network_address + 0xFF_FE00_0101
    node.use(own)
    assert all_of(node.attach(LINK3), Send) == []
    assert own in node.preferred
