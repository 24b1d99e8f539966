"""What the four functions do together, on a network that loses nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmm_agent.simulator.forwarding import Outcome
from dmm_agent.simulator.invariants import OnlyToWhoAsked, detours, disagreements, leftovers

if TYPE_CHECKING:
    from collections.abc import Callable
    from ipaddress import IPv6Address

    from dmm_agent.simulator.world import World

MN = "mn1@dmm.example"


def bindings(world: World, host: str) -> list[str]:
    return [row["location"] for row in world.nodes[host].snapshot(world.now).get("bindings", [])]


def cache(world: World, host: str) -> dict[str, str]:
    rows = world.nodes[host].snapshot(world.now).get("cache", [])
    return {row["prefix"]: row["status"] for row in rows}


def address(world: World, network: str) -> IPv6Address:
    found = world.address(MN, network)
    assert found is not None
    return found


def correspondent_below(world: World, access_router: str) -> IPv6Address:
    found = world.plan.routers[access_router].correspondent
    assert found is not None
    return found


def test_a_node_at_home_gets_a_prefix_and_leaves_no_entry(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.attach(MN, "ar11")
    world.run(0.5)
    assert world.address(MN, "net1") is not None
    assert bindings(world, "gw1") == []
    assert len(world.nodes["gw1"].snapshot(world.now)["leases"]) == 1


def test_after_a_move_the_home_lm_points_at_the_mr_and_that_one_at_the_access_router(
    make_world: Callable[..., World],
) -> None:
    world = make_world()
    world.attach(MN, "ar11")
    world.start_session(MN, "net1")
    world.run(2)
    world.attach(MN, "ar31")
    world.run(2)
    routers = world.plan.routers
    assert bindings(world, "gw1") == [str(routers["gw3"].address)]
    assert bindings(world, "gw3") == [str(routers["ar31"].address)]
    mn = world.mobile_nodes[MN]
    old, new = address(world, "net1"), address(world, "net3")
    by_address = {p.address: p for p in mn.prefixes.values()}
    assert by_address[old].preferred_until <= world.now < by_address[old].valid_until
    assert by_address[new].preferred_until > world.now
    assert list(disagreements(world)) == []
    assert list(detours(world)) == []


def test_first_packets_go_by_the_home_network_and_later_ones_directly(
    make_world: Callable[..., World],
) -> None:
    world = make_world()
    world.attach(MN, "ar11")
    world.start_session(MN, "net1", every_s=5)
    world.run(1)
    hoa = address(world, "net1")
    correspondent = correspondent_below(world, "ar21")
    world.attach(MN, "ar31")
    world.run(0.1)
    world.traffic.from_node(world.mobile_nodes[MN], hoa, correspondent)
    world.run(0.1)
    first = world.traffic.send("ar21", correspondent, hoa)
    assert first.path == ("ar21", "gw2", "gw1", "gw3", "ar31")
    world.run(0.1)
    second = world.traffic.send("ar21", correspondent, hoa)
    assert second.path == ("ar21", "gw2", "gw3", "ar31")
    back = world.forwarding.trace("ar31", hoa, correspondent)
    assert back.outcome is Outcome.DELIVERED


def test_a_move_inside_a_network_stays_inside(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.attach(MN, "ar11")
    world.start_session(MN, "net1")
    world.run(2)
    world.attach(MN, "ar31")
    world.run(3)
    inside = {r.address for r in world.plan.routers.values() if r.network == "net3"}
    outside: list[object] = []
    world.observers.append(
        lambda sent: None if {sent.source, sent.destination} <= inside else outside.append(sent)
    )
    world.attach(MN, "ar32")
    world.run(1)
    assert outside == []
    assert set(bindings(world, "gw3")) == {str(world.plan.routers["ar32"].address)}
    assert list(disagreements(world)) == []


def test_coming_home_ends_bindings_and_caches(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.attach(MN, "ar11")
    world.start_session(MN, "net1")
    world.run(2)
    world.attach(MN, "ar32")
    world.run(3)
    world.attach(MN, "ar11")
    world.run(1)
    assert bindings(world, "gw1") == bindings(world, "gw3") == []
    assert set(cache(world, "gw2").values()) <= {"home"}
    assert list(disagreements(world)) == []
    left = {name: list(t.routes.values()) for name, t in world.tables.items() if len(t)}
    assert list(left) == ["ar11"], "only the delivery at home is left"


def test_a_node_that_vanishes_is_forgotten_when_its_lifetimes_end(
    make_world: Callable[..., World],
) -> None:
    world = make_world()
    world.attach(MN, "ar11")
    world.start_session(MN, "net1")
    world.run(2)
    world.attach(MN, "ar31")
    world.run(3)
    world.stop_session(MN, "net1")
    world.leave(MN, silently=True)
    world.run(60)
    assert list(leftovers(world)) == []


def test_nobody_hears_of_a_node_it_never_asked_about(make_world: Callable[..., World]) -> None:
    world = make_world(mobile_nodes=2)
    watch = OnlyToWhoAsked()
    world.observers.append(watch)
    world.attach(MN, "ar11")
    world.attach("mn2@dmm.example", "ar21")
    world.start_session(MN, "net1")
    for access_router in ("ar31", "ar32", "ar22", "ar11"):
        world.run(3)
        world.attach(MN, access_router)
    world.run(3)
    assert watch.violations == []


def test_a_prefix_of_someone_else_is_refused(make_world: Callable[..., World]) -> None:
    world = make_world(mobile_nodes=2)
    world.attach(MN, "ar11")
    world.attach("mn2@dmm.example", "ar21")
    world.run(1)
    thief = world.mobile_nodes["mn2@dmm.example"]
    world.traffic.from_node(thief, address(world, "net1"), correspondent_below(world, "ar31"))
    world.run(2)
    assert bindings(world, "gw1") == bindings(world, "gw2") == []
