"""Mobility by mobile nodes themselves: moves, sessions, faults and restarts by the roll of a die.

`DMM_SEEDS=0-999` plays more of them than by default.
"""

from __future__ import annotations

from ipaddress import IPv6Network
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from tests.simulator.seeds import seeds

from dmm_agent.functions.effects import BindingRoute, VisitorRoute
from dmm_agent.simulator.example import FUNCTIONS
from dmm_agent.simulator.faults import Faults
from dmm_agent.simulator.plain_world import PlainWorld
from dmm_agent.simulator.plan import make_plan

if TYPE_CHECKING:
    from collections.abc import Iterator

FAULTS = Faults(loss=0.2, duplicate=0.2, reorder=0.2, reorder_delay_s=3.0)
"""Late enough for a copy to come after the answer to a newer update."""
OPTIONS: dict[str, dict[str, Any]] = {
    "allocator": {"lease_lifetime_s": 60},
    "lm": {"mobility": "host", "binding_lifetime_s": 12},
    "mr": {"resolution": "none"},
    "client": {"binding_lifetime_s": 12},
}
QUIET_S = 60.0
"""Longer than the longest pause between copies of an update."""


def plain_world(seed: int, faults: Faults = FAULTS) -> PlainWorld:
    world = PlainWorld(make_plan(3, 2, 3), seed, faults, OPTIONS, FUNCTIONS)
    world.every(0.5, lambda: check_leases(world))
    return world


def check_leases(world: PlainWorld) -> None:
    """No address is two nodes', and no binding is without a lease, or outlives it."""
    for name, node in world.nodes.items():
        tables = node.snapshot(world.now)
        leases = {row["hnp"]: row for row in tables.get("leases", [])}
        for binding in tables.get("bindings", []):
            lease = leases[binding["hnp"]]
            assert lease["mn_id"] == binding["mn_id"], (name, binding, lease)
            assert binding["remaining_s"] <= lease["remaining_s"], (name, binding, lease)


def play(world: PlainWorld, seed: int, acts: int) -> None:
    """Nodes move, begin and end sessions; agents of gateways die and come back."""
    dice = Random(seed)
    routers = [router.name for router in world.plan.access_routers()]
    for _ in range(acts):
        name = dice.choice(sorted(world.clients))
        act = dice.random()
        if act < 0.45:
            world.move(name, dice.choice(routers))
        elif act < 0.5:
            world.move(name, None)
        elif act < 0.75:
            world.begin_session(name)
        elif act < 0.9 and world.clients[name].sessions:
            world.end_session(name, dice.choice(sorted(world.clients[name].sessions)))
        elif act > 0.95:
            world.restart(dice.choice(["gw1", "gw2", "gw3"]))
        world.run(dice.uniform(0.0, 4.0))


def bound(world: PlainWorld) -> dict[str, str]:
    """Where home agents have each home address."""
    rows = [row for node in world.nodes.values() for row in node.snapshot(world.now)["bindings"]]
    return {row["hnp"]: row["location"] for row in rows}


def disagreements(world: PlainWorld) -> Iterator[str]:
    """What home agents, kernels and nodes have that is not how things are."""
    wanted: dict[str, str] = {}
    for name, client in world.clients.items():
        assert client.prefix is not None, "attached by now"
        here = client.prefix[client.identifier]
        away = {a for a in client.sessions if not client.is_on_link(a)}
        wanted |= {str(IPv6Network(address)): str(here) for address in away}
        for address in away:
            route = world.tables[name].routes.get((VisitorRoute, IPv6Network(address)))
            if not isinstance(route, VisitorRoute) or route.source != here:
                yield f"{name}: what comes from {address} is not tunnelled from {here}: {route}"
        for kind, prefix in world.tables[name].routes:
            if prefix.network_address not in away:
                yield f"{name}: {kind.__name__} for {prefix}, which nobody needs"
    if bound(world) != wanted:
        yield f"bound is {bound(world)}, expected {wanted}"
    for gateway in world.nodes:
        for kind, prefix in world.tables[gateway].routes:
            if kind is BindingRoute and str(prefix) not in wanted:
                yield f"{gateway}: a route for {prefix}, which is not bound"


@pytest.mark.parametrize("seed", seeds(40))
def test_whatever_nodes_do_all_agree_in_the_end_and_forget_it_later(seed: int) -> None:
    world = plain_world(seed)
    play(world, seed, acts=30)
    world.faults = Faults()
    for name, client in world.clients.items():
        if client.at is None:
            world.move(name, "ar11")
    world.run(QUIET_S)
    assert list(disagreements(world)) == [], f"seed {seed}"

    for name, client in world.clients.items():
        for address in tuple(client.sessions):
            world.end_session(name, address)
    world.run(2)
    assert bound(world) == {}, f"seed {seed}: de-registered within a bound"
    world.run(70)
    assert list(disagreements(world)) == [], f"seed {seed}"
    assert all(node.snapshot(world.now)["leases"] == [] for node in world.nodes.values())


def test_sessions_do_not_break_where_only_a_message_now_and_then_is_lost() -> None:
    """An address in use is there for as long as its node can be reached."""
    for seed in range(10):
        world = plain_world(seed, Faults(loss=0.05))
        dice = Random(seed)
        routers = [router.name for router in world.plan.access_routers()]
        for name in world.clients:
            world.move(name, dice.choice(routers))
        world.run(4)
        assert all(world.begin_session(name) for name in world.clients)
        for _ in range(10):
            world.move(dice.choice(sorted(world.clients)), dice.choice(routers))
            world.run(8)
        assert [client.broken for client in world.clients.values()] == [set()] * 3, seed


def test_nobody_signals_without_a_session() -> None:
    world = plain_world(1, Faults())
    for router in ("ar11", "ar21", "ar22", "ar31", "ar11"):
        world.move("mn1", router)
        world.run(5)
    sent = [what for _, where, what in world.trace if where == "mn1" and "Send(" in repr(what)]
    assert sent == []
    assert bound(world) == {}
