"""What repairs a lost or late message before any lifetime does: repetition and the order of time.

Lifetimes here are longer than each run, so nothing is forgotten or refreshed in it.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from tests.simulator.designs import DESIGNS, OPTIMISING
from tests.simulator.seeds import seeds

from dmm_agent.simulator.disk import CrashPoint
from dmm_agent.simulator.example import example_world
from dmm_agent.simulator.faults import Faults
from dmm_agent.simulator.invariants import detours, disagreements, watch

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


GATEWAYS = ("gw1", "gw2", "gw3", "gw4")


def with_direct_routes(seed: int, design: str) -> World:
    """A node with a session, away from home; all gateways know the direct way to it."""
    world = example_world(seed, networks=4, options=LONG_LIFETIMES, **DESIGNS[design])
    watch(world)
    world.attach(MN, "ar11")
    world.run(1)
    world.start_session(MN, "net1", every_s=0.1)
    world.attach(MN, "ar31")
    world.run(5)
    assert list(detours(world)) == []
    return world


@pytest.mark.parametrize("design", OPTIMISING)
def test_an_lm_that_is_restarted_still_tells_who_asked_it_of_the_next_move(design: str) -> None:
    world = with_direct_routes(1, design)
    world.restart("gw1")
    world.run(1)
    world.attach(MN, "ar41")
    world.run(10)
    assert [*disagreements(world), *detours(world)] == []


@pytest.mark.parametrize("point", CrashPoint)
def test_a_notice_that_died_with_its_lm_is_sent_by_the_next(point: CrashPoint) -> None:
    """It is down for longer than anybody waits for an answer."""
    world = with_direct_routes(1, "gateway-query")
    world.crash("gw1", point, down_s=20)
    world.attach(MN, "ar41")
    world.run(40)
    assert [*disagreements(world), *detours(world)] == []


@pytest.mark.parametrize("seed", seeds(12))
def test_whenever_lms_die_no_stale_location_stays(seed: int) -> None:
    dice = Random(seed)
    world = with_direct_routes(seed, dice.choice(OPTIMISING))
    world.faults = Faults(loss=dice.choice([0.0, 0.2]), duplicate=0.1, reorder=0.2)
    for _ in range(10):
        for gateway in GATEWAYS:
            if dice.random() < 0.4:
                world.crash(gateway, dice.choice(list(CrashPoint)), dice.choice([0.0, 0.5, 3.0]))
        world.attach(MN, dice.choice(["ar11", "ar12", "ar21", "ar22", "ar31", "ar32"]))
        world.run(dice.uniform(0.1, 6.0))
    for gateway in GATEWAYS:
        world.restart(gateway)
    world.run(40)
    world.faults = Faults()
    world.run(10)
    assert [*disagreements(world), *detours(world)] == [], f"seed {seed}"


def test_a_world_whose_time_stands_still_is_noticed() -> None:
    world = example_world()

    def again() -> None:
        world.at(0.0, again)

    again()
    with pytest.raises(AssertionError, match="time stands still"):
        world.run(1)
