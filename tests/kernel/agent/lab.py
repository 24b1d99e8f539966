r"""A throw-away network of namespaces for tests: three networks, a mobile node, a correspondent.

           core
         /  |   \
      gw1  gw2   gw3
       |    |     |
      ar1   cn   ar3
        \       /
         mn (one bridge, one port to each access router)
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import socket
import struct
import subprocess
import threading
import time
from contextlib import contextmanager
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLONE_NEWNET = 0x40000000
IFA_F_TENTATIVE = 0x40
PREFIX = os.environ.get("DMM_TEST_NAMESPACES", "lx-")
"""Begins the names of the namespaces; another one lets two checkouts be tested at once."""

ROUTER_LL = "fe80::200:5eff:fe00:5213"
MN_MAC = "02:00:00:00:01:01"
MN_LL = IPv6Address("fe80::ff:fe00:101")

ADDRESS = {
    "gw1": "2001:db8:1::1",
    "ar1": "2001:db8:1::2",
    "gw2": "2001:db8:2::1",
    "gw3": "2001:db8:3::1",
    "ar3": "2001:db8:3::2",
}
CN = "2001:db8:2:2::2"
HNP1 = IPv6Network("2001:db8:1:8100::/64")
HNP2 = IPv6Network("2001:db8:2:8100::/64")
HNP3 = IPv6Network("2001:db8:3:8100::/64")
BLOCK1 = IPv6Network("2001:db8:1:8100::/56")
BLOCK3 = IPv6Network("2001:db8:3:8100::/56")

ROUTERS = ("core", "gw1", "gw2", "gw3", "ar1", "ar3")
HOSTS = (*ROUTERS, "cn", "mn")
LINKS = (
    ("core", "gw1", "2001:db8:1:1::"),
    ("core", "gw2", "2001:db8:2:1::"),
    ("core", "gw3", "2001:db8:3:1::"),
    ("gw1", "ar1", "2001:db8:1:2::"),
    ("gw2", "cn", "2001:db8:2:2::"),
    ("gw3", "ar3", "2001:db8:3:2::"),
)
ROUTES = {
    "core": [
        f"{prefix} via 2001:db8:{n}:1::2"
        for n in (1, 2, 3)
        for prefix in (f"2001:db8:{n}::/48", f"3fff:{n}::/32")
    ],
    "gw1": [
        "default via 2001:db8:1:1::1",
        f"{ADDRESS['ar1']} via 2001:db8:1:2::2",
        f"{BLOCK1} via 2001:db8:1:2::2",
    ],
    "gw2": ["default via 2001:db8:2:1::1"],
    "gw3": [
        "default via 2001:db8:3:1::1",
        f"{ADDRESS['ar3']} via 2001:db8:3:2::2",
        f"{BLOCK3} via 2001:db8:3:2::2",
    ],
    "ar1": ["default via 2001:db8:1:2::1"],
    "ar3": ["default via 2001:db8:3:2::1"],
    "cn": ["default via 2001:db8:2:2::1"],
}
SOURCE_FILTER = """
table ip6 bcp38 {
  chain forward {
    type filter hook forward priority filter
    iifname "gw1" ip6 saddr != { 2001:db8:1::/48, 3fff:1::/32 } drop
    iifname "gw2" ip6 saddr != { 2001:db8:2::/48, 3fff:2::/32 } drop
    iifname "gw3" ip6 saddr != { 2001:db8:3::/48, 3fff:3::/32 } drop
  }
}
"""


def run(*command: str, text: str | None = None) -> str:
    """Run a program; its output, or a failure that shows what it said."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}{done.stdout}")
    return done.stdout


def until(holds: Callable[[], bool], deadline_s: float = 15.0) -> bool:
    """Look, then wait and look again until the deadline."""
    end = time.monotonic() + deadline_s
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def inside(host: str) -> Iterator[None]:
    """Run the block in a host's network namespace."""
    with Path("/proc/self/ns/net").open() as before, _namespace(host).open() as there:
        _enter(there.fileno())
        try:
            yield
        finally:
            _enter(before.fileno())


def _namespace(host: str) -> Path:
    return Path("/run/netns", PREFIX + host)


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def ip(host: str, commands: str) -> None:
    """Run lines of `ip -6` in a host, in one go."""
    run("ip", "-n", PREFIX + host, "-6", "-batch", "-", text=commands)


def _link_local(host: str) -> set[str]:
    """The links on which a host has a link-local address that can be used."""
    with inside(host):
        listed = Path("/proc/thread-self/net/if_inet6").read_text()
    fields = map(str.split, listed.splitlines())
    return {f[5] for f in fields if f[0].startswith("fe80") and not int(f[4], 16) & IFA_F_TENTATIVE}


