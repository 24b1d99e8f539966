"""The simulator remembers the paths of packets, and forgets them in time."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from tests.simulator.designs import DESIGNS

from dmm_agent.functions.prefix import HNP_LENGTH
from dmm_agent.simulator.forwarding import Forwarding

if TYPE_CHECKING:
    from collections.abc import Callable

    from dmm_agent.functions.effects import Route
    from dmm_agent.simulator.world import World


def compare(world: World, changed: Route) -> None:
    """Whatever changed, what is remembered is what following the packets anew gives."""
    anew = Forwarding(world.plan, world.tables)
    mobile = [prefix[1] for mn in world.mobile_nodes.values() for prefix in mn.prefixes]
    if changed.prefix.prefixlen == HNP_LENGTH:
        mobile.append(changed.prefix[1])
    fixed = list(world.plan.correspondents())
    flows = {
        (router.name, source, destination)
        for router, correspondent in fixed
        for address in mobile
        for source, destination in ((correspondent, address), (address, correspondent))
    }
    between = {(r.name, one, other) for r, _ in fixed for one in mobile for other in mobile}
    for flow in flows | between:
        assert world.forwarding.trace(*flow) == anew.trace(*flow), flow


@pytest.mark.parametrize("design", ["gateway-push", "access-hold", "anycast-query"])
def test_a_remembered_path_is_the_one_that_packets_take(
    design: str, make_world: Callable[..., World]
) -> None:
    dice = Random(1)
    world = make_world(seed=1, networks=3, access_routers=1, mobile_nodes=2, **DESIGNS[design])
    world.on_change.append(compare)
    for _ in range(6):
        node, place = dice.choice(list(world.mobile_nodes)), dice.choice(["ar11", "ar21", "ar31"])
        world.attach(node, place)
        world.run(dice.choice([0.3, 2.0]))
        network = world.plan.routers[place].network
        if world.address(node, network):
            world.start_session(node, network)
    world.restart("gw2")
    world.kill("ar31")
    world.run(20)
