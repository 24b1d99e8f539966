"""This node's own global addresses, as the kernel lists them (RTM_GETADDR)."""

from __future__ import annotations

import ipaddress
import socket
import struct
import sys
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING

from dmm_sessions.address_type import AddressTypeError

if TYPE_CHECKING:
    from collections.abc import Iterator

FIXED_PREFIX_FILE = Path("/etc/dmm/fixed-prefix")
"""One line, the prefix that this node's fixed address is from; without it the oldest address is."""

RTM_NEWADDR, RTM_GETADDR = 20, 22
NLM_F_REQUEST_DUMP = 0x301
NLMSG_ERROR, NLMSG_DONE = 2, 3
IFA_ADDRESS, IFA_LOCAL, IFA_CACHEINFO, IFA_FLAGS = 1, 2, 6, 8
RT_SCOPE_UNIVERSE = 0
IFA_F_TEMPORARY, IFA_F_DADFAILED, IFA_F_DEPRECATED, IFA_F_TENTATIVE = 0x01, 0x08, 0x20, 0x40
UNUSABLE = IFA_F_TEMPORARY | IFA_F_DADFAILED | IFA_F_TENTATIVE
ANSWER_TIMEOUT_S = 5.0

_HEADER = struct.Struct("=IHHII")
_ADDRESS = struct.Struct("=BBBBI")
_ATTRIBUTE = struct.Struct("=HH")
_CACHE_INFO = struct.Struct("=IIII")


@dataclass(frozen=True)
class Address:
    """A global address of this node that sockets can use."""

    address: IPv6Address
    deprecated: bool
    """Of a network where the node was; new sockets do not get it by themselves."""
    created: int
    """In hundredths of a second since the node started."""


def fixed_address() -> IPv6Address:
    """The node's fixed address: the one of the prefix that the file names, else the oldest.

    Raises:
        AddressTypeError: there is none, or the file is wrong.
    """
    prefix = _fixed_prefix()
    found = [known for known in own_addresses() if prefix is None or known.address in prefix]
    if found:
        return min(found, key=lambda known: (known.created, known.address)).address
    if prefix is None:
        raise AddressTypeError("this node has no global address yet: attach it to a network")
    raise AddressTypeError(
        f"this node has no address of {prefix} ({FIXED_PREFIX_FILE}): attach it to the network "
        "that this prefix is from, and have a session keep it when the node leaves"
    )


def present_address() -> IPv6Address:
    """An address of the present network: the newest that is not deprecated.

    Raises:
        AddressTypeError: there is none.
    """
    found = [known for known in own_addresses() if not known.deprecated]
    if not found:
        raise AddressTypeError(
            "this node has no address of the network where it is: attach it, or wait for a "
            "router advertisement"
        )
    return max(found, key=lambda known: (known.created, known.address)).address


def own_addresses() -> list[Address]:
    """All global addresses of this node, temporary and unready ones left out."""
    return [address for body in _dump() if (address := _decode(body)) is not None]


def _fixed_prefix() -> IPv6Network | None:
    try:
        line = FIXED_PREFIX_FILE.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    try:
        return IPv6Network(line)
    except ValueError as error:
        raise AddressTypeError(
            f"{FIXED_PREFIX_FILE}: expected one IPv6 prefix, like 2001:db8:1:8000::/49, "
            f"got {line[:60]!r}"
        ) from error


def _dump() -> Iterator[bytes]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        netlink.settimeout(ANSWER_TIMEOUT_S)
        body = _ADDRESS.pack(socket.AF_INET6, 0, 0, 0, 0)
        netlink.send(_HEADER.pack(16 + len(body), RTM_GETADDR, NLM_F_REQUEST_DUMP, 1, 0) + body)
        while True:
            data = netlink.recv(1 << 17)
            offset = 0
            while offset < len(data):
                length, kind, *_ = _HEADER.unpack_from(data, offset)
                if kind in (NLMSG_DONE, NLMSG_ERROR):
                    return
                if kind == RTM_NEWADDR:
                    yield data[offset + _HEADER.size : offset + length]
                offset += (length + 3) & ~3


def _decode(body: bytes) -> Address | None:
    _family, _length, flags, scope, _index = _ADDRESS.unpack_from(body)
    found = dict(_attributes(body[_ADDRESS.size :]))
    flags |= int.from_bytes(found.get(IFA_FLAGS, b""), sys.byteorder)
    if scope != RT_SCOPE_UNIVERSE or flags & UNUSABLE:
        return None
    # On a link with a peer IFA_ADDRESS is the peer's.
    address = ipaddress.IPv6Address(found.get(IFA_LOCAL) or found[IFA_ADDRESS])
    created = _CACHE_INFO.unpack_from(found[IFA_CACHEINFO])[2]
    return Address(address, bool(flags & IFA_F_DEPRECATED), created)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4:
            return
        yield kind, data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
