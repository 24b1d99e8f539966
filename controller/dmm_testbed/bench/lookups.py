"""How fast LM and MR look locations up: the functions alone, one process, no machines."""

from __future__ import annotations

import time
from ipaddress import IPv6Address, IPv6Network
from random import Random
from typing import TYPE_CHECKING

from dmm_agent.functions.effects import Send
from dmm_agent.functions.events import Intercepted, Received
from dmm_agent.functions.node import Node, build_node
from dmm_agent.simulator.example import FUNCTIONS, example_world
from dmm_agent.wire import (
    AnswerStatus,
    HomeNetworkPrefix,
    LocationAnswer,
    LocationQuery,
    MagAddress,
    Message,
    decode,
    encode,
)
from dmm_testbed.bench.figures import Lookups, Rate, lookup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dmm_agent.functions.effects import Effect
    from dmm_agent.simulator.world import World

MOBILE_NODES = 100
SETTLE_S = 3.0
LIFETIME_S = 100
MEASURE_S = 2.0
SENDER = IPv6Address("2001:db8:3:1::10")
"""A fixed host in the network of who asks."""


def measure() -> Lookups:
    """Ask an LM for its bindings, and have an MR resolve destinations and use what it knows.

    The floor is what taking in and giving out the same messages costs by itself.
    """
    world = _all_away()
    rows = world.nodes["gw1"].snapshot(world.now)["bindings"]
    prefixes = [IPv6Network(row["hnp"]) for row in rows]
    return Lookups(
        bindings=len(prefixes),
        lm=lookup(_per_s(lambda: _ask(world, prefixes)), _per_s(lambda: _codec(world, prefixes))),
        mr=lookup(_resolving(world, prefixes), _per_s(lambda: _codec(world, prefixes))),
        mr_cached=_per_s(_using(world, prefixes)),
    )


def _all_away() -> World:
    """Three networks; the mobile nodes of the first are all in the second."""
    world = example_world(networks=3, access_routers=1, mobile_nodes=MOBILE_NODES, options={})
    for access_router in ("ar11", "ar21"):
        for mn_id in world.mobile_nodes:
            world.attach(mn_id, access_router)
        world.run(SETTLE_S)
        for mn_id in world.mobile_nodes:
            world.start_session(mn_id, "net1")
    world.run(SETTLE_S)
    return world


def _query(number: int, prefix: IPv6Network) -> LocationQuery:
    return LocationQuery(sequence=number, options=(HomeNetworkPrefix(prefix),))


def _answer(query: LocationQuery, prefix: IPv6Network, where: IPv6Address) -> LocationAnswer:
    options = (HomeNetworkPrefix(prefix), MagAddress(where))
    return LocationAnswer(AnswerStatus.AWAY, query.sequence, LIFETIME_S, options)


def _ask(world: World, prefixes: list[IPv6Network]) -> int:
    """Octets come in, octets go out, for each prefix once."""
    lm, asker, own = world.nodes["gw1"], _address(world, "gw3"), _address(world, "gw1")
    for number, prefix in enumerate(prefixes):
        octets = encode(_query(number, prefix), asker, own)
        for message in _sent(lm.handle(Received(asker, decode(octets)), world.now)):
            decode(encode(message, own, asker))
    return len(prefixes)


def _codec(world: World, prefixes: list[IPv6Network]) -> int:
    """The same octets, and nobody who thinks about them."""
    asker, own = _address(world, "gw3"), _address(world, "gw1")
    where = _address(world, "gw2")
    for number, prefix in enumerate(prefixes):
        query = _query(number, prefix)
        decode(encode(query, asker, own))
        decode(encode(_answer(query, prefix, where), own, asker))
    return len(prefixes)


def _resolving(world: World, prefixes: list[IPv6Network]) -> Rate:
    """Packets come for destinations that the MR knows nothing of; it asks and is answered."""
    count, took_s = 0, 0.0
    while took_s < MEASURE_S:
        mr = _mobility_router(world)
        began = time.perf_counter()
        count += _resolve(world, mr, prefixes)
        took_s += time.perf_counter() - began
    return Rate(per_s=count / took_s, count=count)


def _resolve(world: World, mr: Node, prefixes: list[IPv6Network]) -> int:
    lm, own, where = (_address(world, name) for name in ("gw1", "gw3", "gw2"))
    for prefix in prefixes:
        for query in _sent(mr.handle(Intercepted(SENDER, prefix[5]), world.now)):
            if not isinstance(query, LocationQuery):
                continue
            decode(encode(query, own, lm))
            octets = encode(_answer(query, prefix, where), lm, own)
            mr.handle(Received(lm, decode(octets)), world.now)
    return len(prefixes)


def _using(world: World, prefixes: list[IPv6Network]) -> Callable[[], int]:
    """Packets come for destinations that the MR has resolved."""
    mr = _mobility_router(world)
    _resolve(world, mr, prefixes)
    packets = [Intercepted(SENDER, prefix[5]) for prefix in prefixes]

    def use() -> int:
        for packet in packets:
            mr.handle(packet, world.now)
        return len(packets)

    return use


def _mobility_router(world: World) -> Node:
    """The functions of network 3's gateway, which know of nobody."""
    config = world.plan.config(world.plan.routers["gw3"], {})
    return build_node(config, Random(1), FUNCTIONS)


def _address(world: World, name: str) -> IPv6Address:
    return world.plan.routers[name].address


def _sent(effects: Iterable[Effect]) -> list[Message]:
    return [effect.message for effect in effects if isinstance(effect, Send)]


def _per_s(once: Callable[[], int]) -> Rate:
    """How often a second what a call does so many times."""
    count = 0
    began = time.perf_counter()
    while (took_s := time.perf_counter() - began) < MEASURE_S:
        count += once()
    return Rate(per_s=count / took_s, count=count)
