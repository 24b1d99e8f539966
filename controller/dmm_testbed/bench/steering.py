"""What steering costs on the lab: how fast routes are installed, and what a steered path carries.

The correspondent sends to two addresses of the mobile node, which is away: that of the network
where it is, which plain routing leads to, and that of its home, which packets reach in tunnels,
or rewritten and then in a tunnel. The links are the same.
"""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from dmm_testbed.bench.figures import BenchError, Rate, Steering, Throughput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from ipaddress import IPv6Network

    from dmm_testbed.bench.away import Ways
    from dmm_testbed.measure.runner import Runner

Traffic = Literal["tcp", "udp"]

PREFIXES = 10_000
SINGLE = 1_000
"""Of them, so many are installed one at a time as well."""
ROUNDS: dict[Traffic, int] = {"tcp": 30, "udp": 10}
"""Many and short: how fast a computer is changes from one second to the next."""
SECONDS = 0.5
"""How long each kind of traffic goes each way, a round."""
SMALL = 64
LARGE = 1 << 17
PORT = 5201
SCRIPT_WITHIN_S = 60.0

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

_SERVER = """
import socket, sys, threading
port = int(sys.argv[1])
datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
datagrams.bind(("::", port))
arrived = 0

def count():
    global arrived
    while datagrams.recv(2048):
        arrived += 1

threading.Thread(target=count, daemon=True).start()
server = socket.create_server(("::", port), family=socket.AF_INET6)
room = memoryview(bytearray(1 << 20))
while True:
    session, _ = server.accept()
    with session:
        before, octets = arrived, 0
        while more := session.recv_into(room):
            octets += more
        session.sendall(f"{octets} {arrived - before}".encode())
"""
"""Runs on the mobile node: says at the end of a session what came, and of datagrams meanwhile."""

_CLIENT = """
import socket, sys, time
address, port, kind, seconds, size = sys.argv[1], *sys.argv[2:]
where, data = (address, int(port)), bytes(int(size))
session = socket.create_connection(where, 10)
session.settimeout(30)
datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
datagrams.connect(where)
send = session.sendall if kind == "tcp" else datagrams.send
began = time.perf_counter()
while (took := time.perf_counter() - began) < float(seconds):
    for _ in range(1 if kind == "tcp" else 64):
        send(data)
if kind == "udp":
    time.sleep(0.2)  # what is on its way
session.shutdown(socket.SHUT_WR)
octets, count = session.recv(100).split()
print(int(octets if kind == "tcp" else count) / took)
"""


def measure(runner: Runner, ways: Ways, profile: str, say: Callable[[str], None]) -> Steering:
    """Install routes, then send traffic both ways in turn while they are there.

    Raises:
        BenchError: a router refuses a route, or traffic does not get through.
    """
    say(f"installing {PREFIXES:,} routes on {ways.ingress}")
    took = json.loads(_routes(runner, ways, "stay"))
    try:
        say(f"throughput, plain and steered, {profile}")
        with _server(runner, ways):
            tcp = _compare(runner, ways, "tcp", LARGE)
            udp = _compare(runner, ways, "udp", SMALL)
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
    wanted = [str(_unused(ways.pool)), ways.egress_address]
    counts = [str(PREFIXES), str(SINGLE), stay]
    return _python(runner, ways.ingress, _ROUTES, *wanted, *counts)


def _unused(pool: IPv6Network) -> IPv6Network:
    """The upper half of a mobile pool."""
    halves = list(pool.subnets(1))
    if halves[1].num_addresses >> 64 < PREFIXES:
        raise BenchError(f"mobile pool {pool}: expected room for {2 * PREFIXES:,} prefixes")
    return halves[1]


@contextmanager
def _server(runner: Runner, ways: Ways) -> Iterator[None]:
    started = runner.start(ways.receiver, ["/usr/bin/python3", "-I", "-c", _SERVER, str(PORT)])
    try:
        for _ in range(50):
            if runner.run(ways.receiver, ["ss", "-Hltn", f"sport = :{PORT}"]).stdout.strip():
                break
        yield
    finally:
        started.kill()
        started.wait(SCRIPT_WITHIN_S)


def _compare(runner: Runner, ways: Ways, kind: Traffic, size: int) -> Throughput:
    rounds = []
    for number in range(ROUNDS[kind]):
        order = (ways.plain, ways.steered)[:: -1 if number % 2 else 1]
        carried = {address: _per_s(runner, ways, address, kind, size) for address in order}
        rounds.append((carried[ways.plain], carried[ways.steered]))
    return Throughput(
        plain_per_s=median(plain for plain, _ in rounds),
        steered_per_s=median(steered for _, steered in rounds),
        ratio=median(steered / plain for plain, steered in rounds),
    )


def _per_s(runner: Runner, ways: Ways, address: str, kind: Traffic, size: int) -> float:
    options = [address, str(PORT), kind, str(SECONDS), str(size)]
    return float(_python(runner, ways.sender, _CLIENT, *options))


def _python(runner: Runner, host: str, script: str, *arguments: Any) -> str:
    argv = ["/usr/bin/python3", "-I", "-c", script, *arguments]
    try:
        done = runner.run(host, argv, timeout_s=SCRIPT_WITHIN_S)
    except subprocess.TimeoutExpired:
        raise BenchError(f"{host}: not done after {SCRIPT_WITHIN_S:.0f} s") from None
    if done.returncode:
        raise BenchError(f"{host}: {done.stderr.strip()}")
    return done.stdout
