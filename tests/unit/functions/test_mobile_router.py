"""A mobile router registers the network behind it, wherever it is but at home (RFC 3963, 5)."""

from __future__ import annotations

from ipaddress import IPv6Network
from typing import TYPE_CHECKING, Any

import pytest
from steps import MN1, PLAN, all_of, recorded
from test_client import (
    HOME,
    LINK1,
    LINK2,
    LINK3,
    LM1,
    SECOND,
    THIRD,
    Node,
    asked,
    timer,
)

from dmm_agent.functions.effects import (
    Effect,
    InsideRoute,
    Install,
    KeepAddress,
    Remove,
    Send,
    VisitorRoute,
)
from dmm_agent.functions.events import Started
from dmm_agent.wire import (
    AlternateCareOfAddress,
    BindingAckFlag,
    BindingUpdate,
    BindingUpdateFlag,
    MobileNetworkPrefix,
    MobileNodeIdentifier,
)

INSIDE = IPv6Network("2001:db8:1:8001::/64")
R = BindingAckFlag.MOBILE_ROUTER
A_H_R = (
    BindingUpdateFlag.ACKNOWLEDGE
    | BindingUpdateFlag.HOME_REGISTRATION
    | BindingUpdateFlag.MOBILE_ROUTER
)

if TYPE_CHECKING:
    from ipaddress import IPv6Address


@pytest.fixture
def router() -> Node:
    """A node with a network behind it, none of whose own sockets uses anything."""
    first = PLAN.mobile_nodes.nodes[0]
    return Node(first.model_copy(update={"mobile_networks": (INSIDE,), "home_address": HOME}))


def away(router: Node) -> list[Effect]:
    router.attach(LINK1)
    return router.attach(LINK3)


def registered(router: Node, **answer: Any) -> list[Effect]:
    return router.answer(asked(away(router)), flags=R, **answer)


def tunnelled(effects: list[Effect]) -> dict[IPv6Network, IPv6Address | None]:
    """What is sent into a tunnel from where."""
    routes = [install.route for install in all_of(effects, Install)]
    return {r.prefix: r.source for r in routes if isinstance(r, VisitorRoute)}


def test_at_home_nobody_need_know(router: Node) -> None:
    assert all_of(router.attach(LINK1), Send) == []
    assert router.rows() == []


def test_away_it_registers_its_network_though_no_socket_of_its_own_needs_it(router: Node) -> None:
    effects = away(router)
    (sent,) = all_of(effects, Send)
    assert (sent.destination, sent.source, sent.home_source) == (LM1, THIRD, HOME)
    update = asked(effects)
    assert update.flags == A_H_R
    assert update.options == (
        MobileNodeIdentifier.nai(MN1),
        AlternateCareOfAddress(THIRD),
        MobileNetworkPrefix(INSIDE),
    )
    assert tunnelled(effects) == {}, "nobody has agreed to carry its packets"


def test_what_comes_from_the_network_goes_through_the_tunnel(router: Node) -> None:
    assert tunnelled(registered(router)) == {IPv6Network(HOME): THIRD, INSIDE: THIRD}
    assert {row["hnp"] for row in router.rows()} == {f"{HOME}/128", str(INSIDE)}


def test_a_move_takes_the_network_along(router: Node) -> None:
    registered(router)
    update = asked(router.attach(LINK2))
    assert update.first(MobileNetworkPrefix) == MobileNetworkPrefix(INSIDE)
    assert tunnelled(router.answer(update, flags=R))[INSIDE] == SECOND


def test_home_again_the_network_is_reached_plainly(router: Node) -> None:
    registered(router)
    effects = router.attach(LINK1)
    update = asked(effects)
    assert (update.lifetime_s, update.first(MobileNetworkPrefix)) == (0, None)
    assert VisitorRoute(INSIDE, LM1) in {remove.route for remove in all_of(effects, Remove)}
    router.answer(update)
    assert router.rows() == []


def test_a_router_that_starts_elsewhere_has_its_home_address_by_policy(router: Node) -> None:
    update = asked(router.attach(LINK3))
    assert update.flags == A_H_R
    effects = router.answer(update, flags=R)
    assert [keep.address for keep in all_of(effects, KeepAddress)] == [HOME]


def test_a_registration_that_ends_unanswered_is_asked_for_again(router: Node) -> None:
    effects = registered(router)
    again = router.fire(timer(effects, "expiry"))
    assert asked(again).first(MobileNetworkPrefix) == MobileNetworkPrefix(INSIDE)
    assert INSIDE in {remove.route.prefix for remove in all_of(again, Remove)}


def test_what_is_inside_is_held_from_the_start(router: Node) -> None:
    assert [install.route for install in all_of(router(Started()), Install)] == [
        InsideRoute(INSIDE)
    ]


@pytest.mark.parametrize(
    ("status", "stays"), [(140, True), (141, False), (142, False), (143, True)]
)
def test_a_prefix_that_is_not_its_own_is_advertised_no_more(
    router: Node, status: int, *, stays: bool
) -> None:
    router(Started())
    effects = router.answer(asked(away(router)), status)
    gone = [remove.route for remove in all_of(effects, Remove)]
    assert (InsideRoute(INSIDE) not in gone) is stays


@pytest.mark.parametrize("status", [140, 141, 142, 143])
def test_who_may_not_be_a_router_does_not_ask_again(router: Node, status: int) -> None:
    effects = router.answer(asked(away(router)), status)
    assert "registration_refused" in recorded(effects)
    assert all_of(effects, Send) == []
    assert all_of(router.attach(LINK2), Send) == [], "not elsewhere, either"


def test_who_was_refused_for_where_it_is_asks_again_elsewhere(router: Node) -> None:
    assert all_of(router.answer(asked(away(router)), 174), Send) == []
    assert asked(router.attach(LINK2)).flags == A_H_R


def test_a_home_agent_that_knows_no_mobile_networks_is_left(router: Node) -> None:
    effects = router.answer(asked(away(router)))
    assert "networks_not_registered" in recorded(effects)
    (sent,) = all_of(effects, Send)
    assert isinstance(sent.message, BindingUpdate)
    assert sent.message.lifetime_s == 0
    assert tunnelled(effects) == {}
