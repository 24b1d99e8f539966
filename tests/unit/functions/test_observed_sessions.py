"""What a node brought along is registered while it is used (session_discovery: observed)."""

from __future__ import annotations

import pytest
from access_router import INTERVAL_S, LINK_LOCAL, Ar
from steps import (
    HNP1,
    HNP3,
    MN1,
    MN1_MAC,
    attached,
    message,
    one,
    prefixes,
    recorded,
    timer,
    updates,
)

from dmm_agent.functions.effects import Advertise, CancelTimer, Delivery, Effect, Remove
from dmm_agent.functions.events import Detached, Interception, ProbeAnswered, TimerFired, Used
from dmm_agent.functions.proxy_messages import ANY_PREFIX, node_of
from dmm_agent.wire import BindingUpdate, Handoff, HandoffIndicator

IDLE_S = 60
TICK = TimerFired("proxy", ("tick", "mn1"))


@pytest.fixture
def ar() -> Ar:
    """With a node that has brought HNP1 along and uses it."""
    ar = Ar()
    ar.attach()
    ar.bring(HNP1)
    return ar


def pass_time(ar: Ar, for_s: float, *, uses: bool = False) -> list[Effect]:
    """The node answers probes, and may use what it brought along; gives what came of it."""
    effects: list[Effect] = []
    until = ar.now + for_s
    while ar.now < until:
        if uses:
            ar(Used(HNP1))
        answered = ar(ProbeAnswered("mn1", MN1_MAC), after_s=min(INTERVAL_S, until - ar.now))
        for update in updates(answered):
            ar.lm_answers(update)
        effects += answered + ar(TICK)
    return effects


def ends(effects: list[Effect]) -> list[BindingUpdate]:
    return [update for update in updates(effects) if update.lifetime_s == 0]


def test_it_wants_to_hear_of_packets_from_and_to_such_prefixes(ar: Ar) -> None:
    assert Interception.BROUGHT_ALONG in ar.node.intercepts


def test_while_it_is_used_it_stays(ar: Ar) -> None:
    assert ends(pass_time(ar, 5 * IDLE_S, uses=True)) == []
    assert ar.served() == [str(HNP3), str(HNP1)]


def test_once_idle_it_is_given_up_although_the_node_is_there(ar: Ar) -> None:
    pass_time(ar, IDLE_S, uses=True)
    effects = pass_time(ar, IDLE_S)
    (update,) = ends(effects)
    assert (node_of(update), prefixes(update)) == (MN1, [HNP1])
    assert update.first(HandoffIndicator) == HandoffIndicator(Handoff.UNCHANGED)
    assert one(effects, Remove).route == Delivery(HNP1, "mn1", LINK_LOCAL)
    assert recorded(effects) == ["sessions_ended"]
    assert ar.served() == [str(HNP3)]


def test_it_wakes_up_when_that_is() -> None:
    ar = Ar(idle_s=INTERVAL_S + 2)
    ar.attach()
    ar.bring(HNP1)
    assert timer(ar(TICK, after_s=INTERVAL_S), "tick").at_s == ar.now + 2


def test_the_node_is_not_told_to_forget_it(ar: Ar) -> None:
    """Its lease goes on, and the node may want to use it again."""
    advertised = [e for e in pass_time(ar, IDLE_S) if isinstance(e, Advertise)]
    assert [p.prefix for p in advertised[-1].prefixes] == [HNP3]


def test_the_prefix_of_the_network_the_node_is_in_is_never_idle(ar: Ar) -> None:
    pass_time(ar, 5 * IDLE_S)
    assert ar.served() == [str(HNP3)]


def test_used_again_it_is_registered_again(ar: Ar) -> None:
    pass_time(ar, IDLE_S)
    update = message(ar.observe(HNP1), BindingUpdate)
    assert (prefixes(update), update.lifetime_s > 0) == ([HNP1], True)


def test_an_end_is_repeated_until_it_is_answered(ar: Ar) -> None:
    effects = pass_time(ar, IDLE_S)
    repeat = timer(effects, "request", ("end", MN1, HNP1))
    again = ar.fire(repeat)
    (update,) = ends(again)
    ar.lm_answers(update, lifetime_s=0)
    assert ar.fire(repeat) == []


def test_an_end_is_repeated_a_few_times(ar: Ar) -> None:
    effects = pass_time(ar, IDLE_S)
    copies = 0
    while ends(effects):
        copies += 1
        effects = ar.fire(timer(effects, "request", ("end", MN1, HNP1)))
    assert copies == 4


@pytest.mark.parametrize("how", ["used again", "solicits"])
def test_an_end_is_not_repeated_once_the_prefix_is_asked_for_again(ar: Ar, how: str) -> None:
    """The next copy would be newer than the registration, and end it."""
    repeat = timer(pass_time(ar, IDLE_S), "request", ("end", MN1, HNP1))
    effects = ar.observe(HNP1, after_s=0.1) if how == "used again" else ar(attached(), after_s=1)
    assert CancelTimer(repeat.owner, repeat.key) in effects
    assert ar.fire(repeat) == []


def test_a_node_that_leaves_takes_an_unheard_end_with_it(ar: Ar) -> None:
    repeat = timer(pass_time(ar, IDLE_S), "request", ("end", MN1, HNP1))
    (update,) = ends(ar(Detached("mn1"), after_s=0.1))
    assert prefixes(update) == [HNP1]
    assert update.first(HandoffIndicator) == HandoffIndicator(Handoff.UNKNOWN)
    assert ar.fire(repeat) == []


def test_what_the_lm_is_being_asked_for_is_not_given_up_meanwhile(ar: Ar) -> None:
    """The next copy of the question would register it again."""
    asked = updates(ar(attached(), after_s=IDLE_S / 2 - 1))
    assert [prefixes(update) for update in asked] == [[ANY_PREFIX], [HNP1]]
    for _ in range(2):
        assert ends(ar(TICK, after_s=14)) == []
    ar(ProbeAnswered("mn1", MN1_MAC))
    for update in asked:
        ar.lm_answers(update, *([HNP3] if prefixes(update) == [ANY_PREFIX] else []))
    assert [prefixes(update) for update in ends(ar(TICK, after_s=5))] == [[HNP1]]
    assert ar.served() == [str(HNP3)]
