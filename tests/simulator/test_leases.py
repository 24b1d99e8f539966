"""Leases and bindings under random moves, faults, crashes and restarts: nothing promised is lost.

Blocks have two prefixes for four nodes, so that pools run dry and prefixes change hands; lifetimes
are shorter than some absences, so that leases end, also while their allocator is down. What is
checked all along is in `dmm_agent.simulator.promises` and `invariants`. `DMM_SEEDS=0-999` plays
more seeds than by default.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from tests.simulator.designs import DESIGNS
from tests.simulator.seeds import seeds

from dmm_agent.simulator.disk import CrashPoint
from dmm_agent.simulator.example import example_world
from dmm_agent.simulator.faults import Faults
from dmm_agent.simulator.invariants import disagreements, leftovers, unneeded, watch

if TYPE_CHECKING:
    from dmm_agent.simulator.world import World

LEASE_S, BINDING_S = 24, 8
LIFETIMES = {
    "allocator": {"lease_lifetime_s": LEASE_S},
    "lm": {"binding_lifetime_s": BINDING_S, "answer_lifetime_s": BINDING_S, "delete_delay_s": 2},
    "proxy": {"advertisement_interval_s": 1, "preferred_lifetime_s": 6, "idle_s": 6},
}
QUIET_S = 90
"""Longer than every lifetime, and what a restarted agent leaves in place, together."""
TURNS = 40
POINTS = list(CrashPoint)


def turn(world: World, dice: Random) -> None:
    """One thing that can happen."""
    node, router = dice.choice(list(world.mobile_nodes)), dice.choice(sorted(world.plan.routers))
    place = dice.choice([r.name for r in world.plan.access_routers()])
    network = world.plan.routers[place].network
    match dice.randrange(8):
        case 0 | 1 | 2:
            world.attach(node, place, silently=dice.random() < 0.3)
        case 3:
            world.leave(node, silently=dice.random() < 0.5)
        case 4:
            world.stop_session(node, network)
        case 5 if world.address(node, network) and len(world.mobile_nodes[node].sessions) < 2:
            world.start_session(node, network)
        case 6:
            world.crash(router, dice.choice(POINTS), down_s=dice.choice([0.0, 0.5, 5.0, 30.0]))
        case _:
            world.restart(router)


def held(world: World, node: str, network: str) -> bool:
    """Whether the node's address of a network is one that it has the lease of."""
    address = world.address(node, network)
    leases = world.rows(world.plan.gateway_of(network).name)["leases"]
    prefixes = [lease["hnp"] for lease in leases if lease["mn_id"] == node]
    return address is not None and any(str(address).startswith(p[:-3]) for p in prefixes)


@pytest.mark.parametrize("seed", seeds(20))
def test_no_crash_breaks_a_promise_and_nothing_outlives_its_lease(seed: int) -> None:
    dice = Random(seed)
    world = example_world(
        seed,
        Faults(loss=dice.choice([0.0, 0.2]), duplicate=0.1, reorder=dice.choice([0.0, 0.2])),
        access_routers=dice.randint(1, 2),
        mobile_nodes=4,
        block_length=63,
        options=LIFETIMES,
        **DESIGNS[dice.choice(list(DESIGNS))],
    )
    messages = watch(world)
    for _ in range(TURNS):
        turn(world, dice)
        world.run(dice.choice([0.01, 0.1, 0.5, 2.0, 5.0, 12.0]))
    world.faults = Faults()
    world.run(QUIET_S)

    for node, mn in world.mobile_nodes.items():
        for network in tuple(mn.sessions):
            if not held(world, node, network):
                world.stop_session(node, network)
    world.run(QUIET_S)
    assert [*disagreements(world), *unneeded(world)] == []
    for node in world.mobile_nodes:
        world.leave(node, silently=dice.random() < 0.5)
    world.run(2 * QUIET_S)
    assert list(leftovers(world)) == []
    assert messages.violations == []
