"""With `while_resolving: hold` no packet goes by the home network, unless nobody answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dmm_agent.simulator.example import SHORT_LIFETIMES
from dmm_agent.simulator.faults import Faults
from dmm_agent.simulator.forwarding import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from ipaddress import IPv6Address

    from dmm_agent.simulator.forwarding import Trace
    from dmm_agent.simulator.world import World

MN = "mn1@dmm.example"
CN_IN_NET2 = "ar21"


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """Its node has gone from network 1 to network 3, and nobody in network 2 has asked for it."""
    still_needed = {"proxy": {**SHORT_LIFETIMES["proxy"], "idle_s": 3600}}
    made = make_world(while_resolving="hold", options={**SHORT_LIFETIMES, **still_needed})
    made.attach(MN, "ar11")
    made.run(1)
    made.start_session(MN, "net1")
    made.attach(MN, "ar31")
    made.run(2)
    made.stop_session(MN, "net1")
    made.run(30)
    return made


def node(world: World) -> IPv6Address:
    address = world.address(MN, "net1")
    assert address is not None
    return address


def send(world: World) -> Trace:
    correspondent = {r.name: c for r, c in world.plan.correspondents()}[CN_IN_NET2]
    return world.traffic.send(CN_IN_NET2, correspondent, node(world))


def test_the_first_packet_waits_and_then_takes_the_direct_route(world: World) -> None:
    assert send(world).outcome is Outcome.HELD
    world.run(0.5)
    assert world.traffic.held == {}
    later = send(world)
    assert later.path == ("ar21", "gw2", "gw3", "ar31")
    assert later.outcome is Outcome.DELIVERED


def test_when_nobody_answers_packets_go_by_the_home_network(world: World) -> None:
    world.faults = Faults(loss=1.0)
    assert send(world).outcome is Outcome.HELD
    world.run(1.1)
    assert world.traffic.held == {}
    later = send(world)
    assert "gw1" in later.path
    assert later.outcome is Outcome.DELIVERED


def test_an_agent_that_dies_takes_what_it_held_with_it(world: World) -> None:
    world.faults = Faults(loss=1.0)
    send(world)
    world.restart("gw2")
    assert world.traffic.held == {}
