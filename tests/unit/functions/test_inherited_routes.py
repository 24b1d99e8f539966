"""Routes of an earlier run forward on; they go as they would have gone with their answers."""

from __future__ import annotations

import pytest
from mobility_router import AWAY_NODE, FIXED3, LOCAL, VISITOR, Mr, installed, removed
from steps import HNP1, PLAN, address, message, sent

from dmm_agent.functions.effects import (
    BindingRoute,
    CacheRoute,
    PassingRoute,
    RefusingRoute,
    Route,
    VisitorShortcut,
)
from dmm_agent.functions.events import BindingGone, Inherited, Started
from dmm_agent.functions.prefix import hnp_of
from dmm_agent.functions.queries import fixed_part
from dmm_agent.wire import AnswerStatus, LocationQuery

AWAY = CacheRoute(HNP1, address("gw3"))
SHORTCUT = VisitorShortcut(HNP1, address("gw1"))


def inheriting(*routes: Route, while_resolving: str = "triangle") -> Mr:
    """The MR of net2, which has just started and has not heard of anything else yet."""
    mr = Mr(while_resolving=while_resolving)
    assert mr(Inherited(routes)) == []
    return mr


def test_the_first_packet_asks_although_a_route_is_there() -> None:
    mr = inheriting(AWAY)
    assert sent(mr.packet(LOCAL, AWAY_NODE)) == [("LocationQuery", "gw1")]


@pytest.mark.parametrize("left", [AWAY, RefusingRoute(HNP1)])
def test_when_the_node_is_at_home_by_now_plain_routing_is_back_at_once(left: Route) -> None:
    assert removed(inheriting(left).resolve(AnswerStatus.HOME, "gw1")) == [left]


def test_when_it_is_elsewhere_by_now_the_route_is_replaced_and_never_missing() -> None:
    effects = inheriting(AWAY).resolve(AnswerStatus.AWAY, "gw1")
    assert (installed(effects), removed(effects)) == ([CacheRoute(HNP1, address("gw1"))], [])


def test_when_it_is_still_there_the_route_is_asked_for_so_that_it_stays() -> None:
    effects = inheriting(AWAY).resolve(AnswerStatus.AWAY, "gw3")
    assert (installed(effects), removed(effects)) == ([AWAY], [])


def test_a_notice_that_the_answer_no_longer_holds_removes_it() -> None:
    mr = inheriting(AWAY)
    assert removed(mr.receive("gw1", mr.notice())) == [AWAY]
    assert removed(mr.receive("gw1", mr.notice())) == [], "it is gone"


def test_a_node_that_visits_this_network_now_is_no_longer_sent_elsewhere() -> None:
    mr = inheriting(CacheRoute(VISITOR, address("gw1")))
    assert CacheRoute(VISITOR, address("gw1")) in removed(mr.visit())


def test_shortcuts_stay_while_there_are_visitors_and_go_with_the_last() -> None:
    other = VisitorShortcut(hnp_of(FIXED3), address("gw3"))
    mr = inheriting(SHORTCUT, other, AWAY)
    mr.visit()
    assert mr(Started()) == []
    gone = removed(mr(BindingGone(VISITOR)))
    assert SHORTCUT in gone
    assert other in gone
    assert AWAY not in gone
    mr.visit()
    assert SHORTCUT not in removed(mr(BindingGone(VISITOR)))


def test_without_visitors_no_shortcut_stays() -> None:
    mr = inheriting(SHORTCUT, CacheRoute(VISITOR, address("gw3")))
    assert removed(mr(Started())) == [SHORTCUT]


def test_a_shortcut_is_asked_for_again_by_the_first_visitors_packet() -> None:
    fixed = fixed_part(PLAN.directory.named("net3"), FIXED3)
    shortcut = VisitorShortcut(fixed, address("gw3"))
    mr = inheriting(shortcut)
    mr.visit(HNP1, "gw1")
    query = message(mr.packet(HNP1[5], FIXED3), LocationQuery)
    effects = mr.answer(query, AnswerStatus.FIXED, "gw3", sender="gw3")
    assert (installed(effects), removed(effects)) == ([shortcut], [])


def test_packets_that_need_not_wait_pass_until_the_answer_is_another() -> None:
    mr = inheriting(PassingRoute(HNP1), while_resolving="hold")
    effects = mr.resolve(AnswerStatus.AWAY, "gw3")
    assert (installed(effects), removed(effects)) == ([AWAY], [PassingRoute(HNP1)])


def test_routes_of_other_functions_are_left_to_them() -> None:
    mr = inheriting(BindingRoute(HNP1, address("gw3")))
    assert removed(mr.receive("gw1", mr.notice())) == []
