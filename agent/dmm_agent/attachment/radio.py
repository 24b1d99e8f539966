"""A mobile node's radio as the kernel announces it: its addresses, and when it can send again."""

from __future__ import annotations

import math
import socket
import struct
import sys
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from dmm_agent.attachment.links import IFF_LOWER_UP, Link, decode_link
from dmm_agent.dataplane.netlink import NETLINK_ROUTE, attributes, messages
from dmm_agent.dataplane.rtnetlink import IFF_UP, RTM_NEWLINK
from dmm_agent.functions.events import Addressed, LinkUp, OwnAddress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dmm_agent.dataplane.netlink import Netlink

RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTMGRP_LINK, RTMGRP_IPV6_IFADDR = 0x1, 0x100
RECEIVE_SIZE = 1 << 16
READ_AT_ONCE = 64

IFA_ADDRESS, IFA_CACHEINFO, IFA_FLAGS = 1, 6, 8
IFA_F_DADFAILED, IFA_F_DEPRECATED, IFA_F_TENTATIVE = 0x08, 0x20, 0x40
FOREVER = 0xFFFFFFFF
SCOPE_GLOBAL = 0

IFLA_MASTER, IFLA_PROTINFO, IFLA_BRPORT_STATE = 10, 12, 1
PORT_FORWARDS = 3
"""State of a bridge's port in which packets pass (linux/if_bridge.h)."""

_ADDRESS_HEADER = struct.Struct("=BBBBI")
_LINK_HEADER = struct.Struct("=BxHiII")
_CACHEINFO = struct.Struct("=II")


@dataclass(frozen=True, slots=True)
class _Port:
    """A port of the radio, where that is a bridge."""

    index: int
    forwards: bool


class Radio:
    """Follows one interface by announcements alone; each is answered at once.

    A radio that is a bridge can send when one of its ports begins to forward, any other when it
    gets a carrier.
    """

    def __init__(self, name: str, netlink: Netlink, now: Callable[[], float]) -> None:
        """Begin to listen.

        Args:
            name: The interface; it may appear later, and be made anew.
            netlink: For listing addresses.
            now: Seconds since 1970.

        Raises:
            OSError: no netlink.
        """
        self._name = name
        self._netlink = netlink
        self._now = now
        self._index = 0
        self._live = False
        self._losses = 0
        self._forwarding: set[int] = set()
        self._socket = socket.socket(
            socket.AF_NETLINK,
            socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
            NETLINK_ROUTE,
        )
        self._socket.bind((0, RTMGRP_LINK | RTMGRP_IPV6_IFADDR))

    def fileno(self) -> int:
        """For the event loop."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def states(self) -> dict[str, str]:
        """Whether the radio is missing, down or live."""
        return {self._name: self._state()}

    def _state(self) -> str:
        return "live" if self._live else "down" if self._index else "missing"

    def look(self) -> Iterator[LinkUp | Addressed]:
        """How things stand now, for the first time or after announcements were lost.

        Raises:
            NetlinkError: the kernel does not list addresses.
        """
        try:
            self._index = socket.if_nametoindex(self._name)
        except OSError:
            self._index, self._live = 0, False
            return
        self._live = True
        yield LinkUp(self._name)
        yield self._addressed()

    def read(self) -> Iterator[LinkUp | Addressed]:
        """What has changed since.

        Raises:
            NetlinkError: the kernel does not list addresses.
        """
        readdressed = False
        for _ in range(READ_AT_ONCE):
            try:
                data = self._socket.recv(RECEIVE_SIZE)
            except BlockingIOError:
                break
            except OSError:  # announcements were lost
                yield from self.look()
                return
            for kind, _flags, _sequence, body in messages(data):
                if kind in (RTM_NEWADDR, RTM_DELADDR):
                    readdressed = readdressed or self._is_about_us(body)
                elif self._came_up(kind, body):
                    yield LinkUp(self._name)
        if readdressed:
            yield self._addressed()

    def _is_about_us(self, body: bytes) -> bool:
        return (
            len(body) >= _ADDRESS_HEADER.size
            and _ADDRESS_HEADER.unpack_from(body)[4] == self._index
        )

    def _came_up(self, kind: int, body: bytes) -> bool:
        link, port = decode_link(kind, body), _decode_port(kind, body, self._index)
        if port is not None:
            before = port.index in self._forwarding
            (self._forwarding.add if port.forwards else self._forwarding.discard)(port.index)
            return port.forwards and not before
        return link is not None and link.name == self._name and self._radio_came_up(link)

    def _radio_came_up(self, link: Link) -> bool:
        again = not self._live or link.losses != self._losses or link.index != self._index
        self._index, self._live, self._losses = link.index, link.live, link.losses
        return link.live and again

    def _addressed(self) -> Addressed:
        now = self._now()
        bodies = self._netlink.dump(
            RTM_GETADDR, _ADDRESS_HEADER.pack(socket.AF_INET6, 0, 0, 0, self._index)
        )
        found = (decode_address(body, self._index, now) for body in bodies)
        own = sorted((a for a in found if a is not None), key=lambda own: own.address)
        return Addressed(tuple(own))


def decode_address(body: bytes, index: int, now: float) -> OwnAddress | None:
    """A global address of the interface that can be used, from its `ifaddrmsg`."""
    if len(body) < _ADDRESS_HEADER.size:
        return None
    family, _length, flags, scope, at = _ADDRESS_HEADER.unpack_from(body)
    if family != socket.AF_INET6 or scope != SCOPE_GLOBAL or at != index:
        return None
    found = attributes(body[_ADDRESS_HEADER.size :])
    if len(found.get(IFA_FLAGS, b"")) == 4:
        (flags,) = struct.unpack("=I", found[IFA_FLAGS])
    if flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED) or len(found.get(IFA_ADDRESS, b"")) != 16:
        return None
    preferred_s, valid_s = _CACHEINFO.unpack_from(found.get(IFA_CACHEINFO, b"\xff" * 8))
    deprecated = bool(flags & IFA_F_DEPRECATED)
    return OwnAddress(
        IPv6Address(found[IFA_ADDRESS]), now if deprecated else _until(preferred_s, now),
        _until(valid_s, now),
    )  # fmt: skip


def _until(lifetime_s: int, now: float) -> float:
    return math.inf if lifetime_s == FOREVER else now + lifetime_s


def _decode_port(kind: int, body: bytes, bridge: int) -> _Port | None:
    """A port of the bridge; what a bridge says of its ports has a family of its own."""
    if kind != RTM_NEWLINK or len(body) < _LINK_HEADER.size:
        return None
    family, _type, index, flags, _change = _LINK_HEADER.unpack_from(body)
    if family != socket.AF_BRIDGE:
        return None
    found = attributes(body[_LINK_HEADER.size :])
    if int.from_bytes(found.get(IFLA_MASTER, b""), sys.byteorder) != bridge or not bridge:
        return None
    state = attributes(found.get(IFLA_PROTINFO, b"")).get(IFLA_BRPORT_STATE, b"\0")[0]
    live = bool(flags & IFF_UP) and bool(flags & IFF_LOWER_UP)
    return _Port(index, live and state == PORT_FORWARDS)
