"""Mobile nodes that report their sessions: state for those, silent ones too, and for no others."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from tests.simulator.designs import DESIGNS
from tests.simulator.wandering import wander

from dmm_agent.simulator.example import example_world
from dmm_agent.simulator.faults import Faults
from dmm_agent.simulator.invariants import disagreements, unneeded, watch

if TYPE_CHECKING:
    from dmm_agent.simulator.world import World

MN = "mn1@dmm.example"
DESIGN = DESIGNS["gateway-signalled"]
NEVER_S = 1e6
"""Pause between the packets of a session that sends none while the test lasts."""


def bound(world: World) -> list[str]:
    """Where the home LM has the node's prefixes of net1."""
    return [row["location"] for row in world.nodes["gw1"].snapshot(world.now)["bindings"]]


def with_silent_session() -> World:
    world = example_world(**DESIGN)
    world.attach(MN, "ar11")
    world.run(2)
    world.start_session(MN, "net1", every_s=NEVER_S)
    world.run(1)
    return world


def test_a_session_that_sends_nothing_is_registered_after_a_move_and_as_long_as_it_lasts() -> None:
    world = with_silent_session()
    world.attach(MN, "ar31")
    world.run(1)
    where = [str(world.plan.routers["gw3"].address)]
    assert bound(world) == where
    world.run(120)
    assert bound(world) == where
    assert list(unneeded(world)) == []


def test_its_end_is_the_end_of_all_state_for_it_at_once() -> None:
    world = with_silent_session()
    world.attach(MN, "ar31")
    world.run(2)
    world.stop_session(MN, "net1")
    world.run(1)
    assert bound(world) == []
    assert list(unneeded(world)) == []


def test_a_node_without_sessions_is_nowhere_registered_but_where_it_is() -> None:
    world = example_world(**DESIGN)
    seen: list[str] = []
    world.on_change.append(lambda world, _route: seen.extend(bound(world)))
    for place in ("ar11", "ar31", "ar21"):
        world.attach(MN, place)
        world.run(3)
    assert seen == []
    assert list(unneeded(world)) == []


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_lost_only_what_sessions_need_is_there_once_quiet(seed: int) -> None:
    dice = Random(seed)
    faults = Faults(loss=0.2, duplicate=0.1, reorder=0.1)
    world = example_world(seed, faults, networks=4, mobile_nodes=2, **DESIGN)
    messages = watch(world)
    wander(world, dice, packets_every_s=[0.5, NEVER_S])
    world.run(30)
    assert list(unneeded(world)) == []
    world.faults = Faults()
    world.run(15)
    assert list(disagreements(world)) == []
    assert messages.violations == []