class Lab:
    """The namespaces with addresses and plain routing, no agent."""

    def __init__(self) -> None:
        self.destroy()
        self._open: list[socket.socket] = []
        run("ip", "-batch", "-", text="\n".join(f"netns add {PREFIX}{host}" for host in HOSTS))
        for host in HOSTS:
            forwards = str(int(host in ROUTERS))
            settings = {"forwarding": forwards, "accept_dad": "0", "router_solicitations": "0"}
            with inside(host):
                for name, value in settings.items():
                    for scope in ("all", "default"):
                        Path("/proc/sys/net/ipv6/conf", scope, name).write_text(value)
        self._link_up()
        run("ip", "netns", "exec", PREFIX + "core", "nft", "-f", "-", text=SOURCE_FILTER)
        if not until(self._links_are_ready):
            raise RuntimeError("links without a carrier or a link-local address")

    def _link_up(self) -> None:
        batches = {host: ["link set lo up"] for host in HOSTS}
        for one, other, _ in LINKS:
            batches[one].append(
                f"link add {other} mtu 1600 type veth peer name {one} netns {PREFIX}{other}"
            )
        for ar in ("ar1", "ar3"):
            batches[ar].append(f"link add mn type veth peer name {ar} netns {PREFIX}mn")
            batches[ar] += [
                "link set mn address 00:00:5e:00:52:13 addrgenmode none up",
                f"addr add {ROUTER_LL}/64 dev mn nodad",
            ]
        batches["mn"] += [
            # A radio does not filter multicast; a bridge does once it has heard an MLD query.
            "link add radio0 type bridge mcast_snooping 0",
            f"link set radio0 address {MN_MAC} up",
            # A port that is always live: without one the kernel takes up to a second to see that
            # the bridge has a carrier again.
            "link add alive type veth peer name alive-end",
            *(f"link set {port} addrgenmode none" for port in ("ar1", "ar3", "alive", "alive-end")),
            "link set alive-end up",
            "link set alive master radio0 up",
            "link set ar1 master radio0",
            "link set ar3 master radio0",
        ]
        for host in HOSTS:
            ip(host, "\n".join(batches[host]))
        for host in HOSTS:
            lines = []
            for one, other, subnet in LINKS:
                if host == one:
                    lines += [
                        f"link set {other} mtu 1600 up",
                        f"addr add {subnet}1/64 dev {other} nodad",
                    ]
                if host == other:
                    lines += [
                        f"link set {one} mtu 1600 up",
                        f"addr add {subnet}2/64 dev {one} nodad",
                    ]
            if host in ADDRESS:
                lines.append(f"addr add {ADDRESS[host]}/128 dev lo nodad")
            lines += [f"route add {route}" for route in ROUTES.get(host, ())]
            ip(host, "\n".join(lines))

    def _links_are_ready(self) -> bool:
        """Whether all fixed links have a carrier, seen by the link-local address that follows."""
        ends = {end for one, other, _ in LINKS for end in ((one, other), (other, one))}
        return all(link in _link_local(host) for host, link in ends)

    def destroy(self) -> None:
        """Remove whatever there is of it."""
        there = [host for host in HOSTS if _namespace(host).exists()]
        run("ip", "-batch", "-", text="\n".join(f"netns del {PREFIX}{host}" for host in there))

    def close(self) -> None:
        """Close sockets and remove the namespaces."""
        for opened in self._open:
            opened.close()
        self.destroy()

    # The mobile node

    def attach(self, *ars: str) -> None:
        """Bring exactly these ports of the mobile node's radio up, and wait until they forward."""
        lines = [f"link set {ar} {'up' if ar in ars else 'down'}" for ar in ("ar1", "ar3")]
        ip("mn", "\n".join(lines))
        if not until(lambda: all(self._forwards(ar) for ar in ars)):
            raise RuntimeError(f"the bridge does not forward on {ars}")

    def _forwards(self, port: str) -> bool:
        listed = json.loads(run("ip", "-n", PREFIX + "mn", "-d", "-j", "link", "show", port))
        state: str = listed[0]["linkinfo"]["info_slave_data"]["state"]
        return state == "forwarding"

    def solicit(self) -> None:
        """Send a router solicitation, as network managers do when a link comes up."""
        link_layer = bytes.fromhex(MN_MAC.replace(":", ""))
        with inside("mn"), socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58) as raw:
            raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            solicitation = struct.pack("!BBHIBB6s", 133, 0, 0, 0, 1, 1, link_layer)
            raw.sendto(solicitation, ("ff02::2", 0, 0, socket.if_nametoindex("radio0")))

    def addresses(self) -> dict[IPv6Address, bool]:
        """The mobile node's global addresses, and whether each is preferred."""
        show = "addr show dev radio0 scope global"
        listed = json.loads(run("ip", "-n", PREFIX + "mn", "-j", "-6", *show.split()))
        return {
            IPv6Address(a["local"]): a["preferred_life_time"] > 0
            for link in listed
            for a in link.get("addr_info", [])
            if "local" in a
        }

    def give_address(self, prefix: IPv6Network) -> IPv6Address:
        """Configure an address by hand, as router advertisements would; returns it.

        It can be bound to at once, but the kernel makes its local route when it has the time.
        """
        address = prefix.network_address + int(MN_LL) % (1 << 64)
        add = f"addr add {address}/128 dev radio0 nodad"
        ip("mn", f"{add}\nroute replace default via {ROUTER_LL} dev radio0")
        local = ("route", "show", "table", "local", str(address))
        if not until(lambda: run("ip", "-n", PREFIX + "mn", "-6", *local) != ""):
            raise RuntimeError(f"the node does not take packets to {address}")
        return address

    # Traffic

    def udp(self, host: str, address: IPv6Address | str, port: int = 5000) -> socket.socket:
        """A UDP socket of a host, with a deadline on what it waits for."""
        with inside(host):
            opened = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        opened.bind((str(address), port))
        opened.settimeout(2.0)
        self._open.append(opened)
        return opened

    def sniff(self, host: str, link: str) -> Sniffer:
        """Hear every IPv6 packet on a link from now on."""
        with inside(host):
            sniffer = Sniffer(link)
        self._open.append(sniffer.socket)
        return sniffer


