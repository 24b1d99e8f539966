"""Mobile nodes that run functions: what they say gets to their access router, and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmm_agent.functions.events import HeardOnLink
from dmm_agent.simulator.example import FUNCTIONS, SHORT_LIFETIMES
from dmm_agent.simulator.faults import Faults
from dmm_agent.simulator.plan import make_plan
from dmm_agent.simulator.world import World
from dmm_agent.wire import HomeNetworkPrefix, SessionReport

if TYPE_CHECKING:
    from ipaddress import IPv6Network

MN = "mn1@dmm.example"


def world_with_sessions(faults: Faults | None = None) -> World:
    plan = make_plan(3, 2, 1)
    return World(plan, 1, faults, SHORT_LIFETIMES, FUNCTIONS, mobile_functions=["sessions"])


def reports(world: World) -> list[tuple[str, list[IPv6Network]]]:
    """Where each report arrived, and its prefixes."""
    return [
        (where, [option.prefix for option in what.message.every(HomeNetworkPrefix)])
        for _, where, what in world.trace
        if isinstance(what, HeardOnLink) and isinstance(what.message, SessionReport)
    ]


def test_a_node_without_sessions_says_so_when_it_comes() -> None:
    world = world_with_sessions()
    world.attach(MN, "ar11")
    world.run(3)

    assert set(map(str, reports(world))) == {"('ar11', [])"}


def test_a_session_is_reported_where_the_node_is() -> None:
    world = world_with_sessions()
    world.attach(MN, "ar11")
    world.run(2)
    world.start_session(MN, "net1")
    address = world.address(MN, "net1")
    assert address is not None
    world.run(1)
    world.attach(MN, "ar31")
    moved_at = world.now
    world.run(1)

    where, prefixes = reports(world)[-1]
    assert where == "ar31"
    assert any(address in prefix for prefix in prefixes)
    first = next(
        at
        for at, name, what in world.trace
        if at >= moved_at and name == "ar31" and isinstance(what, HeardOnLink)
    )
    assert first - moved_at <= world.faults.delay_s[1], "nothing is waited for"


def test_what_is_lost_is_said_again() -> None:
    world = world_with_sessions(Faults(loss=0.5))
    world.attach(MN, "ar11")
    world.run(10)

    assert reports(world)


def test_what_is_on_its_way_when_the_node_leaves_does_not_arrive() -> None:
    world = world_with_sessions()
    world.attach(MN, "ar11")
    world.leave(MN)
    world.run(3)

    assert reports(world) == []
