"""Routers whose clocks are off, and hosts that lost the time: they recover, and order still holds.

`DMM_SEEDS=0-999` plays more seeds than by default.
"""

from __future__ import annotations

from random import Random

import pytest
from tests.simulator.designs import DESIGNS
from tests.simulator.seeds import seeds

from dmm_agent.simulator.example import example_world
from dmm_agent.simulator.faults import Faults
from dmm_agent.simulator.invariants import disagreements, leftovers, watch
from dmm_agent.simulator.plan import make_plan

PLAN = make_plan(networks=3, access_routers=2, mobile_nodes=1)
MN = PLAN.mobile_nodes.nodes[0].id
PLACES = [router.name for router in PLAN.access_routers()]
QUIET_S = 90
DAY_S = 86400.0
SKEWS_S = [0.0, 0.0, 0.2, -0.2, 3.0, -3.0, DAY_S, -DAY_S, -1_600_000_000.0]


@pytest.mark.parametrize("seed", seeds(10))
def test_skewed_routers_recover_and_the_order_of_updates_holds(seed: int) -> None:
    dice = Random(seed)
    clocks = {name: dice.choice(SKEWS_S) for name in sorted(PLAN.routers)}
    world = example_world(
        seed,
        Faults(loss=dice.choice([0.0, 0.1]), duplicate=0.1, reorder=0.2),
        clocks=clocks,
        **DESIGNS[dice.choice(list(DESIGNS))],
    )
    messages = watch(world)
    world.attach(MN, dice.choice(PLACES))
    world.run(5)
    for _ in range(12):
        place = dice.choice(PLACES)
        network = PLAN.routers[place].network
        world.attach(MN, place, silently=dice.random() < 0.2)
        world.run(dice.uniform(0.05, 4.0))
        if world.address(MN, network) and len(world.mobile_nodes[MN].sessions) < 2:
            world.start_session(MN, network)
        if dice.random() < 0.2:
            lost = dice.choice(sorted(PLAN.routers))
            skew_s = dice.choice(SKEWS_S)
            if lost.startswith(
                "gw"
            ):  # one that is set forward ends its leases, as time itself does
                skew_s = min(skew_s, world.clocks[lost])
            world.clocks[lost] = skew_s
            world.restart(lost)
    world.faults = Faults()
    world.run(QUIET_S)
    assert list(disagreements(world)) == []
    world.leave(MN, silently=True)
    world.run(2 * QUIET_S)
    assert list(leftovers(world)) == []
    assert messages.violations == []


def test_a_gateway_that_starts_in_1970_keeps_what_it_leased_and_for_no_longer() -> None:
    world = example_world(mobile_nodes=1)
    watch(world)
    world.attach(MN, "ar11")
    world.run(2)
    (before,) = world.rows("gw1")["leases"]
    world.clocks["gw1"] = -1_700_000_000.0
    world.restart("gw1")
    (after,) = world.rows("gw1")["leases"]
    assert (after["hnp"], after["mn_id"]) == (before["hnp"], before["mn_id"])
    assert 0 < after["remaining_s"] <= 40, "no longer than it was granted"
    world.start_session(MN, "net1")
    world.attach(MN, "ar31")
    world.run(10)
    assert list(disagreements(world)) == []
