"""Interfaces of this host as the kernel announces them: names, indexes, carrier."""

from __future__ import annotations

import socket
import struct
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmm_agent.dataplane.netlink import NETLINK_ROUTE, attribute_u32, attributes, messages
from dmm_agent.dataplane.rtnetlink import (
    IFF_UP,
    IFLA_IFNAME,
    RTM_DELLINK,
    RTM_GETLINK,
    RTM_NEWLINK,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmm_agent.dataplane.netlink import Netlink

RTMGRP_LINK = 1
IFF_LOWER_UP = 0x10000
IFLA_EXT_MASK, IFLA_CARRIER_DOWN_COUNT = 29, 48
RTEXT_FILTER_SKIP_STATS = 8
RECEIVE_SIZE = 1 << 16
READ_AT_ONCE = 64

_LINK_HEADER = struct.Struct("=BxHiII")


@dataclass(frozen=True, slots=True)
class Link:
    """One interface."""

    index: int
    name: str
    live: bool
    """Up, and with a carrier."""
    losses: int
    """How often it has lost its carrier. The kernel announces a loss up to a second late, and not
    at all if the carrier is back by then; this number never lies."""


class LinkMonitor:
    """A non-blocking reader of link announcements."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK,
            socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
            NETLINK_ROUTE,
        )
        self._socket.bind((0, RTMGRP_LINK))

    def fileno(self) -> int:
        """For the event loop."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def read(self) -> Iterator[Link] | None:
        """What was announced since; None if announcements were lost and all must be listed anew."""
        found: list[Link] = []
        for _ in range(READ_AT_ONCE):
            try:
                data = self._socket.recv(RECEIVE_SIZE)
            except BlockingIOError:
                break
            except OSError:
                return None
            for kind, _flags, _sequence, body in messages(data):
                link = decode_link(kind, body)
                if link is not None:
                    found.append(link)
        return iter(found)


def list_links(netlink: Netlink) -> list[Link]:
    """All interfaces now.

    Raises:
        NetlinkError: the kernel does not list them.
    """
    bodies = netlink.dump(RTM_GETLINK, _request(0))
    links = (decode_link(RTM_NEWLINK, body) for body in bodies)
    return [link for link in links if link is not None]


def look_up(netlink: Netlink, index: int) -> Link | None:
    """One interface now, None if it is gone.

    Raises:
        NetlinkError: the kernel gave no answer.
    """
    body = netlink.get(RTM_GETLINK, _request(index))
    return None if body is None else decode_link(RTM_NEWLINK, body)


def _request(index: int) -> bytes:
    header = _LINK_HEADER.pack(socket.AF_UNSPEC, 0, index, 0, 0)
    return header + attribute_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)


def decode_link(kind: int, body: bytes) -> Link | None:
    """A link from its announcement; a deleted one is not live."""
    if kind not in (RTM_NEWLINK, RTM_DELLINK) or len(body) < _LINK_HEADER.size:
        return None
    family, _type, index, flags, _change = _LINK_HEADER.unpack_from(body)
    if family != socket.AF_UNSPEC:
        return None
    found = attributes(body[_LINK_HEADER.size :])
    return Link(
        index=index,
        name=found.get(IFLA_IFNAME, b"").rstrip(b"\0").decode("ascii", "replace"),
        live=kind == RTM_NEWLINK and bool(flags & IFF_UP) and bool(flags & IFF_LOWER_UP),
        losses=int.from_bytes(found.get(IFLA_CARRIER_DOWN_COUNT, b""), sys.byteorder),
    )
