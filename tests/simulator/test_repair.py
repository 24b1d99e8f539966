"""What repairs a lost or late message before any lifetime does: repetition and the order of time.

Lifetimes here are longer than each run, so nothing is forgotten or refreshed in it.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from dmm_agent.simulator.example import example_world
from dmm_agent.simulator.faults import Faults
from dmm_agent.simulator.invariants import disagreements, watch

if TYPE_CHECKING:
    from dmm_agent.simulator.world import World

MN = "mn1@dmm.example"
LONG_LIFETIMES = {
    "lm": {"binding_lifetime_s": 3600, "answer_lifetime_s": 3600, "delete_delay_s": 4},
    "proxy": {"advertisement_interval_s": 1},
}


def restless(seed: int, faults: Faults) -> World:
    """A node with a session that has just changed its access router twenty times."""
    world = example_world(seed, options=LONG_LIFETIMES)
    watch(world)
    world.attach(MN, "ar11")
    world.run(1)
    world.start_session(MN, "net1", every_s=0.1)
    world.run(1)
    world.faults = faults
    moves = Random(seed)
    for _ in range(20):
        world.attach(MN, moves.choice(["ar11", "ar12", "ar21", "ar22", "ar31", "ar32"]))
        world.run(moves.uniform(0.05, 0.8))
    return world


@pytest.mark.parametrize("seed", range(20))
def test_an_overtaken_message_never_has_the_last_word(seed: int) -> None:
    world = restless(seed, Faults(duplicate=0.3, reorder=0.4, reorder_delay_s=0.25))
    world.run(10)
    assert list(disagreements(world)) == [], f"seed {seed}"


@pytest.mark.parametrize("seed", range(20))
def test_what_is_lost_is_said_again(seed: int) -> None:
    world = restless(seed, Faults(loss=0.2))
    world.faults = Faults(loss=0.2)
    world.run(40)
    world.faults = Faults()
    world.run(5)
    assert list(disagreements(world)) == [], f"seed {seed}"


def test_a_world_whose_time_stands_still_is_noticed() -> None:
    world = example_world()

    def again() -> None:
        world.at(0.0, again)

    again()
    with pytest.raises(AssertionError, match="time stands still"):
        world.run(1)
