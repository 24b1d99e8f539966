"""All functions on one router, gateway and access router of its network at once.

Its links need not tell when a node leaves; then it is the LM beside who knows first.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from steps import (
    HNP1,
    HNP3,
    MN1_MAC,
    MN2_MAC,
    Steps,
    all_of,
    attached,
    link_local,
    message,
    one,
    revocation,
    sent,
    timer,
)

from dmm_agent.functions.effects import BindingRoute, Delivery, Install, Probe, Remove
from dmm_agent.functions.events import Detached, Inherited, Observed, Started
from dmm_agent.functions.proxy_messages import acknowledge
from dmm_agent.functions.session_discovery import ALL_NODES
from dmm_agent.simulator.plan import make_plan
from dmm_agent.wire import BindingUpdate, Timestamp

if TYPE_CHECKING:
    from dmm_agent.functions.effects import Effect
    from dmm_agent.simulator.plan import Plan

DELIVERY = Delivery(HNP1, "mn1", link_local(MN1_MAC))


def flattened() -> Plan:
    """Networks of one router each, `ar11` and so on."""
    tall = make_plan(networks=3, access_routers=1, mobile_nodes=2)
    routers = {r.name: replace(r, gateway=r.name) for r in tall.access_routers()}
    networks = tuple(
        entry.model_copy(update={"lm": router.address, "mr": router.address})
        for entry, router in zip(tall.directory.networks, routers.values(), strict=True)
    )
    directory = tall.directory.model_copy(update={"networks": networks})
    return replace(tall, directory=directory, routers=routers)


FLAT = flattened()


class FlatRouter(Steps):
    """The one router of a network, and what it serves."""

    def __init__(self, host: str) -> None:
        router = FLAT.routers[host]
        blocks = [{"access_router": router.address, "prefix": router.block}]
        functions = ["allocator", "lm", "mr", "proxy"]
        super().__init__(host, functions, FLAT, allocator={"blocks": blocks})

    def registers_elsewhere(self) -> list[Effect]:
        """The node's home prefix is registered by ar31."""
        return self.receive("ar31", self.update(HNP1, after_s=2))


@pytest.fixture
def home() -> FlatRouter:
    """The node is at home."""
    router = FlatRouter("ar11")
    router(attached())
    assert router.served() == [str(HNP1)]
    return router


def test_a_registration_inside_it_is_no_message() -> None:
    effects = FlatRouter("ar11")(attached())
    assert sent(effects) == []
    assert [install.route for install in all_of(effects, Install)] == [DELIVERY]


def test_a_node_that_is_registered_elsewhere_has_left_whatever_its_link_says(
    home: FlatRouter,
) -> None:
    effects = home.registers_elsewhere()
    assert Remove(DELIVERY) in effects
    assert Install(BindingRoute(HNP1, FLAT.routers["ar31"].address)) in effects
    assert home.table("attachments") == []


def test_it_does_not_take_the_node_back_but_looks_whether_it_is_there(home: FlatRouter) -> None:
    effects = home.fire(timer(home.registers_elsewhere(), "tick", "mn1"))
    assert one(effects, Probe) == Probe("mn1", ALL_NODES)
    assert timer(effects, "tick", "mn1"), "and goes on looking"
    assert list(home.locations().values()) == ["ar31"]


def test_a_node_that_comes_back_is_served_again(home: FlatRouter) -> None:
    home.registers_elsewhere()
    assert Install(DELIVERY) in home(attached(), after_s=1)
    assert (home.locations(), home.served()) == ({}, [str(HNP1)])


def test_a_late_registration_of_where_it_was_before_changes_nothing(home: FlatRouter) -> None:
    late = home.update(HNP1, time=Timestamp.at(home.now - 0.1))
    assert Remove(DELIVERY) not in home.receive("ar31", late)
    assert home.served() == [str(HNP1)]


def test_a_prefix_that_is_back_home_is_not_delivered_where_it_visited() -> None:
    visited = FlatRouter("ar31")
    visited(attached())
    asked = message(visited(Observed("mn1", MN1_MAC, HNP1[5])), BindingUpdate)
    granted = acknowledge(asked, status=0, lifetime_s=60, hnps=[HNP1], now=visited.now)
    assert Install(DELIVERY) in visited.receive("ar11", granted)
    effects = visited.receive("ar11", revocation(visited.now + 1), after_s=1)
    assert Remove(DELIVERY) in effects
    assert visited.served() == [str(HNP3)], "its other prefixes are not the home network's matter"


# A node that left while no agent was there, over a link without a carrier


@pytest.fixture
def started_anew(home: FlatRouter) -> FlatRouter:
    """The agent was killed; the node, silent, may be there or not."""
    home.restart()
    assert home(Inherited((DELIVERY,))) == []
    return home


def test_what_an_earlier_agent_delivered_stays_while_nobody_says_otherwise(
    started_anew: FlatRouter,
) -> None:
    assert all_of(started_anew(Started()), Remove) == []


def test_it_ends_when_the_node_is_registered_elsewhere(started_anew: FlatRouter) -> None:
    assert Remove(DELIVERY) in started_anew.registers_elsewhere()


def test_it_ends_when_somebody_else_is_on_the_link(started_anew: FlatRouter) -> None:
    effects = started_anew(attached(MN2_MAC))
    assert Remove(DELIVERY) in effects


def test_it_ends_when_the_link_has_no_carrier(started_anew: FlatRouter) -> None:
    assert all_of(started_anew(Detached("mn2")), Remove) == []
    assert all_of(started_anew(Detached("mn1")), Remove) == [Remove(DELIVERY)]


def test_a_node_that_is_still_there_is_delivered_to_without_a_gap(
    started_anew: FlatRouter,
) -> None:
    effects = started_anew(attached())
    assert Install(DELIVERY) in effects
    assert Remove(DELIVERY) not in effects
    assert all_of(started_anew(Detached("mn1")), Remove) == [Remove(DELIVERY)], "and but once"
