"""Mobility routing: interception, resolution, cache and visitors' shortcuts (draft, 3 and 7)."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

import pytest
from mobility_router import AWAY_NODE, FIXED3, LOCAL, OTHER_VISITOR, VISITOR, Mr, installed, removed
from steps import (
    HNP1,
    address,
    message,
    prefixes,
    recorded,
    sent,
    timer,
)

from dmm_agent.config import ConfigError
from dmm_agent.functions.effects import (
    BindingRoute,
    CacheRoute,
    RefusingRoute,
    VisitorRoute,
    VisitorShortcut,
)
from dmm_agent.functions.events import (
    BindingGone,
    BindingSet,
    NodeLeft,
    TimerFired,
)
from dmm_agent.wire import (
    AnswerStatus,
    HomeNetworkPrefix,
    LocationAnswer,
    LocationQuery,
    MagAddress,
    UpdateNotificationAcknowledgement,
)


@pytest.fixture
def mr() -> Mr:
    return Mr()


# What is asked, and what is believed


def test_a_packet_to_another_networks_mobile_node_is_asked_about(mr: Mr) -> None:
    """Meanwhile nothing is installed: packets go by the home network, the triangle."""
    effects = mr.packet(LOCAL, AWAY_NODE)
    assert sent(effects) == [("LocationQuery", "gw1")]
    assert prefixes(message(effects, LocationQuery)) == [HNP1]
    assert installed(effects) == []


def test_once_answered_packets_go_straight_to_the_location(mr: Mr) -> None:
    assert installed(mr.resolve(AnswerStatus.AWAY, "gw3")) == [CacheRoute(HNP1, address("gw3"))]


def test_more_packets_ask_nothing_more(mr: Mr) -> None:
    query = message(mr.packet(LOCAL, AWAY_NODE), LocationQuery)
    assert mr.packet(LOCAL, AWAY_NODE, after_s=0.1) == [], "it is being asked"
    mr.answer(query, AnswerStatus.AWAY, "gw3")
    assert mr.packet(LOCAL, AWAY_NODE, after_s=1) == [], "it is known"


def test_an_unanswered_query_is_repeated_and_then_given_up(mr: Mr) -> None:
    effects = mr.packet(LOCAL, AWAY_NODE)
    queries = []
    while sent(effects):
        queries.append(message(effects, LocationQuery))
        effects = mr.fire(timer(effects, "request"))
    assert queries == [queries[0]] * 4
    assert sent(mr.packet(LOCAL, AWAY_NODE)) == [("LocationQuery", "gw1")], "the next one asks anew"


@pytest.mark.parametrize(
    "destination",
    [
        pytest.param("2001:db8:2:8100::5", id="of this network, mobile"),
        pytest.param("2001:db8:2:1::99", id="of this network, fixed"),
        pytest.param("2001:db8:77::1", id="of no network"),
        pytest.param("2001:db8:3:1::10", id="fixed elsewhere: plain routing is direct"),
    ],
)
def test_other_packets_are_asked_nothing_about(mr: Mr, destination: str) -> None:
    assert mr.packet(LOCAL, IPv6Address(destination)) == []


def test_a_prefix_that_is_bound_here_is_asked_nothing_about(mr: Mr) -> None:
    mr.visit(HNP1, home="gw1")
    assert mr.packet(LOCAL, AWAY_NODE) == []


def test_a_home_prefix_needs_no_route(mr: Mr) -> None:
    assert installed(mr.resolve(AnswerStatus.HOME, "gw1")) == []


@pytest.mark.parametrize("status", [AnswerStatus.UNKNOWN, AnswerStatus.NOT_SERVED])
def test_a_negative_answer_is_remembered_so_that_it_is_not_asked_again_at_once(
    mr: Mr, status: AnswerStatus
) -> None:
    mr.resolve(status)
    assert mr.packet(LOCAL, AWAY_NODE, after_s=3) == []
    assert [row["status"] for row in mr.table("cache")] == [status.name.lower()]


def test_packets_to_a_prefix_that_nobody_has_are_refused_for_as_long_as_that_is_known(
    mr: Mr,
) -> None:
    effects = mr.resolve(AnswerStatus.UNKNOWN)
    assert installed(effects) == [RefusingRoute(HNP1)]
    mr.now += 60
    assert removed(mr.fire(timer(effects, "lapse"))) == [RefusingRoute(HNP1)]


def test_a_prefix_that_somebody_has_by_now_is_no_longer_refused(mr: Mr) -> None:
    mr.resolve(AnswerStatus.UNKNOWN)
    asked = message(mr(TimerFired("mr", ("lapse", HNP1))), LocationQuery)
    effects = mr.answer(asked, AnswerStatus.AWAY, "gw3")
    assert removed(effects) == [RefusingRoute(HNP1)]
    assert installed(effects) == [CacheRoute(HNP1, address("gw3"))]


@pytest.mark.parametrize("changed", ["sequence", "prefix", "sender"])
def test_what_does_not_answer_the_question_is_nothing_to_it(mr: Mr, changed: str) -> None:
    query = message(mr.packet(LOCAL, AWAY_NODE), LocationQuery)
    if changed == "sequence":
        query = LocationQuery(query.sequence ^ 1, query.options)
    if changed == "prefix":
        query = LocationQuery(query.sequence, (HomeNetworkPrefix(VISITOR),))
    sender = "gw3" if changed == "sender" else "gw1"
    assert mr.answer(query, AnswerStatus.AWAY, "gw3", sender=sender) == []


def test_a_location_that_is_no_router_is_not_believed(mr: Mr) -> None:
    query = message(mr.packet(LOCAL, AWAY_NODE), LocationQuery)
    options = (HomeNetworkPrefix(HNP1), MagAddress(IPv6Address("2001:db8:3:8100::1")))
    effects = mr.receive("gw1", LocationAnswer(AnswerStatus.AWAY, query.sequence, 40, options))
    assert installed(effects) == []
    assert recorded(effects) == ["answer_refused"]


def test_an_answer_that_names_this_very_mr_makes_no_route(mr: Mr) -> None:
    assert installed(mr.resolve(AnswerStatus.AWAY, "gw2")) == []


# The life of a cached answer


def test_a_location_in_use_is_asked_for_again_before_it_lapses(mr: Mr) -> None:
    lapse = timer(mr.resolve(AnswerStatus.AWAY, "gw3"), "lapse")
    assert lapse.at_s == mr.now + 40 - 1
    mr.packet(LOCAL, AWAY_NODE, after_s=38)
    effects = mr.fire(lapse)
    assert sent(effects) == [("LocationQuery", "gw1")]
    again = mr.answer(message(effects, LocationQuery), AnswerStatus.AWAY, "gw3")
    assert installed(again) == removed(again) == [], "traffic notices nothing"


def test_one_that_holds_for_a_moment_is_asked_for_again_halfway(mr: Mr) -> None:
    query = message(mr.packet(LOCAL, AWAY_NODE), LocationQuery)
    lapse = timer(mr.answer(query, AnswerStatus.AWAY, "gw3", lifetime_s=1), "lapse")
    assert lapse.at_s == mr.now + 0.5


def test_an_idle_location_is_dropped(mr: Mr) -> None:
    effects = mr.fire(timer(mr.resolve(AnswerStatus.AWAY, "gw3"), "lapse"))
    assert removed(effects) == [CacheRoute(HNP1, address("gw3"))]
    assert sent(effects) == []
    assert mr.table("cache") == []


def test_a_location_in_use_that_nobody_confirms_lapses(mr: Mr) -> None:
    lapse = timer(mr.resolve(AnswerStatus.AWAY, "gw3"), "lapse")
    mr.packet(LOCAL, AWAY_NODE, after_s=38)
    effects = mr.fire(lapse)
    assert removed(mr.fire(timer(effects, "lapse"))) == [CacheRoute(HNP1, address("gw3"))]


def test_an_answer_counts_from_when_it_was_asked_for(mr: Mr) -> None:
    """So no cache outlives what the LM remembers of it, however late the answer is."""
    asked_at = mr.now
    query = message(mr.packet(LOCAL, AWAY_NODE), LocationQuery)
    effects = mr.answer(query, AnswerStatus.AWAY, "gw3", after_s=3)
    assert timer(effects, "lapse").at_s == asked_at + 40 - 1


def test_a_changed_answer_replaces_the_route(mr: Mr) -> None:
    lapse = timer(mr.resolve(AnswerStatus.AWAY, "gw3"), "lapse")
    mr.packet(LOCAL, AWAY_NODE, after_s=38)
    query = message(mr.fire(lapse), LocationQuery)
    effects = mr.answer(query, AnswerStatus.HOME, "gw1")
    assert removed(effects) == [CacheRoute(HNP1, address("gw3"))]


def test_the_cache_is_bounded_and_the_least_used_entry_goes_first() -> None:
    mr = Mr(max_cache=2)
    hnps = list(IPv6Network("2001:db8:1:8100::/62").subnets(new_prefix=64))[:3]
    for hnp in hnps[:2]:
        query = message(mr.packet(LOCAL, hnp[5]), LocationQuery)
        mr.answer(query, AnswerStatus.AWAY, "gw3")
    mr.packet(LOCAL, hnps[0][5], after_s=1)
    query = message(mr.packet(LOCAL, hnps[2][5]), LocationQuery)
    effects = mr.answer(query, AnswerStatus.AWAY, "gw3")
    assert removed(effects) == [CacheRoute(hnps[1], address("gw3"))]
    assert [row["prefix"] for row in mr.table("cache")] == [str(hnps[0]), str(hnps[2])]


def test_questions_are_bounded_too(mr: Mr) -> None:
    first = int(IPv6Address("2001:db8:1:8000::"))
    asked = [sent(mr.packet(LOCAL, IPv6Address(first + (n << 64)))) for n in range(1030)]
    assert sum(map(len, asked)) == 1024


# Notices (RFC 7077)


def test_after_a_notice_the_next_packet_asks_again(mr: Mr) -> None:
    mr.resolve(AnswerStatus.AWAY, "gw3")
    effects = mr.receive("gw1", mr.notice(), after_s=1)
    assert removed(effects) == [CacheRoute(HNP1, address("gw3"))]
    assert sent(effects) == [("UpdateNotificationAcknowledgement", "gw1")]
    assert message(effects, UpdateNotificationAcknowledgement).sequence == 4
    assert sent(mr.packet(LOCAL, AWAY_NODE)) == [("LocationQuery", "gw1")]


def test_a_flow_is_asked_about_once_it_has_lasted_long_enough() -> None:
    mr = Mr(resolve_after_s=0.05)
    assert sent(mr.packet(LOCAL, AWAY_NODE)) == []
    assert sent(mr.packet(LOCAL, AWAY_NODE, after_s=0.1)) == [("LocationQuery", "gw1")]


def test_stray_packets_far_apart_are_asked_nothing_about() -> None:
    mr = Mr(resolve_after_s=0.05)
    assert [sent(mr.packet(LOCAL, AWAY_NODE, after_s=10)) for _ in range(3)] == [[], [], []]


def test_a_notice_while_asking_makes_it_ask_anew(mr: Mr) -> None:
    """The answer under way may be the old one."""
    old = message(mr.packet(LOCAL, AWAY_NODE), LocationQuery)
    new = message(mr.receive("gw1", mr.notice()), LocationQuery)
    assert mr.answer(old, AnswerStatus.AWAY, "gw3") == []
    assert installed(mr.answer(new, AnswerStatus.AWAY, "gw2")) == []
    assert mr.table("cache")[0]["status"] == "away"


def test_a_repeated_notice_is_acknowledged_again(mr: Mr) -> None:
    for _ in range(2):
        effects = mr.receive("gw1", mr.notice())
        assert ("UpdateNotificationAcknowledgement", "gw1") in sent(effects)


def test_only_the_prefixs_own_lm_can_give_notice(mr: Mr) -> None:
    mr.resolve(AnswerStatus.AWAY, "gw3")
    assert mr.receive("gw3", mr.notice()) == []
    assert len(mr.table("cache")) == 1


# Bindings of this network, told by the LM beside


def test_a_home_prefix_that_is_away_is_sent_to_its_location(mr: Mr) -> None:
    own = IPv6Network("2001:db8:2:8100::/64")
    effects = mr(BindingSet(own, address("gw3"), None))
    assert installed(effects) == [BindingRoute(own, address("gw3"))]
    assert removed(mr(BindingGone(own))) == [BindingRoute(own, address("gw3"))]


def test_what_the_proxy_beside_delivers_needs_no_tunnel(mr: Mr) -> None:
    effects = mr(BindingSet(VISITOR, address("gw2"), address("gw3")))
    assert installed(effects) == [VisitorRoute(VISITOR, address("gw3"))]


def test_where_the_node_has_left_nothing_is_sent_until_it_shows_up_again(mr: Mr) -> None:
    mr.visit()
    route = BindingRoute(VISITOR, address("ar21"))
    assert removed(mr(NodeLeft(VISITOR))) == [route]
    assert route in installed(mr.visit())


def test_a_visitor_is_reached_and_sends_by_its_home(mr: Mr) -> None:
    routes = [BindingRoute(VISITOR, address("ar21")), VisitorRoute(VISITOR, address("gw3"))]
    assert installed(mr.visit()) == routes
    assert removed(mr(BindingGone(VISITOR))) == routes


def test_what_was_cached_of_a_prefix_ends_when_it_comes_to_visit(mr: Mr) -> None:
    mr.resolve(AnswerStatus.AWAY, "gw3")
    assert CacheRoute(HNP1, address("gw3")) in removed(mr.visit(HNP1, home="gw1"))


def test_a_prefix_that_should_have_had_a_binding_and_has_not_is_asked_about_anew(mr: Mr) -> None:
    """Its home LM took it for visiting here: what was asked and answered before is void."""
    mr.resolve(AnswerStatus.AWAY, "gw3")
    assert removed(mr(BindingGone(HNP1))) == [CacheRoute(HNP1, address("gw3"))]
    asked = message(mr.packet(LOCAL, AWAY_NODE), LocationQuery)
    mr(BindingGone(HNP1))
    assert mr.answer(asked, AnswerStatus.AWAY, "gw3") == []


def test_a_visitor_gets_a_shortcut_to_fixed_hosts_elsewhere(mr: Mr) -> None:
    """Without it what it sends to net1 goes round by its home, net3."""
    mr.visit()
    effects = mr.packet(VISITOR[5], IPv6Address("2001:db8:1:1::10"))
    query = message(effects, LocationQuery)
    assert prefixes(query) == [IPv6Network("2001:db8:1::/49")]
    assert installed(mr.answer(query, AnswerStatus.FIXED, "gw1")) == [
        VisitorShortcut(IPv6Network("2001:db8:1::/49"), address("gw1"))
    ]


def test_a_visitor_needs_no_shortcut_to_its_own_home_network(mr: Mr) -> None:
    mr.visit()
    assert mr.packet(VISITOR[5], FIXED3) == []


def test_a_visitor_gets_one_whichever_visitors_packet_was_sampled(mr: Mr) -> None:
    mr.visit()
    mr.visit(OTHER_VISITOR, home="gw1")
    assert sent(mr.packet(VISITOR[5], FIXED3)) == [("LocationQuery", "gw3")]


def test_a_visitor_gets_a_shortcut_to_mobile_nodes_at_home_elsewhere(mr: Mr) -> None:
    mr.visit()
    shortcut = VisitorShortcut(HNP1, address("gw1"))
    assert installed(mr.resolve(AnswerStatus.HOME, "gw1")) == [shortcut]


def test_the_first_visitor_profits_from_what_is_known_before(mr: Mr) -> None:
    mr.resolve(AnswerStatus.HOME, "gw1")
    effects = mr.visit()
    assert VisitorShortcut(HNP1, address("gw1")) in installed(effects)
    assert timer(effects, "lapse").at_s == mr.now + 40 - 1, "and is refreshed ahead from now on"


def test_shortcuts_go_with_the_last_visitor(mr: Mr) -> None:
    mr.visit()
    mr.visit(OTHER_VISITOR, home="gw1")
    mr.resolve(AnswerStatus.HOME, "gw1")
    fixed = message(mr.packet(OTHER_VISITOR[5], FIXED3), LocationQuery)
    mr.answer(fixed, AnswerStatus.FIXED, "gw3", sender="gw3")
    assert not [r for r in removed(mr(BindingGone(VISITOR))) if isinstance(r, VisitorShortcut)]
    shortcuts = [r for r in removed(mr(BindingGone(OTHER_VISITOR))) if type(r) is VisitorShortcut]
    assert {r.prefix for r in shortcuts} == {HNP1, IPv6Network("2001:db8:3::/49")}


def test_without_visitors_there_is_no_shortcut(mr: Mr) -> None:
    mr.visit()
    query = message(mr.packet(VISITOR[5], IPv6Address("2001:db8:1:1::10")), LocationQuery)
    mr(BindingGone(VISITOR))
    assert installed(mr.answer(query, AnswerStatus.FIXED, "gw1")) == []


def test_a_binding_that_is_told_again_changes_nothing(mr: Mr) -> None:
    assert installed(mr.visit()) == installed(mr.visit())
    assert len(removed(mr(BindingGone(VISITOR)))) == 2
    assert mr(BindingGone(VISITOR)) == []


def test_the_cache_can_be_looked_at(mr: Mr) -> None:
    mr.resolve(AnswerStatus.AWAY, "gw3")
    mr.now += 1
    assert mr.table("cache") == [
        {
            "prefix": str(HNP1),
            "status": "away",
            "location": str(address("gw3")),
            "remaining_s": 39.0,
            "used_s_ago": 1.0,
        }
    ]


@pytest.mark.parametrize(
    "wrong", [{"interception": "anycast"}, {"interception": "access"}, {"resolution": "push"}]
)
def test_who_rewrites_has_to_know_every_sender(wrong: dict[str, str]) -> None:
    assert Mr(forwarding="rewrite").node.rewrites
    with pytest.raises(ConfigError, match="rewrite needs interception: gateway and resolution"):
        Mr(forwarding="rewrite", **wrong)
