"""Which packets mobility routing wants to see, by its place (draft, 7: RS1)."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

import pytest
from mobility_router import AWAY_NODE, LOCAL, Mr, installed
from steps import (
    HNP1,
    PLAN,
    Steps,
    address,
    sent,
)

from dmm_agent.functions.effects import (
    CacheRoute,
)
from dmm_agent.functions.events import (
    Intercepted,
    Interception,
)
from dmm_agent.simulator.plan import make_plan
from dmm_agent.wire import (
    AnswerStatus,
)

BELOW = make_plan(networks=3, access_routers=2, mobile_nodes=2, interception="access")
"""Where access routers have an MR of their own."""


def wanted(host: str, interception: str, resolution: str = "query") -> set[Interception]:
    plan = BELOW if interception == "access" else PLAN
    placed = plan.config(plan.routers[host], {}).functions
    options = {"interception": interception, "resolution": resolution}
    wants = set(Steps(host, placed, plan, mr=options).node.intercepts)
    return wants - {Interception.BROUGHT_ALONG}  # that is not routing's


@pytest.mark.parametrize(
    ("host", "interception", "packets"),
    [
        ("gw2", "gateway", {Interception.OUTBOUND, Interception.VISITORS}),
        ("ar21", "gateway", set()),
        (
            "gw2",
            "anycast",
            {Interception.OUTBOUND, Interception.VISITORS, Interception.NEAREST},
        ),
        ("gw2", "access", {Interception.REMAINING, Interception.VISITORS}),
        ("ar21", "access", {Interception.OUTBOUND}),
    ],
)
def test_who_asks_sees_what_leaves_where_it_passes_first(
    host: str, interception: str, packets: set[Interception]
) -> None:
    assert wanted(host, interception) == packets


@pytest.mark.parametrize("interception", ["gateway", "access"])
def test_who_tells_others_sees_what_comes_home(interception: str) -> None:
    assert wanted("gw2", interception, "push") == {
        Interception.OUTBOUND,
        Interception.VISITORS,
        Interception.HOMEBOUND,
    }


def test_at_an_access_router_nothing_comes_home() -> None:
    assert wanted("ar21", "access", "push") == {Interception.OUTBOUND}


def test_without_resolution_nothing_is_asked_or_intercepted() -> None:
    mr = Mr(resolution="none")
    assert mr.node.intercepts == frozenset()
    assert mr.packet(LOCAL, AWAY_NODE) == []


def test_an_access_routers_mr_sends_what_its_hosts_send_straight_to_the_location() -> None:
    mr = Mr("ar21")
    assert installed(mr.resolve(AnswerStatus.AWAY, "gw3")) == [CacheRoute(HNP1, address("gw3"))]


@pytest.mark.parametrize(
    ("sender", "told"),
    [
        pytest.param("2001:db8:3:1::10", "ar31", id="a fixed host"),
        pytest.param("2001:db8:3:8177::5", "gw3", id="a mobile node at home"),
    ],
)
def test_a_push_goes_to_the_mr_that_serves_the_sender(sender: str, told: str) -> None:
    home = Steps("gw2", ["allocator", "lm", "mr"], BELOW, mr={"resolution": "push"})
    own = IPv6Network("2001:db8:2:8100::/64")
    home.receive("ar21", home.update())
    home.receive("gw1", home.update(own, after_s=1))
    assert sent(home(Intercepted(IPv6Address(sender), own[5]))) == [("UpdateNotification", told)]
