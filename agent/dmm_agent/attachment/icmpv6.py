"""ICMPv6 on an access link: neighbour discovery and MLD packets, to and from octets; no sockets.

Every function takes or gives whole IPv6 packets. What does not meet RFC 4861's validity checks
(6.1.1, 7.1.1, 7.1.2) or RFC 3810's is a `MalformedError`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from dmm_agent.functions.effects import ACCESS_ROUTER_LINK_LOCAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dmm_agent.functions.effects import AdvertisedPrefix

ROUTER_LINK_LOCAL = ACCESS_ROUTER_LINK_LOCAL
ROUTER_LINK_LAYER = bytes.fromhex("00005e005213")
"""What every access router shows on every access link (RFC 6543, section 4)."""

UNSPECIFIED = IPv6Address("::")
ALL_NODES = IPv6Address("ff02::1")
ALL_ROUTERS = IPv6Address("ff02::2")

NEXT_HEADER_HOP_BY_HOP = 0
NEXT_HEADER_ICMPV6 = 58

MLD_QUERY, MLD_REPORT, MLD_REPORT_V2 = 130, 131, 143
ROUTER_SOLICITATION, ROUTER_ADVERTISEMENT = 133, 134
NEIGHBOR_SOLICITATION, NEIGHBOR_ADVERTISEMENT = 135, 136

OPTION_SOURCE_LINK_LAYER, OPTION_PREFIX_INFORMATION, OPTION_MTU = 1, 3, 5
PREFIX_AUTONOMOUS = 0x40
NEIGHBOR_SOLICITED = 0x40000000

ROUTER_HOP_LIMIT = 64
"""Advertised to hosts for what they send (RFC 4861, 4.2)."""
MLD_RESPONSE_MS = 1
"""The longest delay of an answer to our query; there is one node on a link."""
MLD_ROBUSTNESS, MLD_QUERY_INTERVAL_S = 2, 125
LONGEST_LIFETIME_S = 0xFFFFFFFF

_IPV6 = struct.Struct("!IHBB16s16s")
_ROUTER_ALERT = bytes([NEXT_HEADER_ICMPV6, 0, 5, 2, 0, 0, 1, 0])


class MalformedError(ValueError):
    """A packet that must be silently discarded (RFC 4861); the text says which check it failed."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What a packet from an access link says about its sender."""

    kind: int
    """The ICMPv6 type."""
    source: IPv6Address
    target: IPv6Address | None = None
    """In neighbour solicitations and advertisements."""
    solicited: bool = False
    """In neighbour advertisements."""

    @property
    def link_local(self) -> IPv6Address | None:
        """The sender's link-local address, if the packet gives it away."""
        if self.source.is_link_local:
            return self.source
        checks_itself = self.kind == NEIGHBOR_SOLICITATION and self.source == UNSPECIFIED
        if checks_itself and self.target is not None and self.target.is_link_local:
            return self.target
        return None


def parse(packet: bytes) -> Heard | None:
    """Read a packet; None if it is none of the kinds that show a node.

    Raises:
        MalformedError: it is of such a kind, but not valid.
    """
    if len(packet) < _IPV6.size or packet[0] >> 4 != 6:
        raise MalformedError("not an IPv6 packet")
    _, length, next_header, hop_limit, source, destination = _IPV6.unpack_from(packet)
    payload = packet[_IPV6.size : _IPV6.size + length]
    if len(payload) < length:
        raise MalformedError("shorter than its payload length")
    if next_header == NEXT_HEADER_HOP_BY_HOP:
        next_header, payload = _skip_options(payload)
    if next_header != NEXT_HEADER_ICMPV6:
        return None
    if len(payload) < 8:
        raise MalformedError("ICMPv6 message shorter than 8 octets")
    if checksum(source, destination, payload) != 0:
        raise MalformedError("wrong ICMPv6 checksum")
    kind, code = payload[0], payload[1]
    sender = IPv6Address(source)
    if kind in (MLD_REPORT, MLD_REPORT_V2):
        _require(hop_limit == 1, "MLD report with a hop limit other than 1")
        return Heard(kind, sender)
    if kind not in (ROUTER_SOLICITATION, NEIGHBOR_SOLICITATION, NEIGHBOR_ADVERTISEMENT):
        return None
    _require(hop_limit == 255, "hop limit other than 255: it was forwarded")
    _require(code == 0, "ICMPv6 code other than 0")
    if kind == ROUTER_SOLICITATION:
        options = _options(payload[8:])
        _require(
            sender != UNSPECIFIED or OPTION_SOURCE_LINK_LAYER not in options,
            "source link-layer address of an unspecified source",
        )
        return Heard(kind, sender)
    return _neighbor(kind, sender, IPv6Address(destination), payload)


