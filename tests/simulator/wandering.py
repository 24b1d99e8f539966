"""A random walk: nodes move about, and sessions begin and end meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from dmm_agent.simulator.world import World

TURNS = 20


def wander(world: World, dice: Random, packets_every_s: Sequence[float]) -> None:
    """Let time pass in which anything may happen; each session has one of these pauses."""
    places = [router.name for router in world.plan.access_routers()]
    for _ in range(TURNS):
        node = dice.choice(list(world.mobile_nodes))
        mn = world.mobile_nodes[node]
        if dice.random() < 0.5:
            world.attach(node, dice.choice(places), silently=dice.random() < 0.3)
        elif mn.at is not None and world.address(node, world.plan.routers[mn.at].network):
            network = world.plan.routers[mn.at].network
            world.start_session(node, network, dice.choice(packets_every_s))
        if mn.sessions and dice.random() < 0.3:
            world.stop_session(node, dice.choice(list(mn.sessions)))
        world.run(dice.choice([0.1, 1.0, 4.0, 8.0]))
