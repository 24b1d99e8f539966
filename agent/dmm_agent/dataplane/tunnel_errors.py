"""ICMPv6 errors from inside our tunnels, told to the sender of the original packet (RFC 2473, 8).

Routers inside a tunnel, and the kernel of its entrance itself, complain about the outer packet to
its source: this host. With `ip6tnl` the kernel passes that on; with `seg6` nobody does, and path
MTU discovery would stop at the entrance.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dmm_agent.config import Directory

DESTINATION_UNREACHABLE, PACKET_TOO_BIG, TIME_EXCEEDED = REPORTED = (1, 2, 3)
"""ICMPv6 types (RFC 4443) that a tunnel reports to its entrance."""
ADDRESS_UNREACHABLE = 3
LAST_ERROR = 127
"""ICMPv6 types up to this are errors (RFC 4443, 2.1)."""

IPV6_HEADER_BYTES = 40
IP_PROTOCOL_IPV6, IP_PROTOCOL_ICMPV6, DESTINATION_OPTIONS = 41, 58, 60
MINIMUM_MTU = 1280
LARGEST_ERROR = MINIMUM_MTU - IPV6_HEADER_BYTES
"""Most octets of an error after the IPv6 header (RFC 4443, 2.4 c)."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """An error for the sender of an original packet; the checksum is left to the kernel."""

    to: IPv6Address
    message: bytes


def complaint_about(error: bytes, own: IPv6Address, directory: Directory) -> Complaint | None:
    """What the sender of a tunnelled packet is to be told (RFC 2473, 8.1 and 8.2).

    Args:
        error: an ICMPv6 message to this host, from its type on.
        own: the address that our tunnels begin at.
        directory: which routers tunnels can lead to, and whose packets they can carry.

    Returns:
        None if it is not about a packet of one of our tunnels, or nobody may be told.
    """
    kind, outer = error[0] if error else 0, error[8:]
    if kind not in REPORTED:
        return None
    outer_bytes = _outer_bytes(outer, own, directory)
    original = outer[outer_bytes:]
    if not outer_bytes or not _may_be_told(original, directory):
        return None
    if kind == PACKET_TOO_BIG:
        (tunnel_mtu,) = struct.unpack("!I", error[4:8])
        if _size(original) <= MINIMUM_MTU:
            return None
        mtu = max(MINIMUM_MTU, tunnel_mtu - outer_bytes)
        header = struct.pack("!BBHI", PACKET_TOO_BIG, 0, 0, mtu)
    else:
        # Whatever is wrong with the tunnel is nothing that the sender could mend.
        header = struct.pack("!BBHI", DESTINATION_UNREACHABLE, ADDRESS_UNREACHABLE, 0, 0)
    return Complaint(IPv6Address(original[8:24]), (header + original)[:LARGEST_ERROR])


def _outer_bytes(outer: bytes, own: IPv6Address, directory: Directory) -> int:
    """The length of the outer headers if the packet went from here to a router of ours, else 0."""
    if len(outer) < IPV6_HEADER_BYTES or outer[8:24] != own.packed:
        return 0
    endpoint = IPv6Address(outer[24:40])
    if directory.owner_of(endpoint) is None or directory.home_of(endpoint) is not None:
        return 0
    next_header, length = outer[6], IPV6_HEADER_BYTES
    if next_header == DESTINATION_OPTIONS and len(outer) >= length + 8:
        next_header, length = outer[length], length + 8 * (outer[length + 1] + 1)
    return length if next_header == IP_PROTOCOL_IPV6 else 0


def _may_be_told(original: bytes, directory: Directory) -> bool:
    """Whether it is a mobile node's packet, or one to it, and no error itself (RFC 4443, 2.4 e)."""
    if len(original) < IPV6_HEADER_BYTES + 1 or original[0] >> 4 != 6:
        return False
    source, destination = IPv6Address(original[8:24]), IPv6Address(original[24:40])
    if source.is_multicast or source.is_unspecified or destination.is_multicast:
        return False
    if original[6] == IP_PROTOCOL_ICMPV6 and original[IPV6_HEADER_BYTES] <= LAST_ERROR:
        return False
    ends = (source, destination)
    return any(directory.home_of(end) or directory.plain_of(end) for end in ends)


def _size(packet: bytes) -> int:
    (payload,) = struct.unpack("!H", packet[4:6])
    return int(payload) + IPV6_HEADER_BYTES
