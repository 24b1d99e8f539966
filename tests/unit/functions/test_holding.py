"""Packets that wait until their MR knows where to send them (draft, 7: RS2.query with `hold`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from mobility_router import AWAY_NODE, LOCAL, VISITOR, Mr, installed, removed
from steps import HNP1, Steps, address, all_of, message

from dmm_agent.config import ConfigError
from dmm_agent.functions.effects import (
    CacheRoute,
    Install,
    PassingRoute,
    RefusingRoute,
    Release,
    Remove,
    SetTimer,
    VisitorShortcut,
)
from dmm_agent.functions.events import BindingGone, Held, Interception
from dmm_agent.wire import AnswerStatus, LocationQuery

if TYPE_CHECKING:
    from dmm_agent.functions.effects import Effect

HOLD_S = 1.0


@pytest.fixture
def mr() -> Mr:
    return Mr(while_resolving="hold", hold_s=HOLD_S)


def hold(mr: Mr) -> list[Effect]:
    """A packet for a destination that nothing is known of waits."""
    effects = mr(Held(LOCAL, AWAY_NODE))
    assert all_of(effects, Release) == []
    return effects


def ask(mr: Mr) -> LocationQuery:
    """What the MR asks because a packet waits."""
    return message(hold(mr), LocationQuery)


def timer(effects: list[Effect], what: str) -> SetTimer:
    return next(t for t in all_of(effects, SetTimer) if t.key == (what, HNP1))


def is_released_after(effects: list[Effect], route: type) -> bool:
    """Whether the packets are let go once a route of a kind is there to take them."""
    kinds = [
        type(effect.route) if isinstance(effect, Install) else type(effect) for effect in effects
    ]
    return kinds.count(Release) == 1 and kinds.index(route) < kinds.index(Release)


def test_packets_of_its_own_network_are_held_with_this_option_only(mr: Mr) -> None:
    assert Interception.HELD in mr.node.intercepts
    assert Interception.HELD not in Mr().node.intercepts
    assert mr.node.hold_limits is not None
    assert Mr().node.hold_limits is None


def test_they_leave_for_where_the_answer_says(mr: Mr) -> None:
    effects = mr.answer(ask(mr), AnswerStatus.AWAY, "gw3")
    assert installed(effects) == [CacheRoute(HNP1, address("gw3"))]
    assert is_released_after(effects, CacheRoute)


def test_to_a_node_at_home_they_pass_as_later_ones_do(mr: Mr) -> None:
    effects = mr.answer(ask(mr), AnswerStatus.HOME, "gw1")
    assert installed(effects) == [PassingRoute(HNP1)]
    assert is_released_after(effects, PassingRoute)


def test_to_a_node_that_nobody_knows_they_are_refused(mr: Mr) -> None:
    effects = mr.answer(ask(mr), AnswerStatus.UNKNOWN)
    assert installed(effects) == [RefusingRoute(HNP1)]
    assert is_released_after(effects, RefusingRoute)


def test_packets_that_come_meanwhile_ask_nothing_more(mr: Mr) -> None:
    hold(mr)
    assert mr(Held(LOCAL, AWAY_NODE), 0.2) == []
    assert mr.packet(LOCAL, AWAY_NODE, 0.2) == []


def test_one_that_was_on_its_way_when_the_answer_came_is_let_go_at_once(mr: Mr) -> None:
    mr.answer(ask(mr), AnswerStatus.AWAY, "gw3")
    assert mr(Held(LOCAL, AWAY_NODE)) == [Release(HNP1)]


def test_when_the_answer_takes_too_long_they_go_by_the_home_network(mr: Mr) -> None:
    waiting = timer(hold(mr), "hold")
    assert waiting.at_s == mr.now + HOLD_S
    assert is_released_after(mr.fire(waiting), PassingRoute)


def test_a_late_answer_ends_the_passing(mr: Mr) -> None:
    asked = hold(mr)
    mr.fire(timer(asked, "hold"))
    effects = mr.answer(message(asked, LocationQuery), AnswerStatus.AWAY, "gw3")
    assert installed(effects) == [CacheRoute(HNP1, address("gw3"))]
    assert removed(effects) == [PassingRoute(HNP1)]


def test_a_late_answer_that_lets_pass_does_not(mr: Mr) -> None:
    asked = hold(mr)
    mr.fire(timer(asked, "hold"))
    effects = mr.answer(message(asked, LocationQuery), AnswerStatus.HOME, "gw1")
    assert all_of(effects, Remove) == []


def test_once_the_question_is_given_up_the_next_packet_waits_again(mr: Mr) -> None:
    asked = hold(mr)
    mr.fire(timer(asked, "hold"))
    while any(t.key == ("request", HNP1) for t in all_of(asked, SetTimer)):
        asked = mr.fire(timer(asked, "request"))
    assert removed(asked) == [PassingRoute(HNP1)]
    assert message(hold(mr), LocationQuery)


def test_packets_of_a_node_that_comes_to_visit_meanwhile_go_to_it(mr: Mr) -> None:
    hold(mr)
    effects = mr.visit(HNP1, "gw1")
    assert len(all_of(effects, Release)) == 1


def test_while_a_visitor_is_away_for_a_moment_its_packets_pass(mr: Mr) -> None:
    """They go home, which knows better by then; whoever is bound here is not asked for."""
    assert PassingRoute(VISITOR) in installed(mr.visit())
    assert PassingRoute(VISITOR) in removed(mr(BindingGone(VISITOR)))


def test_visitors_take_the_short_way_to_a_node_at_home_and_others_pass(mr: Mr) -> None:
    mr.answer(ask(mr), AnswerStatus.HOME, "gw1")
    shortcut = VisitorShortcut(HNP1, address("gw1"))
    assert shortcut in installed(mr.visit())
    gone = removed(mr(BindingGone(VISITOR)))
    assert shortcut in gone
    assert PassingRoute(HNP1) not in gone


@pytest.mark.parametrize(
    "wrong", [{"resolution": "push"}, {"resolution": "none"}, {"resolve_after_s": 0.1}]
)
def test_who_does_not_ask_at_once_cannot_hold(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="hold needs resolution: query and resolve_after_s: 0"):
        Steps("gw2", ["mr"], mr={"while_resolving": "hold", **wrong})
