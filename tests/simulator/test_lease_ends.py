"""The end of a lease with a session still open: the node hears of it, and nothing is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dmm_agent.functions.attachments import LINGERING_S
from dmm_agent.functions.effects import Withdrawal
from dmm_agent.simulator.example import SHORT_LIFETIMES
from dmm_agent.simulator.invariants import unneeded, watch

if TYPE_CHECKING:
    from collections.abc import Callable
    from ipaddress import IPv6Address

    from dmm_agent.simulator.world import World

MN = "mn1@dmm.example"
LEASE_S = SHORT_LIFETIMES["allocator"]["lease_lifetime_s"]


def withdrawn(world: World) -> list[str]:
    return [
        name
        for name, tables in world.tables.items()
        if any(isinstance(route, Withdrawal) for route in tables.routes.values())
    ]


def send(world: World, source: IPv6Address) -> None:
    correspondent = world.plan.routers["ar21"].correspondent
    assert correspondent is not None
    world.traffic.from_node(world.mobile_nodes[MN], source, correspondent)


@pytest.fixture
def address(world: World) -> IPv6Address:
    """The node's address of net1, whose lease is over; a silent socket has it."""
    world.attach(MN, "ar11")
    world.start_session(MN, "net1")
    world.run(2)
    world.attach(MN, "ar31")
    world.run(3)
    address = world.address(MN, "net1")
    assert address is not None
    world.stop_session(MN, "net1")
    world.run(LEASE_S + 10)
    world.mobile_nodes[MN].sessions["net1"] = None
    return address


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    world = make_world()
    watch(world)
    return world


def test_the_nodes_address_lingers_for_a_while(world: World, address: IPv6Address) -> None:
    """For as long as sessions may need to hear of the end of its lease."""
    assert world.nodes["gw1"].snapshot(world.now)["leases"] == []
    assert world.mobile_nodes[MN].has(address, world.now)
    world.run(LINGERING_S)
    assert not world.mobile_nodes[MN].has(address, world.now)


def test_a_session_that_outlives_it_is_reset_once_the_network_knows(
    world: World, address: IPv6Address
) -> None:
    send(world, address)
    assert world.mobile_nodes[MN].resets == set(), "it has to ask the home LM"
    world.run(1)
    assert withdrawn(world) == ["ar31"]
    send(world, address)
    assert world.mobile_nodes[MN].resets == {"net1"}


def test_once_the_node_has_left_nothing_is_left_of_it(world: World, address: IPv6Address) -> None:
    send(world, address)
    world.run(1)
    world.mobile_nodes[MN].sessions.clear()
    world.attach(MN, "ar21")
    world.run(30)
    assert withdrawn(world) == []
    assert list(unneeded(world)) == []
