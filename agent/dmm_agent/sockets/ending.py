"""Ends sockets of other processes, as ss(8) does with --kill (SOCK_DESTROY)."""

from __future__ import annotations

import errno
import socket
import struct
from typing import TYPE_CHECKING

from dmm_agent.dataplane.netlink import Netlink, NetlinkError, Request
from dmm_agent.sockets.sock_diag import NETLINK_SOCK_DIAG, PROTOCOLS, list_sockets

if TYPE_CHECKING:
    from ipaddress import IPv6Address

    from dmm_agent.sockets.sock_diag import Socket

SOCK_DESTROY = 21
_NUMBERS = {name: number for number, name in PROTOCOLS.items()}
_REQUEST = struct.Struct("=BBxxI2s2s16s16sIQ")


def end_sockets(address: IPv6Address) -> str | None:
    """Have each socket that is bound to an address see its end (ECONNABORTED).

    TCP alone would go on trying for a quarter of an hour, since an address that is taken away ends
    no session. A kernel that cannot do it (CONFIG_INET_DIAG_DESTROY) leaves it at that.

    Returns:
        Why it cannot be done, if so.
    """
    try:
        with Netlink(NETLINK_SOCK_DIAG) as netlink:
            found = [known for known in list_sockets(netlink) if known.local == address]
            answers = netlink.transact([Request(SOCK_DESTROY, 0, _request(one)) for one in found])
    except (OSError, NetlinkError) as error:
        return f"sockets of {address}: {error}"
    gone = (0, errno.ENOENT)  # some may have ended by themselves
    refused = [answer for answer in answers if answer.errno not in gone]
    return f"sockets of {address}: {refused[0]}" if refused else None


def _request(known: Socket) -> bytes:
    """A `struct inet_diag_req_v2` that names one socket."""
    return _REQUEST.pack(
        socket.AF_INET6,
        _NUMBERS[known.protocol],
        0,
        known.local_port.to_bytes(2, "big"),
        known.remote_port.to_bytes(2, "big"),
        known.local.packed,
        known.remote.packed,
        0,
        known.cookie,
    )
