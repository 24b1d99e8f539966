"""Mobility Header messages on an access link: whole IPv6 packets, to and from octets; no sockets.

They stay on the link. As in neighbour discovery, a hop limit of 255 proves that (RFC 5082).
"""

from __future__ import annotations

import struct
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from dmm_agent.attachment.icmpv6 import ROUTER_LINK_LOCAL, MalformedError
from dmm_agent.wire import NEXT_HEADER, DecodeError, decode, encode, verify_checksum

if TYPE_CHECKING:
    from dmm_agent.wire import Message

HOP_LIMIT = 255
NETWORK_CONTROL = 48 << 2
"""Traffic class CS6, as routing protocols use it (RFC 4594, 3.2)."""

_IPV6 = struct.Struct("!IHBB16s16s")


def is_mobility_header(packet: bytes) -> bool:
    """Whether the IPv6 header says so; extension headers in front of it are not expected here."""
    return len(packet) >= _IPV6.size and packet[6] == NEXT_HEADER


def packet_to(destination: IPv6Address, message: Message) -> bytes:
    """A message from the address that all access routers show (RFC 6543).

    Raises:
        EncodeError: as `encode`.
    """
    octets = encode(message, ROUTER_LINK_LOCAL, destination)
    first_word = 6 << 28 | NETWORK_CONTROL << 20
    source, target = ROUTER_LINK_LOCAL.packed, destination.packed
    header = _IPV6.pack(first_word, len(octets), NEXT_HEADER, HOP_LIMIT, source, target)
    return header + octets


def parse(packet: bytes) -> tuple[IPv6Address, Message]:
    """The sender's link-local address and what it says to this access router.

    Raises:
        MalformedError: a message that must be discarded; the text says why.
    """
    _, length, _, hop_limit, from_octets, to_octets = _IPV6.unpack_from(packet)
    source, destination = IPv6Address(from_octets), IPv6Address(to_octets)
    octets = packet[_IPV6.size : _IPV6.size + length]
    if len(octets) < length:
        raise MalformedError("shorter than its payload length")
    if hop_limit != HOP_LIMIT:
        raise MalformedError("hop limit other than 255: it was forwarded")
    if destination != ROUTER_LINK_LOCAL or not source.is_link_local:
        raise MalformedError("not between link-local addresses")
    if not verify_checksum(octets, source, destination):
        raise MalformedError("wrong checksum")
    try:
        return source, decode(octets)
    except DecodeError as error:
        raise MalformedError(str(error)) from error
