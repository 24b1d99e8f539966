"""Speed of what needs no machines: the functions in the simulator, and the wire format."""

from __future__ import annotations

import time
from collections import deque
from random import Random
from typing import TYPE_CHECKING, TypeVar, get_args

from dmm_agent.functions.events import Event
from dmm_agent.simulator.plan import make_plan
from dmm_agent.simulator.world import World
from dmm_agent.wire import decode, encode
from dmm_testbed.bench.figures import Rate, Speed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dmm_agent.simulator.world import Sent

SEED = 1
NETWORKS, ACCESS_ROUTERS, MOBILE_NODES = 3, 2, 30
MOVES = 1000
BETWEEN_MOVES_S = 0.1
BETWEEN_PACKETS_S = 5.0
"""Following a packet through the tables costs more than an event; few of them bring them about."""
MEASURE_S = 2.0
MAX_MESSAGES = 1000

Item = TypeVar("Item")


def measure() -> Speed:
    """Play random moves in the simulator, then encode and decode the messages it sent."""
    messages: deque[Sent] = deque(maxlen=MAX_MESSAGES)
    events = _simulate(messages.append)
    sent = list(messages)
    octets = [encode(m.message, m.source, m.destination) for m in sent]
    return Speed(
        simulator_events=events,
        encode=_rate(sent, lambda m: encode(m.message, m.source, m.destination)),
        decode=_rate(octets, decode),
    )


def _simulate(observe: Callable[[Sent], None]) -> Rate:
    world = World(make_plan(NETWORKS, ACCESS_ROUTERS, MOBILE_NODES), SEED)
    world.observers.append(observe)
    random = Random(SEED)
    routers = [router.name for router in world.plan.access_routers()]
    networks = [entry.network for entry in world.plan.directory.networks]
    began = time.perf_counter()
    for mn_id in world.mobile_nodes:
        world.attach(mn_id, random.choice(routers))
        world.start_session(mn_id, random.choice(networks), every_s=BETWEEN_PACKETS_S)
    for _ in range(MOVES):
        world.run(BETWEEN_MOVES_S)
        world.attach(random.choice(list(world.mobile_nodes)), random.choice(routers))
    took_s = time.perf_counter() - began
    kinds = get_args(Event)
    count = sum(isinstance(what, kinds) for _, _, what in world.trace)
    return Rate(per_s=count / took_s, count=count)


def _rate(items: Sequence[Item], do: Callable[[Item], object]) -> Rate:
    count = 0
    began = time.perf_counter()
    while (took_s := time.perf_counter() - began) < MEASURE_S:
        for item in items:
            do(item)
        count += len(items)
    return Rate(per_s=count / took_s, count=count)
