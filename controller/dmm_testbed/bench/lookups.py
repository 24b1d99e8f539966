"""How fast LM and MR look locations up: the functions alone, one process, no machines."""

from __future__ import annotations

import time
from contextlib import closing
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from dmm_agent.functions.effects import Forget, Remember, Send
from dmm_agent.functions.events import Intercepted, Received
from dmm_agent.functions.node import Node, build_node
from dmm_agent.simulator.example import FUNCTIONS, example_world
from dmm_agent.store.store import Store
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
    from collections.abc import Callable, Sequence

    from dmm_agent.functions.effects import Effect
    from dmm_agent.simulator.world import World
    from dmm_agent.store.store import Changes

MOBILE_NODES = 100
SETTLE_S = 3.0
LIFETIME_S = 100
MEASURE_S = 2.0
TOGETHER = 16
"""Queries that share a commit, because they came while the one before was written."""
SENDER = IPv6Address("2001:db8:3:1::10")
"""A fixed host in the network of who asks."""


def measure(directory: Path) -> Lookups:
    """Ask an LM for its bindings, and have an MR resolve destinations and use what it knows.

    The floor is what taking in and giving out the same messages costs by itself.

    Args:
        directory: on the disk that what an LM must not forget is written to, for a while.
    """
    world = _all_away()
    rows = world.nodes["gw1"].snapshot(world.now)["bindings"]
    prefixes = [IPv6Network(row["hnp"]) for row in rows]

    def messages_alone() -> Rate:
        return _per_s(lambda: _codec(world, prefixes))

    return Lookups(
        bindings=len(prefixes),
        lm=lookup(_per_s(lambda: _ask(world, prefixes)), messages_alone()),
        lm_kept=lookup(_kept(world, prefixes, directory, 1), messages_alone()),
        lm_kept_together=lookup(_kept(world, prefixes, directory, TOGETHER), messages_alone()),
        mr=lookup(_resolving(world, prefixes), messages_alone()),
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
    for number, prefix in enumerate(prefixes):
        _answer_sent(world, _asked(world, number, prefix))
    return len(prefixes)


def _asked(world: World, number: int, prefix: IPv6Network) -> list[Effect]:
    """A query's octets come in; what the LM asks for."""
    asker, own = _address(world, "gw3"), _address(world, "gw1")
    octets = encode(_query(number, prefix), asker, own)
    return world.nodes["gw1"].handle(Received(asker, decode(octets)), world.now)


def _answer_sent(world: World, effects: Sequence[Effect]) -> None:
    asker, own = _address(world, "gw3"), _address(world, "gw1")
    for message in _sent(effects):
        decode(encode(message, own, asker))


def _kept(world: World, prefixes: list[IPv6Network], directory: Path, together: int) -> Rate:
    """Who asked is on the disk before the answer; so many that come together share a commit."""
    with (
        TemporaryDirectory(prefix="store-", dir=directory) as place,
        closing(Store(Path(place) / "agent.db")) as store,
    ):
        batches = [prefixes[i : i + together] for i in range(0, len(prefixes), together)]

        def ask() -> int:
            for batch in batches:
                effects = [e for n, hnp in enumerate(batch) for e in _asked(world, n, hnp)]
                store.write(_changes(effects), world.now)
                _answer_sent(world, effects)
            return len(prefixes)

        return _per_s(ask)


def _changes(effects: Sequence[Effect]) -> Changes:
    kept = [effect for effect in effects if isinstance(effect, Remember | Forget)]
    return {(e.owner, e.table, e.key): e.fields if isinstance(e, Remember) else None for e in kept}


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


def _sent(effects: Sequence[Effect]) -> list[Message]:
    return [effect.message for effect in effects if isinstance(effect, Send)]


def _per_s(once: Callable[[], int]) -> Rate:
    """How often a second what a call does so many times."""
    count = 0
    began = time.perf_counter()
    while (took_s := time.perf_counter() - began) < MEASURE_S:
        count += once()
    return Rate(per_s=count / took_s, count=count)
