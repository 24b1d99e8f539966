"""Reads the host's IPv6 sockets from the kernel (NETLINK_SOCK_DIAG, as ss(8) does).

`struct inet_diag_req_v2` asks, `struct inet_diag_msg` answers (linux/inet_diag.h). It needs no
privilege, and lists the sockets of all processes of the network namespace.
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from dmm_agent.dataplane.netlink import NetlinkError, attributes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmm_agent.dataplane.netlink import Netlink

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
INET_DIAG_TCLASS, INET_DIAG_CLASS_ID, INET_DIAG_PROTOCOL = 6, 17, 20

PROTOCOLS = {
    socket.IPPROTO_TCP: "tcp",
    socket.IPPROTO_UDP: "udp",
    socket.IPPROTO_UDPLITE: "udplite",
}
"""What is listed."""
MAY_LACK = frozenset({"udplite"})
"""Protocols that a kernel can be without; who has none has no sockets of it."""

_REQUEST = struct.Struct("=BBBxI48x")
_MESSAGE = struct.Struct("=BBxx2s2s16s16sIQ16xI")


class State(IntEnum):
    """What a socket does (include/net/tcp_states.h); UDP knows ESTABLISHED and CLOSED alone."""

    ESTABLISHED = 1
    SYN_SENT = 2
    SYN_RECEIVED = 3
    FIN_WAIT_1 = 4
    FIN_WAIT_2 = 5
    TIME_WAIT = 6
    CLOSED = 7
    CLOSE_WAIT = 8
    LAST_ACK = 9
    LISTENING = 10
    CLOSING = 11
    NEW_SYN_RECEIVED = 12
    BOUND = 13
    """Bound, but neither connected nor listening: from Linux 6.8."""


LISTED_STATES = sum(1 << state for state in State if state is not State.TIME_WAIT)
"""Sessions that are over can be many, and need nothing."""


@dataclass(frozen=True, slots=True)
class Socket:
    """One socket of this host."""

    protocol: str
    state: State
    local: IPv6Address
    """`::` if it is bound to no address."""
    local_port: int
    remote: IPv6Address
    """`::` if it is not connected."""
    remote_port: int
    cookie: int
    """What getsockopt(SO_COOKIE) says: never the same for two sockets."""
    inode: int
    """0 if no process has it any more."""
    priority: int
    """SO_PRIORITY."""


def list_sockets(netlink: Netlink) -> Iterator[Socket]:
    """All IPv6 sockets of this network namespace but those in TIME_WAIT, one after the other.

    Raises:
        DumpInterruptedError: sockets came or went meanwhile, so some may be missing.
        NetlinkError: the kernel does not list them.
    """
    for number, name in PROTOCOLS.items():
        try:
            for body in netlink.walk(SOCK_DIAG_BY_FAMILY, request(number)):
                found = decode_socket(name, body)
                if found is not None:
                    yield found
        except NetlinkError as error:
            if error.errno != errno.ENOENT:
                raise
            if name not in MAY_LACK:
                raise NetlinkError(f"this kernel cannot list sockets ({name}_diag)") from error


def request(protocol: int) -> bytes:
    """What asks for all IPv6 sockets of a protocol."""
    # The priority comes with the traffic class, whose bit is the only one that fits in the field.
    wanted = 1 << (INET_DIAG_TCLASS - 1)
    return _REQUEST.pack(socket.AF_INET6, protocol, wanted, LISTED_STATES)


def decode_socket(protocol: str, body: bytes) -> Socket | None:
    """A socket from its `inet_diag_msg`; None if it is something else."""
    if len(body) < _MESSAGE.size or body[0] != socket.AF_INET6 or body[1] not in _STATES:
        return None
    _family, state, sport, dport, source, destination, _link, cookie, inode = _MESSAGE.unpack_from(
        body
    )
    found = attributes(body[_MESSAGE.size :])
    return Socket(
        protocol=protocol,
        state=State(state),
        local=IPv6Address(source),
        local_port=int.from_bytes(sport, "big"),
        remote=IPv6Address(destination),
        remote_port=int.from_bytes(dport, "big"),
        cookie=cookie,
        inode=inode,
        priority=int.from_bytes(found.get(INET_DIAG_CLASS_ID, b""), sys.byteorder),
    )


_STATES = frozenset(State)
