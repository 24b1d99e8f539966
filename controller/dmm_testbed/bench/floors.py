"""What a handover cannot be faster than on this computer, measured on the lab itself."""

from __future__ import annotations

import json
import re
from statistics import median
from typing import TYPE_CHECKING

from dmm_testbed.bench import program
from dmm_testbed.bench.figures import BenchError

if TYPE_CHECKING:
    from dmm_testbed.measure.runner import Runner

PINGS = 40
REPLACEMENTS = 200
ACCESS_ROUTER = "fe80::200:5eff:fe00:5213%radio0"
"""Every access router's address on access links (RFC 6543)."""

_TIME = re.compile(r"time=([0-9.]+) ms")

_REPLACE = """
import json, socket, sys, time
from ipaddress import IPv6Address, IPv6Network
sys.path.insert(0, "/opt/dmm-agent")
from dmm_agent.dataplane.netlink import Netlink
from dmm_agent.dataplane.rtnetlink import KernelRoute, delete_route, put_route
from dmm_agent.dataplane.tunnels import TUNNELS

TABLE, METRIC, PREFIX = 999, 1, IPv6Network("2001:db8:ffff:ffff::/64")
there = {name: index for index, name in socket.if_nameindex()}
tunnel = next(tunnel for tunnel in TUNNELS.values() if tunnel.device in there)
own, device = IPv6Address("2001:db8:ffff::"), there[tunnel.device]
times_ms = []
with Netlink() as netlink:
    for number in range(int(sys.argv[1])):
        endpoint = IPv6Address(f"2001:db8:ffff::{number % 2 + 1}")
        route = KernelRoute(TABLE, PREFIX, tunnel.encapsulate(endpoint, own, device), METRIC)
        began = time.perf_counter()
        (answer,) = netlink.transact([put_route(route)])
        times_ms.append((time.perf_counter() - began) * 1000)
        if answer.errno:
            sys.exit(f"replacing a route: {answer}")
    netlink.transact([delete_route(TABLE, PREFIX, METRIC)])
print(json.dumps(times_ms))
"""
"""Runs on a machine, with the agent's own netlink code; nothing looks into that table."""


def round_trip_ms(runner: Runner, host: str, to: str) -> float:
    """The median round trip of a ping.

    Raises:
        BenchError: nothing answers.
    """
    argv = ["ping", "-n", "-c", str(PINGS), "-i", "0.01", "-W", "1", to]
    found = [float(text) for text in _TIME.findall(runner.run(host, argv).stdout)]
    if not found:
        raise BenchError(f"{host} gets no answer to a ping from {to}: does `make verify` pass?")
    return median(found)


def route_replace_ms(runner: Runner, host: str) -> float:
    """The median time in which the kernel replaces an encapsulating route.

    Raises:
        BenchError: it does not.
    """
    times_ms: list[float] = json.loads(program.output(runner, host, _REPLACE, REPLACEMENTS))
    return median(times_ms)
