"""Two network namespaces with a link: a mobile node that has moved, and its correspondent."""

from __future__ import annotations

import itertools
import socket
from ipaddress import IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING

from tests.kernel.agent.lab import PREFIX, inside, ip, run

from dmm_agent.sockets.monitor import SocketMonitor

if TYPE_CHECKING:
    from dmm_agent.config import Flow

FIRST = IPv6Address("2001:db8:1:8100::101")
"""Of the network where the node was; deprecated."""
PRESENT = IPv6Address("2001:db8:3:8100::101")
CN = IPv6Address("2001:db8:2:2::2")
PORT = 7000

MN_ADDRESSES = f"""
link set lo up
link set cn up
addr add {FIRST}/64 dev cn nodad preferred_lft 0 valid_lft 86400
addr add {PRESENT}/64 dev cn nodad
route add {CN} dev cn
"""
CN_ADDRESSES = f"""
link set lo up
link set mn up
addr add {CN}/128 dev mn nodad
route add {FIRST}/64 dev mn
route add {PRESENT}/64 dev mn
"""


def watch(*declined: Flow) -> SocketMonitor:
    """What watches the mobile node's sockets; it takes any two looks to be a second apart."""
    seconds = itertools.count()
    with inside("mn"):
        return SocketMonitor(declined, lambda: next(seconds))


class Pair:
    """The namespaces, and sockets in them which end with it."""

    def __init__(self) -> None:
        self._open: list[socket.socket] = []
        self._destroy()
        for host in ("mn", "cn"):
            run("ip", "netns", "add", PREFIX + host)
            with inside(host):
                Path("/proc/sys/net/ipv6/conf/default/accept_dad").write_text("0")
        ip("mn", f"link add cn type veth peer name mn netns {PREFIX}cn")
        ip("mn", MN_ADDRESSES)
        ip("cn", CN_ADDRESSES)

    def close(self) -> None:
        """Close the sockets and remove the namespaces."""
        for opened in self._open:
            opened.close()
        self._destroy()

    def _destroy(self) -> None:
        for host in ("mn", "cn"):
            if Path("/run/netns", PREFIX + host).exists():
                run("ip", "netns", "del", PREFIX + host)

    def tcp(self, host: str) -> socket.socket:
        """A new TCP socket of a host."""
        return self._made(host, socket.SOCK_STREAM)

    def udp(self, host: str) -> socket.socket:
        """A new UDP socket of a host."""
        return self._made(host, socket.SOCK_DGRAM)

    def _made(self, host: str, kind: int) -> socket.socket:
        with inside(host):
            made = socket.socket(socket.AF_INET6, kind)
        made.settimeout(5.0)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._open.append(made)
        return made

    def link_local(self, host: str, port: int) -> tuple[str, int, int, int]:
        """Where a socket is bound that is bound to a host's link-local address."""
        with inside(host):
            listed = Path("/proc/thread-self/net/if_inet6").read_text().splitlines()
        (own,) = (line.split() for line in listed if line.startswith("fe80"))
        address = IPv6Address(bytes.fromhex(own[0]))
        return str(address), port, 0, int(own[1], 16)

    def listening(
        self, host: str, address: IPv6Address | str = "::", port: int = PORT
    ) -> socket.socket:
        """A TCP server's socket."""
        server = self.tcp(host)
        server.bind((str(address), port))
        server.listen()
        return server

    def session(
        self, source: IPv6Address | None = None, *, takes_octets: int | None = None
    ) -> tuple[socket.socket, socket.socket]:
        """A TCP session of the mobile node with its correspondent: the sockets of both.

        Args:
            source: The node's address; the kernel chooses it if left out.
            takes_octets: How much the correspondent takes before it reads.
        """
        client = self.tcp("mn")
        if source is not None:
            client.bind((str(source), 0))
        with self.listening("cn") as server:
            if takes_octets is not None:
                server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, takes_octets)
            client.connect((str(CN), PORT))
            accepted, _ = server.accept()
        accepted.settimeout(5.0)
        self._open.append(accepted)
        return client, accepted
