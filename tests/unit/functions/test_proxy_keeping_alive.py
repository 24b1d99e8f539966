"""An access router keeps alive what it serves for a node, and only while the node is there."""

from __future__ import annotations

import pytest
from access_router import INTERVAL_S, LIFETIME_S, LINK_LOCAL, Ar
from steps import (
    HNP1,
    HNP3,
    MN1_MAC,
    MN2_MAC,
    NOW,
    all_of,
    attached,
    message,
    one,
    prefixes,
    recorded,
    sent,
    timer,
    updates,
)

from dmm_agent.functions.effects import (
    Advertise,
    Delivery,
    Effect,
    Probe,
    Remove,
    SetTimer,
)
from dmm_agent.functions.events import ProbeAnswered
from dmm_agent.functions.proxy_messages import ANY_PREFIX
from dmm_agent.functions.session_discovery import ALL_NODES
from dmm_agent.wire import (
    BindingUpdate,
    Handoff,
    HandoffIndicator,
)


@pytest.fixture
def ar() -> Ar:
    return Ar()


TICK = SetTimer("proxy", ("tick", "mn1"), NOW + INTERVAL_S)
"""The first time it wakes up for a node that came at the start."""


def test_it_advertises_and_probes_again_and_again(ar: Ar) -> None:
    ar.attach()
    effects: list[Effect] = [TICK]
    for times in range(1, 3):
        effects = ar.fire(timer(effects, "tick", "mn1"))
        assert ar.now == NOW + times * INTERVAL_S
        assert one(effects, Probe) == Probe("mn1", LINK_LOCAL)
        assert one(effects, Advertise).prefixes[0].prefix == HNP3


def test_a_registration_is_refreshed_only_once_the_node_has_answered(ar: Ar) -> None:
    """A node that has gone must not be kept alive by its access router."""
    ar.attach()
    ar.now += LIFETIME_S / 2
    assert sent(ar(ProbeAnswered("mn1", MN1_MAC))) == [("BindingUpdate", "gw3")]


def test_before_its_time_no_answer_makes_a_refresh(ar: Ar) -> None:
    ar.attach()
    assert sent(ar(ProbeAnswered("mn1", MN1_MAC), after_s=LIFETIME_S / 2 - 1)) == []


def test_a_refresh_says_that_nothing_changed(ar: Ar) -> None:
    ar.attach(HNP3, HNP1)
    update = message(ar(ProbeAnswered("mn1", MN1_MAC), after_s=31), BindingUpdate)
    assert update.first(HandoffIndicator) == HandoffIndicator(Handoff.UNCHANGED)
    assert prefixes(update) == [HNP3, HNP1]
    assert sent(ar(ProbeAnswered("mn1", MN1_MAC), after_s=0.5)) == [], "once"


def test_another_nodes_answer_refreshes_nothing(ar: Ar) -> None:
    ar.attach()
    assert sent(ar(ProbeAnswered("mn1", MN2_MAC), after_s=31)) == []


def test_a_silent_node_is_given_up_after_three_probes(ar: Ar) -> None:
    ar.attach()
    ar.bring()
    effects: list[Effect] = [TICK]
    probes = 0
    while "silent" not in recorded(effects := ar.fire(timer(effects, "tick", "mn1"))):
        probes += len(all_of(effects, Probe))
    assert probes == 3
    assert recorded(effects) == ["silent", "detached"]
    assert [(u.lifetime_s, prefixes(u)) for u in updates(effects)] == [(0, [HNP1])]
    assert one(effects, Probe) == Probe("mn1", ALL_NODES), "only its answers may have been lost"


def test_a_node_that_answers_is_never_given_up(ar: Ar) -> None:
    ar.attach()
    effects: list[Effect] = [TICK]
    for _ in range(10):
        effects = ar.fire(timer(effects, "tick", "mn1"))
        assert recorded(effects) == []
        ar(ProbeAnswered("mn1", MN1_MAC))


def test_a_prefix_whose_time_is_up_is_served_no_longer(ar: Ar) -> None:
    ar.attach()
    ar.now += LIFETIME_S
    effects = ar.fire(TICK)
    assert one(effects, Remove).route == Delivery(HNP3, "mn1", LINK_LOCAL)


def test_it_wakes_up_when_the_time_of_a_prefix_is_up(ar: Ar) -> None:
    asked = message(ar(attached()), BindingUpdate)
    effects = ar.lm_answers(asked, HNP3, lifetime_s=4, after_s=3)
    assert timer(effects, "tick").at_s == ar.now + min(0.5, 1.0)


def test_without_a_prefix_of_this_network_it_goes_on_asking_for_one(ar: Ar) -> None:
    """Also while it serves one that the node brought along."""
    ar.attach(HNP1)
    effects = ar.fire(TICK)
    assert [prefixes(update) for update in updates(effects)] == [[ANY_PREFIX]]
