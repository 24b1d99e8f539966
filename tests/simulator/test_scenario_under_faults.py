"""The whole scenario with 20 % loss, duplication and reordering, over many seeds.

A failure names the seed; `DMM_SEEDS=7 pytest tests/simulator/test_scenario_under_faults.py` plays
that one alone, `DMM_SEEDS=0-1999` a range.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from dmm_agent.simulator.faults import Faults
from dmm_agent.simulator.invariants import OnlyToWhoAsked, disagreements, leftovers

if TYPE_CHECKING:
    from collections.abc import Callable

    from dmm_agent.simulator.world import World

MN1, MN2 = "mn1@dmm.example", "mn2@dmm.example"
FAULTS = Faults(loss=0.2, duplicate=0.1, reorder=0.1)
QUIET_S = 60
"""Longer than every lifetime and retransmission of the short options together."""


def seeds() -> list[int]:
    first, _, last = os.environ.get("DMM_SEEDS", "0-199").partition("-")
    return list(range(int(first), int(last or first) + 1))


def play(world: World) -> OnlyToWhoAsked:
    """Attach, move between networks and inside one, ping-pong, meet another mover."""
    watch = OnlyToWhoAsked()
    world.observers.append(watch)
    world.attach(MN1, "ar11")
    world.attach(MN2, "ar21")
    for mn, network in ((MN1, "net1"), (MN2, "net2")):
        world.run_until(lambda: world.address(mn, network) is not None, limit_s=60)  # noqa: B023
        world.start_session(mn, network)
    world.run(2)
    for mn, access_router, stay_s in (
        (MN1, "ar31", 4),
        (MN1, "ar32", 3),
        (MN2, "ar12", 1),
        (MN1, "ar21", 0.5),
        (MN1, "ar31", 0.3),
        (MN1, "ar21", 0.2),
        (MN2, "ar31", 5),
        (MN1, "ar11", 0.1),
        (MN1, "ar31", 6),
    ):
        world.attach(mn, access_router)
        world.run(stay_s)
    return watch


@pytest.mark.parametrize("seed", seeds())
def test_every_table_agrees_once_quiet_and_nothing_is_left_once_gone(
    seed: int, make_world: Callable[..., World]
) -> None:
    world = make_world(seed=seed, faults=FAULTS, mobile_nodes=2)
    watch = play(world)
    world.run(QUIET_S)
    world.faults = Faults()
    world.run(15)
    assert list(disagreements(world)) == [], f"seed {seed}, away"
    world.faults = FAULTS
    world.attach(MN1, "ar11")
    world.run(QUIET_S)
    world.faults = Faults()
    world.run(15)
    assert list(disagreements(world)) == [], f"seed {seed}, at home"
    world.leave(MN1, silently=True)
    world.leave(MN2)
    world.run(2 * QUIET_S)
    assert list(leftovers(world)) == [], f"seed {seed}, gone"
    assert watch.violations == [], f"seed {seed}"


def test_the_same_seed_gives_the_same_trace(make_world: Callable[..., World]) -> None:
    traces = []
    for _ in range(2):
        world = make_world(seed=42, faults=FAULTS, mobile_nodes=2)
        play(world)
        traces.append(world.trace)
    assert traces[0] == traces[1]
    other = make_world(seed=43, faults=FAULTS, mobile_nodes=2)
    play(other)
    assert other.trace != traces[0]
