"""A node that mobility is declined to, among others: plain IP where it is, nothing elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dmm_agent.simulator.example import example_world
from dmm_agent.simulator.faults import Faults
from dmm_agent.simulator.forwarding import Outcome

if TYPE_CHECKING:
    from ipaddress import IPv6Address

    from dmm_agent.simulator.world import Sent, World

MN, DECLINED = "mn1@dmm.example", "mn2@dmm.example"


@pytest.fixture
def world() -> World:
    return example_world(mobile_nodes=2, declined=1)


def plain_address(world: World, access_router: str) -> IPv6Address | None:
    block = world.plan.routers[access_router].plain_block
    assert block is not None
    return world.mobile_nodes[DECLINED].address_in(block, world.now)


def both_ways(world: World, access_router: str, address: IPv6Address) -> set[Outcome]:
    """What becomes of packets between the node and the correspondent of each network."""
    found = set()
    for router, correspondent in world.plan.correspondents():
        found.add(world.forwarding.trace(access_router, address, correspondent).outcome)
        found.add(world.forwarding.trace(router.name, correspondent, address).outcome)
    return found


def traces_of_it(world: World) -> list[str]:
    """Rows that name it and are not of the access router where it is; what is routed for it."""
    node = world.mobile_nodes[DECLINED]
    rows = [
        f"{name}: {table}: {row}"
        for name, held in world.nodes.items()
        if name != node.at
        for table, found in held.snapshot(world.now).items()
        for row in found
        if DECLINED in map(str, row.values())
    ]
    routes = [
        f"{name}: {route}"
        for name, tables in world.tables.items()
        if name != node.at
        for route in tables.routes.values()
        if route.prefix in node.prefixes
    ]
    return rows + routes


def test_it_talks_to_everybody_from_where_it_is(world: World) -> None:
    for access_router in ("ar11", "ar32"):
        world.attach(DECLINED, access_router)
        world.run(1)
        address = plain_address(world, access_router)
        assert address is not None
        assert both_ways(world, access_router, address) == {Outcome.DELIVERED}


def test_its_old_address_ends_and_leads_nowhere_meanwhile(world: World) -> None:
    world.attach(DECLINED, "ar11")
    world.run(1)
    old = plain_address(world, "ar11")
    assert old is not None
    world.attach(DECLINED, "ar31")
    world.run(1)
    _, correspondent = next(world.plan.correspondents())
    assert world.traffic.from_node(world.mobile_nodes[DECLINED], old, correspondent) is None
    to_it = {
        world.forwarding.trace(router.name, correspondent, old).outcome
        for router, correspondent in world.plan.correspondents()
    }
    assert to_it == {Outcome.UNREACHABLE}
    world.run_until(lambda: plain_address(world, "ar11") is None, limit_s=60)
    assert plain_address(world, "ar31") is not None


@pytest.mark.parametrize("seed", range(20))
def test_whatever_it_does_nobody_keeps_or_says_anything_of_it(seed: int) -> None:
    faults = Faults(loss=0.2, duplicate=0.1)
    world = example_world(seed, faults, mobile_nodes=2, declined=1)
    said: list[Sent] = []
    world.observers.append(said.append)
    for step, access_router in enumerate(("ar11", "ar12", "ar21", "ar31", "ar11")):
        world.attach(DECLINED, access_router)
        if step == 2:
            world.attach(MN, "ar12")
            world.start_session(MN, "net1")
        world.run(10)
        address = plain_address(world, access_router)
        assert address is not None
        for _, correspondent in world.plan.correspondents():
            world.traffic.from_node(world.mobile_nodes[DECLINED], address, correspondent)
        assert traces_of_it(world) == []
    assert not any(DECLINED in str(message.message) for message in said)
    assert any(MN in str(message.message) for message in said)
    world.leave(DECLINED)
    world.run(10)
    assert traces_of_it(world) == []
