"""The test network where access routers run no agent: plain prefixes, a client, home agents."""

from __future__ import annotations

import hashlib
import shutil
import socket
import struct
import subprocess
from contextlib import contextmanager
from ipaddress import IPv6Network
from typing import TYPE_CHECKING, Any

import yaml
from tests.kernel.agent.agents import AgentProcess
from tests.kernel.agent.lab import ADDRESS, CN, MN_LL, PREFIX, inside, ip, run, until
from tests.kernel.agent.routers import settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv6Address
    from pathlib import Path

    from tests.kernel.agent.lab import Lab

PLAIN = {n: IPv6Network(f"2001:db8:{n}:4100::/64") for n in (1, 3)}
"""The prefix of the link between access router n and the mobile node."""
HOME, AWAY = (PLAIN[n].network_address + int(MN_LL) % (1 << 64) for n in (1, 3))
"""What the mobile node calls itself there."""
ALL_NODES, ROUTER_ADVERTISEMENT = "ff02::1", 134
AUTONOMOUS = 0x40


MN_ID = "mn11@dmm.example"


def key_of(home_agent: str) -> bytes:
    """What the mobile node and a home agent share."""
    return hashlib.sha256(home_agent.encode()).digest()[:16]


def write_keys(agent: AgentProcess, *home_agents: str) -> None:
    """Write an agent's file of keys."""
    rows = [
        {"mn_id": MN_ID, "home_agent": ADDRESS[name], "key": key_of(ADDRESS[name]).hex()}
        for name in home_agents
    ]
    agent.keys.write_text(yaml.safe_dump(rows))


def with_plain_prefixes(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration whose directory knows them."""
    for number, network in enumerate(config["directory"]["networks"], start=1):
        network["plain"] = f"2001:db8:{number}:4000::/50"
    return config


class HomeAgent(AgentProcess):
    """The agent of a gateway that nodes register at."""

    def write_config(self) -> None:
        """Write its configuration file."""
        config = with_plain_prefixes(settings(self.host))
        lifetime = {"binding_lifetime_s": 8} | self.options.get("lm", {})
        config["functions"]["lm"] = {"mobility": "host"} | lifetime
        config["functions"]["mr"] = {"resolution": "none"}
        self.config.write_text(yaml.safe_dump(config))
        write_keys(self, self.host)


class Client(AgentProcess):
    """The agent of the mobile node."""

    def write_config(self) -> None:
        """Write its configuration file."""
        config = {
            "schema": 1,
            "host": "mn",
            "network": "net1",
            "radio": "radio0",
            "directory": with_plain_prefixes(settings("gw1"))["directory"],
            "mobile_nodes": settings("gw1")["mobile_nodes"],
            "functions": {"client": {"binding_lifetime_s": 8} | self.options.get("client", {})},
        }
        self.config.write_text(yaml.safe_dump(config))
        write_keys(self, "gw1", "gw2", "gw3")


def make_plain() -> None:
    """Give the access links plain prefixes, which plain routing knows."""
    for n, prefix in PLAIN.items():
        router = f"{prefix.network_address + 1}/64"
        ip(f"ar{n}", f"addr add {router} dev mn nodad")
        ip(f"gw{n}", f"route add {prefix} via 2001:db8:{n}:2::2")


def advertise(n: int) -> None:
    """Have an access router advertise its prefix, as BIRD does."""
    header = struct.pack("!BBHBBHII", ROUTER_ADVERTISEMENT, 0, 0, 64, 0, 30, 0, 0)
    prefix = PLAIN[n].network_address.packed
    option = struct.pack("!BBBBIII16s", 3, 4, 64, AUTONOMOUS, 30, 10, 0, prefix)
    with inside(f"ar{n}"), socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58) as raw:
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        raw.sendto(header + option, (ALL_NODES, 0, 0, socket.if_nametoindex("mn")))


def move(lab: Lab, n: int, address: IPv6Address) -> None:
    """Attach at an access router, and wait for the address that its prefix gives."""
    lab.attach(f"ar{n}")
    for _ in range(10):  # the first advertisement may come before the node can hear it
        advertise(n)
        if until(lambda: lab.addresses().get(address, False) and _is_usable(address), 2.0):
            return
    raise AssertionError(f"{address} is not preferred")


def _is_usable(address: IPv6Address) -> bool:
    """Whether the kernel has made up its mind that nobody else has the address."""
    with inside("mn"), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as tried:
        try:
            tried.bind((str(address), 0))
        except OSError:
            return False
    return True


class Session:
    """A TCP session between the mobile node and the correspondent, which sends all back."""

    def __init__(self, source: IPv6Address, port: int = 7) -> None:
        with inside("cn"):
            listening = socket.create_server((CN, port), family=socket.AF_INET6)
        with inside("mn"):
            self.node = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        self.node.settimeout(10.0)
        self.node.bind((str(source), 0))
        self.node.connect((CN, port))
        self.correspondent, _ = listening.accept()
        self.correspondent.settimeout(10.0)
        listening.close()

    def lives(self, octets: int = 100_000) -> bool:
        """Whether that much goes there and comes back."""
        sent = bytes(octets)
        return _carries(self.node, self.correspondent, sent) and _carries(
            self.correspondent, self.node, sent
        )

    def close(self) -> None:
        """End it, so that nothing of it remains."""
        self.correspondent.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.node.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.node.close()
        self.correspondent.close()


def _carries(sender: socket.socket, receiver: socket.socket, octets: bytes) -> bool:
    position = received = 0
    while received < len(octets):
        if position < len(octets):
            position += sender.send(octets[position : position + 10_000])
        received += len(receiver.recv(65_536))
    return received == len(octets)


@contextmanager
def captured(host: str, link: str, file: Path) -> Iterator[None]:
    """Capture a link for as long as the block runs."""
    # Not immediately, it would have packets of the last second still to read when it is stopped.
    tcpdump = ["tcpdump", "-U", "--immediate-mode", "-i", link, "-w", str(file)]
    command = ["ip", "netns", "exec", PREFIX + host, *tcpdump]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as dump:
        # It writes the header as soon as its socket and filter stand.
        assert until(lambda: file.exists() and file.stat().st_size > 0), "tcpdump does not start"
        try:
            yield
        finally:
            dump.terminate()


def decoded(file: Path, what: str, *fields: str) -> list[list[str]]:
    """What Wireshark makes of the packets of a capture that a filter lets through."""
    chosen = [part for field in fields for part in ("-e", field)]
    text = run("tshark", "-r", str(file), "-Y", what, "-T", "fields", *chosen)
    return [line.split("\t") for line in text.splitlines()]


def has_tshark() -> bool:
    """Whether there is something to decode captures with."""
    return shutil.which("tshark") is not None and shutil.which("tcpdump") is not None
