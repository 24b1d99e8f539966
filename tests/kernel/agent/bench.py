"""Measures moves in the test network: ``python -m tests.kernel.agent.bench [MOVES]`` as root."""

from __future__ import annotations

import contextlib
import socket
import statistics
import struct
import sys
import tempfile
import threading
import time
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

from tests.kernel.agent.agents import AgentProcess, installed
from tests.kernel.agent.lab import ADDRESS, CN, HNP1, Lab, inside, until
from tests.kernel.agent.routers import Router

from dmm_agent.functions.effects import BindingRoute, Install

ROUTERS = ("gw1", "gw2", "gw3", "ar1", "ar3")
ICMPV6, SOLICITATION, ADVERTISEMENT = 58, 133, 134
SO_TIMESTAMPNS = 35
DEADLINE_S = 5.0


def main() -> None:
    """Print the median and the maximum of each figure."""
    moves = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    lab = Lab()
    with contextlib.ExitStack() as stack:
        stack.callback(lab.close)
        report("install of a binding route", installs(1000), "us")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        installed(folder)
        agents = [AgentProcess(host, folder) for host in ROUTERS]
        for agent in agents:
            stack.callback(agent.stop)
        start(agents)
        measure(lab, moves)


def installs(count: int) -> list[float]:
    """Microseconds that each of many installs of a binding route took."""
    router = Router("gw1")
    subnets = IPv6Network("2001:db8:1:8000::/49").subnets(new_prefix=64)
    taken = []
    with inside("gw1"):
        for prefix in (next(subnets) for _ in range(count)):
            effect = Install(BindingRoute(prefix, IPv6Address(ADDRESS["gw3"])))
            begin = time.perf_counter()
            router.forwarding.apply([effect])
            taken.append(1e6 * (time.perf_counter() - begin))
    router.flush()
    return taken


def start(agents: list[AgentProcess]) -> None:
    """Start all agents at once."""
    begin = time.monotonic()
    for agent in agents:
        agent.start(wait=False)
    for agent in agents:
        agent.wait()
    print(f"{len(agents)} agents answer after {time.monotonic() - begin:.2f} s")
    print("resident MiB: " + ", ".join(f"{a.host} {a.resident_mib():.1f}" for a in agents))


def measure(lab: Lab, moves: int) -> None:
    """Move back and forth under a stream: each millisecond a packet down, each tenth one back."""
    lab.attach("ar1")
    lab.solicit()
    if not until(lambda: any(address in HNP1 for address in lab.addresses())):
        raise RuntimeError("the mobile node got no address from ar1")
    address = next(a for a in lab.addresses() if a in HNP1)
    mn, cn = lab.udp("mn", address), lab.udp("cn", CN)
    stop = threading.Event()
    stream = threading.Thread(target=send, args=(cn, mn, stop))
    stream.start()
    advertised, restored = [], []
    try:
        for number in range(moves):
            to = ("ar3", "ar1")[number % 2]
            with hear(to, "mn") as link:
                lab.attach(to)
                begin = time.monotonic()
                lab.solicit()
                advertised.append(1e3 * solicitation_to_advertisement(link))
                restored.append(1e3 * (first_arrival(mn, sent_after=begin) - begin))
            time.sleep(0.3)
    finally:
        stop.set()
        stream.join()
    report("router solicitation to advertisement, on the access link", advertised, "ms")
    report("radio link forwards to data from the correspondent", restored, "ms")


def send(cn: socket.socket, mn: socket.socket, stop: threading.Event) -> None:
    """Send the time to the mobile node; it acknowledges now and then."""
    number = 0
    while not stop.is_set():
        with contextlib.suppress(OSError):
            cn.sendto(struct.pack("d", time.monotonic()), mn.getsockname()[:2])
            if number % 10 == 0:
                mn.sendto(b"still here", (CN, 5000))
        number += 1
        time.sleep(0.001)


def first_arrival(mn: socket.socket, sent_after: float) -> float:
    """When the first packet arrived that was sent after a moment."""
    while True:
        sent: float = struct.unpack("d", mn.recv(64))[0]
        if sent > sent_after:
            return time.monotonic()


def hear(host: str, link: str) -> socket.socket:
    """A socket that hears a link, with the kernel's timestamps."""
    with inside(host):
        heard = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0003))
        heard.bind((link, 0x0003))
    heard.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    heard.settimeout(DEADLINE_S)
    return heard


def solicitation_to_advertisement(link: socket.socket) -> float:
    """Seconds from the first solicitation to the first advertisement after it."""
    solicited_at: float | None = None
    while True:
        packet, control, _, _ = link.recvmsg(2048, 64)
        if packet[6] != ICMPV6:
            continue
        seconds, nanoseconds = struct.unpack("qq", control[0][2])
        at = float(seconds + nanoseconds / 1e9)
        if packet[40] == SOLICITATION and solicited_at is None:
            solicited_at = at
        if packet[40] == ADVERTISEMENT and solicited_at is not None:
            return at - solicited_at


def report(what: str, values: list[float], unit: str) -> None:
    """Print one figure."""
    median, most = statistics.median(values), max(values)
    print(f"{what}: median {median:.2f} {unit}, maximum {most:.2f} {unit} of {len(values)}")


if __name__ == "__main__":
    main()