class Sniffer:
    """Every IPv6 packet a host receives or sends on one link."""

    def __init__(self, link: str) -> None:
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0003))
        self.socket.bind((link, 0x0003))
        self.socket.setblocking(False)

    def packets(self) -> Iterator[tuple[int, IPv6Address, IPv6Address, bytes]]:
        """(next header, source, destination, payload) of each heard since."""
        while True:
            try:
                packet = self.socket.recv(4096)
            except BlockingIOError:
                return
            if packet and packet[0] >> 4 == 6:
                next_header = packet[6]
                source, destination = IPv6Address(packet[8:24]), IPv6Address(packet[24:40])
                yield next_header, source, destination, packet[40:]

    def tunnelled(self) -> list[tuple[str, str]]:
        """(outer source, outer destination) of each IPv6-in-IPv6 packet heard since."""
        return [(str(s), str(d)) for kind, s, d, _ in self.packets() if kind == 41]

    def plain_udp(self) -> list[tuple[str, str]]:
        """(source, destination) of each plain UDP packet heard since."""
        return [(str(s), str(d)) for kind, s, d, _ in self.packets() if kind == 17]


class Stream:
    """Numbered packets from one socket to another, a few hundred a second."""

    def __init__(self, sender: socket.socket, receiver: socket.socket) -> None:
        self._sender, self._receiver = sender, receiver
        self._receiver.setblocking(False)
        self._received: list[int] = []
        self.sent = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._sender.sendto(self.sent.to_bytes(4, "big"), self._receiver.getsockname()[:2])
            self.sent += 1
            time.sleep(0.002)
            self._receive()

    def _receive(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self._received.append(int.from_bytes(self._receiver.recv(64), "big"))

    def finish(self) -> list[int]:
        """Stop; the numbers that arrived."""
        self._stop.set()
        self._thread.join()

        def complete() -> bool:
            self._receive()
            return len(self._received) >= self.sent

        until(complete, 1.0)
        return self._received


def goes(
    sender: socket.socket,
    receiver: socket.socket,
    text: bytes = b"hello",
    deadline_s: float = 5.0,
) -> bool:
    """Whether a datagram gets from one socket to the other within the deadline."""
    sender.sendto(text, receiver.getsockname()[:2])
    end = time.monotonic() + deadline_s
    while (left_s := end - time.monotonic()) > 0:
        receiver.settimeout(left_s)
        try:
            if receiver.recvfrom(2048)[0] == text:
                return True
        except TimeoutError:
            return False
        except OSError:
            continue
    return False


def icmp_errors(host: str) -> int:
    """How many ICMPv6 destination unreachables a host has received."""
    with inside(host):
        for line in Path("/proc/thread-self/net/snmp6").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == "Icmp6InDestUnreachs":
                return int(value)
    return 0
