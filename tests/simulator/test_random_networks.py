"""Networks of any size, moves of any kind, and faults: in the end all is direct, and all is known.

`DMM_SEEDS=0-999` plays more of them than by default.
"""

from __future__ import annotations

from random import Random

import pytest
from tests.simulator.designs import DESIGNS, OPTIMISING
from tests.simulator.seeds import seeds

from dmm_agent.simulator.example import example_world
from dmm_agent.simulator.faults import Faults
from dmm_agent.simulator.invariants import detours, disagreements, leftovers, watch

QUIET_S = 90
"""Longer than every lifetime, and what a restarted agent leaves in place, together."""
MOVES = 12


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("seed", seeds(5))
def test_once_quiet_every_session_works_and_once_gone_nothing_is_left(
    seed: int, design: str
) -> None:
    dice = Random(seed)
    world = example_world(
        seed,
        Faults(loss=dice.choice([0.0, 0.1, 0.3]), duplicate=0.1, reorder=dice.choice([0.0, 0.2])),
        networks=dice.randint(3, 12),
        access_routers=dice.randint(1, 2),
        mobile_nodes=dice.randint(1, 2),
        **DESIGNS[design],
    )
    messages = watch(world)
    places = [router.name for router in world.plan.access_routers()]
    nodes = list(world.mobile_nodes)
    for _ in range(MOVES):
        node, place = dice.choice(nodes), dice.choice(places)
        world.attach(node, place, silently=dice.random() < 0.3)
        world.run(dice.choice([0.05, 0.3, 1.0, 4.0]))
        network = world.plan.routers[place].network
        if world.address(node, network) and len(world.mobile_nodes[node].sessions) < 2:
            world.start_session(node, network)
        if dice.random() < 0.1:
            world.restart(dice.choice(sorted(world.plan.routers)))
    world.faults = Faults()
    world.run(QUIET_S)

    assert list(disagreements(world)) == []
    if design in OPTIMISING:
        assert list(detours(world)) == []
    for node in nodes:
        world.leave(node, silently=dice.random() < 0.5)
    world.run(2 * QUIET_S)
    assert list(leftovers(world)) == []
    assert messages.violations == []
