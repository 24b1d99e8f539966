"""State only while a session needs it (draft, 5), whatever is lost and however nodes move.

`DMM_SEEDS=0-999` plays more histories than by default.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from tests.simulator.seeds import seeds
from tests.simulator.wandering import wander

from dmm_agent.simulator.example import SHORT_LIFETIMES, example_world
from dmm_agent.simulator.faults import Faults
from dmm_agent.simulator.invariants import disagreements, unneeded, watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from dmm_agent.simulator.world import World

MN = "mn1@dmm.example"
IDLE_S = SHORT_LIFETIMES["proxy"]["idle_s"]
SAMPLE_S = 1
"""A packet seen so long ago may be the last but one."""


def away(world: World) -> None:
    """The node has a session with its prefix of net1 and is in net3."""
    world.attach(MN, "ar11")
    world.start_session(MN, "net1")
    world.run(2)
    world.attach(MN, "ar31")
    world.run(3)


def holders(world: World) -> list[str]:
    """Hosts that know where the node's prefix of net1 is."""
    (hnp,) = (str(p) for p in world.mobile_nodes[MN].prefixes if str(p).startswith("2001:db8:1:"))
    return [
        name
        for name, node in world.nodes.items()
        for table, column in (("bindings", "hnp"), ("cache", "prefix"))
        for row in node.snapshot(world.now).get(table, [])
        if row[column] == hnp and row.get("location") is not None
    ]


def test_a_node_that_moves_without_a_session_leaves_nothing_anywhere(
    make_world: Callable[..., World],
) -> None:
    world = make_world()
    world.attach(MN, "ar11")
    world.run(2)
    seen: list[str] = []
    world.on_change.append(lambda world, _route: seen.extend(holders(world)))
    for place in ("ar31", "ar32", "ar21", "ar31"):
        world.attach(MN, place)
        world.run(2)
    assert len(world.mobile_nodes[MN].prefixes) == 3
    assert seen == [], "nor was there anything meanwhile"
    world.run(10)
    assert list(unneeded(world)) == []


def test_when_the_last_session_of_a_prefix_ends_nobody_knows_where_it_is_soon_after(
    make_world: Callable[..., World],
) -> None:
    world = make_world()
    away(world)
    assert {"gw1", "gw3"} <= set(holders(world))
    world.run(5 * IDLE_S)
    assert {"gw1", "gw3"} <= set(holders(world)), "and for as long as it lasts they do"
    world.stop_session(MN, "net1")
    world.run(IDLE_S + SAMPLE_S + 0.5)
    assert holders(world) == []
    assert list(unneeded(world)) == []


def test_a_session_that_only_receives_is_one(make_world: Callable[..., World]) -> None:
    world = make_world()
    away(world)
    world.stop_session(MN, "net1")
    address = world.address(MN, "net1")
    correspondent = world.plan.routers["ar21"].correspondent
    assert address is not None
    assert correspondent is not None

    def receive() -> None:
        world.traffic.send("ar21", correspondent, address)

    world.every(0.5, receive)
    world.run(5 * IDLE_S)
    assert {"gw1", "gw3"} <= set(holders(world))


def test_who_uses_a_prefix_again_after_a_pause_has_it_again(
    make_world: Callable[..., World],
) -> None:
    world = make_world()
    away(world)
    world.stop_session(MN, "net1")
    world.run(2 * IDLE_S)
    assert holders(world) == []
    world.start_session(MN, "net1")
    world.run(3)
    assert list(disagreements(world)) == []
    assert {"gw1", "gw3"} <= set(holders(world))


@pytest.mark.parametrize("seed", seeds(40))
def test_whatever_is_lost_what_no_session_needs_is_gone_once_quiet(seed: int) -> None:
    dice = Random(seed)
    world = example_world(
        seed, Faults(loss=0.2, duplicate=0.1, reorder=0.1), networks=4, mobile_nodes=2
    )
    messages = watch(world)
    wander(world, dice, packets_every_s=[0.5])
    world.run(30)
    assert list(unneeded(world)) == []
    world.faults = Faults()
    world.run(15)
    assert list(disagreements(world)) == []
    assert messages.violations == []