def _neighbor(kind: int, sender: IPv6Address, destination: IPv6Address, payload: bytes) -> Heard:
    _require(len(payload) >= 24, "neighbour discovery message shorter than 24 octets")
    flags = int.from_bytes(payload[4:8], "big")
    target = IPv6Address(payload[8:24])
    options = _options(payload[24:])
    _require(not target.is_multicast, "target is a multicast address")
    if kind == NEIGHBOR_SOLICITATION:
        if sender == UNSPECIFIED:
            _require(destination == solicited_node(target), "probe for a duplicate sent elsewhere")
            _require(OPTION_SOURCE_LINK_LAYER not in options, "link-layer address of nobody")
        return Heard(kind, sender, target)
    solicited = bool(flags & NEIGHBOR_SOLICITED)
    _require(not (solicited and destination.is_multicast), "solicited, but sent to all")
    return Heard(kind, sender, target, solicited)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise MalformedError(otherwise)


def _skip_options(payload: bytes) -> tuple[int, bytes]:
    _require(len(payload) >= 8, "hop-by-hop options shorter than 8 octets")
    size = payload[1] * 8 + 8
    _require(len(payload) >= size, "hop-by-hop options run past the end")
    return payload[0], payload[size:]


def _options(data: bytes) -> set[int]:
    """The types of neighbour discovery options."""
    found: set[int] = set()
    while data:
        _require(len(data) >= 8 and data[1] > 0, "option of length 0 or cut off")
        _require(len(data) >= data[1] * 8, "option runs past the end")
        found.add(data[0])
        data = data[data[1] * 8 :]
    return found


def checksum(source: bytes, destination: bytes, message: bytes) -> int:
    """ICMPv6 checksum (RFC 4443, 2.3); 0 over a message that holds its own right one."""
    covered = source + destination + struct.pack("!II", len(message), NEXT_HEADER_ICMPV6) + message
    covered += bytes(len(covered) % 2)
    total = sum(struct.unpack(f"!{len(covered) // 2}H", covered))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - int(total)


def solicited_node(address: IPv6Address) -> IPv6Address:
    """The multicast group in which the owner of an address listens (RFC 4291, 2.7.1)."""
    return IPv6Address(IPv6Address("ff02::1:ff00:0").packed[:13] + address.packed[13:])


def _packet(destination: IPv6Address, kind: int, body: bytes) -> bytes:
    """An ICMPv6 packet from the router on an access link; `body` is what follows the checksum."""
    source, target = ROUTER_LINK_LOCAL.packed, destination.packed
    total = checksum(source, target, struct.pack("!BBH", kind, 0, 0) + body)
    message = struct.pack("!BBH", kind, 0, total) + body
    hop_limit, next_header, options = 255, NEXT_HEADER_ICMPV6, b""
    if kind == MLD_QUERY:
        hop_limit, next_header, options = 1, NEXT_HEADER_HOP_BY_HOP, _ROUTER_ALERT
    length = len(options) + len(message)
    return _IPV6.pack(6 << 28, length, next_header, hop_limit, source, target) + options + message


def router_advertisement(
    destination: IPv6Address,
    prefixes: Sequence[AdvertisedPrefix],
    router_lifetime_s: int,
    mtu: int | None = None,
) -> bytes:
    """A router advertisement to one node (RFC 4861, 4.2; addresses of RFC 6543).

    Prefixes are off-link and autonomous: two nodes never share one (RFC 5213, 6.9.1).

    Args:
        destination: The node's link-local address.
        prefixes: What it may use.
        router_lifetime_s: How long it may send through us.
        mtu: The link MTU to use, if smaller than the link's own.
    """
    body = struct.pack("!BBHII", ROUTER_HOP_LIMIT, 0, min(router_lifetime_s, 0xFFFF), 0, 0)
    body += bytes([OPTION_SOURCE_LINK_LAYER, 1]) + ROUTER_LINK_LAYER
    if mtu is not None:
        body += struct.pack("!BBHI", OPTION_MTU, 1, 0, mtu)
    for prefix in prefixes:
        body += struct.pack(
            "!BBBBIII16s",
            OPTION_PREFIX_INFORMATION,
            4,
            prefix.prefix.prefixlen,
            PREFIX_AUTONOMOUS,
            min(prefix.valid_s, LONGEST_LIFETIME_S),
            min(prefix.preferred_s, prefix.valid_s, LONGEST_LIFETIME_S),
            0,
            prefix.prefix.network_address.packed,
        )
    return _packet(destination, ROUTER_ADVERTISEMENT, body)


def neighbor_solicitation(target: IPv6Address) -> bytes:
    """Ask a node whether it is there (RFC 4861, 4.3); it must answer us alone."""
    body = bytes(4) + target.packed + bytes([OPTION_SOURCE_LINK_LAYER, 1]) + ROUTER_LINK_LAYER
    return _packet(target, NEIGHBOR_SOLICITATION, body)


def listener_query() -> bytes:
    """Ask all nodes which groups they listen to (RFC 3810, 5.1): every IPv6 node answers."""
    body = struct.pack("!HH16s", MLD_RESPONSE_MS, 0, UNSPECIFIED.packed)
    body += struct.pack("!BBH", MLD_ROBUSTNESS, MLD_QUERY_INTERVAL_S, 0)
    return _packet(ALL_NODES, MLD_QUERY, body)
