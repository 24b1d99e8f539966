"""A node moves on while others still hold its last location: what they send follows it.

No message is lost here; what loss does is in `test_any_history`.
"""

from __future__ import annotations

from random import Random

import pytest
from tests.simulator.designs import DESIGNS
from tests.simulator.seeds import seeds

from dmm_agent.simulator.example import example_world
from dmm_agent.simulator.invariants import none_stranded, watch

MN = "mn1@dmm.example"
ACCESS_ROUTERS = ["ar11", "ar12", "ar21", "ar22", "ar31", "ar32", "ar41", "ar42"]


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("seed", seeds(4))
def test_packets_reach_the_node_from_the_moment_its_home_knows_where_it_is(
    seed: int, design: str
) -> None:
    world = example_world(seed, networks=4, **DESIGNS[design])
    watch(world)
    moves = Random(seed)
    world.attach(MN, "ar11")
    world.run(1)
    world.start_session(MN, "net1", every_s=0.1)
    world.run(3)
    world.on_change.append(none_stranded)
    for _ in range(20):
        world.attach(MN, moves.choice(ACCESS_ROUTERS))
        world.run(moves.uniform(0.05, 4))
