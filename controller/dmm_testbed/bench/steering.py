"""What steering costs on the lab: how fast routes are installed, and what a steered path carries.

The correspondent sends to two addresses of the mobile node, which is away: that of the network
where it is, which plain routing leads to, and that of its home, which packets reach in tunnels,
or rewritten and then in a tunnel. The links are the same.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

from dmm_testbed.bench import program, throughput
from dmm_testbed.bench.figures import BenchError, Rate, Steering

if TYPE_CHECKING:
    from collections.abc import Callable
    from ipaddress import IPv6Network

    from dmm_testbed.bench.away import Ways
    from dmm_testbed.measure.runner import Runner

PREFIXES = 10_000
SINGLE = 1_000
"""Of them, so many are installed one at a time as well."""

_ROUTES = """
import json, socket, sys, time
from ipaddress import IPv6Address, IPv6Network
from itertools import islice
from pathlib import Path
sys.path.insert(0, "/opt/dmm-agent")
from dmm_agent.config import load
from dmm_agent.dataplane.entrance import ENTRANCE
from dmm_agent.dataplane.forwarding import Forwarding
from dmm_agent.dataplane.netlink import Netlink
from dmm_agent.dataplane.steering import steering
from dmm_agent.dataplane.tunnels import TUNNELS
from dmm_agent.functions.effects import CacheRoute, Install, Remove

pool, endpoint, count, single, stay = sys.argv[1:]
config = load(Path("/etc/dmm/agent.yml"))
there = {name: index for index, name in socket.if_nameindex()}
tunnel = TUNNELS[config.dataplane]
ways = steering(config, tunnel, there[tunnel.device], there.get(ENTRANCE, 0))
subnets = IPv6Network(pool).subnets(new_prefix=64)
routes = [CacheRoute(prefix, IPv6Address(endpoint)) for prefix in islice(subnets, int(count))]

def timed(effects, at_once):
    began = time.perf_counter()
    for first in range(0, len(effects), at_once):
        failures = forwarding.apply(effects[first:first + at_once])
        if failures:
            sys.exit(str(failures[0]))
    return time.perf_counter() - began

with Netlink() as netlink:
    forwarding = Forwarding(netlink, config.directory.named(config.network).prefix, ways)
    if stay == "gone":
        timed([Remove(route) for route in routes], len(routes))
        sys.exit()
    singly = routes[:int(single)]
    took = {"single": timed([Install(route) for route in singly], 1)}
    timed([Remove(route) for route in singly], len(singly))
    took["batched"] = timed([Install(route) for route in routes], len(routes))
print(json.dumps(took))
"""
"""Runs on a router, with the agent's own code; installs routes, or takes them out."""


def measure(runner: Runner, ways: Ways, profile: str, say: Callable[[str], None]) -> Steering:
    """Install routes, then send traffic both ways in turn while they are there.

    Raises:
        BenchError: a router refuses a route, or traffic does not get through.
    """
    say(f"installing {PREFIXES:,} routes on {ways.ingress}")
    took = json.loads(_routes(runner, ways, "stay"))
    try:
        say(f"throughput, plain and steered, {profile}")
        with throughput.server(runner, ways):
            tcp = throughput.large_tcp(runner, ways)
            udp = throughput.small_udp(runner, ways)
    finally:
        _routes(runner, ways, "gone")
    batched = Rate(per_s=PREFIXES / took["batched"], count=PREFIXES)
    single = Rate(per_s=SINGLE / took["single"], count=SINGLE)
    return Steering(
        profile=profile,
        prefixes=PREFIXES,
        installs_batched=batched,
        installs_single=single,
        batching_ratio=batched.per_s / single.per_s,
        tcp_octets=tcp,
        udp_datagrams=udp,
    )


def _routes(runner: Runner, ways: Ways, stay: Literal["stay", "gone"]) -> str:
    """The last prefixes of the pool are used, which nobody has been given."""
    wanted = (_unused(ways.pool), ways.egress_address, PREFIXES, SINGLE, stay)
    return program.output(runner, ways.ingress, _ROUTES, *wanted)


def _unused(pool: IPv6Network) -> IPv6Network:
    """The upper half of a mobile pool."""
    halves = list(pool.subnets(1))
    if halves[1].num_addresses >> 64 < PREFIXES:
        raise BenchError(f"mobile pool {pool}: expected room for {2 * PREFIXES:,} prefixes")
    return halves[1]
