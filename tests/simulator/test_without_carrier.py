"""Links that tell nobody when a node has left: it may be back before that shows.

As between virtual machines, and where a switch stands between the router and the antenna.
"""

from __future__ import annotations

import pytest
from tests.simulator.designs import DESIGNS

from dmm_agent.simulator.example import example_world
from dmm_agent.simulator.forwarding import Outcome
from dmm_agent.simulator.invariants import disagreements, watch

MN = "mn1@dmm.example"
NOTICED_S = 2.0
"""Long before unanswered probes show that a node has left."""
MISSED_S = 10.0
"""By then they have."""


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize(
    "places",
    [
        pytest.param(["ar11", "ar21", "ar11"], id="home"),
        pytest.param(["ar11", "ar21", "ar31", "ar21"], id="to another network it visited"),
        pytest.param(["ar11", "ar21", "ar22", "ar21"], id="inside a network it visits"),
        pytest.param(["ar11", "ar12", "ar11"], id="inside its home network"),
    ],
)
def test_a_node_that_is_back_before_it_was_missed_is_reached_there(
    places: list[str], design: str
) -> None:
    world = example_world(networks=4, **DESIGNS[design])
    messages = watch(world)
    world.attach(MN, places[0])
    world.run(1)
    world.start_session(MN, "net1", every_s=0.1)
    for place in places[1:]:
        world.run(NOTICED_S)
        world.attach(MN, place, silently=True)
    world.run(NOTICED_S)

    address = world.address(MN, "net1")
    assert address is not None
    for router, correspondent in world.plan.correspondents():
        if router.name in places:
            continue  # whoever still believes it is there delivers there
        there = world.forwarding.trace(router.name, correspondent, address)
        back = world.forwarding.trace(places[-1], address, correspondent)
        assert (there.outcome, there.path[-1]) == (Outcome.DELIVERED, places[-1]), there
        assert back.outcome is Outcome.DELIVERED, back
    world.run(MISSED_S)
    assert list(disagreements(world)) == []
    assert messages.violations == []
