"""Addresses of a mobile node that no router advertises where it is: kept a while, or dropped."""

from __future__ import annotations

import errno
import socket
import struct
from typing import TYPE_CHECKING

from dmm_agent.dataplane.netlink import NLM_F_REPLACE, NetlinkError, Request, attribute
from dmm_agent.sockets.ending import end_sockets

if TYPE_CHECKING:
    from ipaddress import IPv6Address

    from dmm_agent.dataplane.netlink import Netlink
    from dmm_agent.functions.effects import DropAddress, KeepAddress

RTM_NEWADDR, RTM_DELADDR = 20, 21
IFA_ADDRESS, IFA_LOCAL, IFA_CACHEINFO, IFA_FLAGS = 1, 2, 6, 8
IFA_F_NODAD, IFA_F_NOPREFIXROUTE = 0x02, 0x200
FOREVER_S = 0xFFFFFFFF
PREFIX_LENGTH = 64

_ADDRESS_HEADER = struct.Struct("=BBBBI")
_CACHEINFO = struct.Struct("=IIII")


class OwnAddresses:
    """Changes how long the kernel has them."""

    def __init__(self, netlink: Netlink) -> None:
        self._netlink = netlink

    def keep(self, effect: KeepAddress) -> str | None:
        """Have an address stay, deprecated; returns why it cannot, if so."""
        valid_s = int(min(max(1.0, effect.valid_s), FOREVER_S))
        # The link has another prefix, so there is nobody to ask whether the address is free, and
        # nobody of its prefix on the link.
        flags = struct.pack("=I", IFA_F_NODAD | IFA_F_NOPREFIXROUTE)
        lifetimes = _CACHEINFO.pack(0, valid_s, 0, 0)
        more = attribute(IFA_CACHEINFO, lifetimes) + attribute(IFA_FLAGS, flags)
        return self._change(RTM_NEWADDR, NLM_F_REPLACE, effect.link, effect.address, more)

    def drop(self, effect: DropAddress) -> str | None:
        """Take an address away, fine if it is not there, and end the sockets that use it."""
        gone = self._change(RTM_DELADDR, 0, effect.link, effect.address, b"")
        return gone or end_sockets(effect.address)

    def _change(
        self, kind: int, flags: int, link: str, address: IPv6Address, more: bytes
    ) -> str | None:
        try:
            index = socket.if_nametoindex(link)
            header = _ADDRESS_HEADER.pack(socket.AF_INET6, PREFIX_LENGTH, 0, 0, index)
            body = header + attribute(IFA_LOCAL, address.packed)
            body += attribute(IFA_ADDRESS, address.packed) + more
            (answer,) = self._netlink.transact([Request(kind, flags, body)])
        except (OSError, NetlinkError) as error:
            return f"{address} on {link}: {error}"
        if answer.errno and not (kind == RTM_DELADDR and answer.errno == errno.EADDRNOTAVAIL):
            return f"{address} on {link}: {answer}"
        return None
