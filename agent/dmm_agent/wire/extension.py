"""Extension headers in front of a Mobility Header that name a mobile node's home address.

The Home Address option (RFC 6275, 6.3) stands for the source, the type 2 routing header (6.4) for
the destination. Proxy Mobile IPv6 uses neither.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from dmm_agent.wire.codec import NEXT_HEADER, decode, encode, verify_checksum
from dmm_agent.wire.errors import DecodeError
from dmm_agent.wire.option import PAD1, PADN, padding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmm_agent.wire.message import Message

ROUTING = 43
"""Next-header number of a routing header."""
DESTINATION_OPTIONS = 60
"""Next-header number of a Destination Options header."""
HOME_ADDRESS = 0xC9
"""Destination option type of the Home Address option."""
_ROUTING_TYPE = 2
_ADDRESS_OCTETS = 16
_MUST_RECOGNIZE = 0xC0
"""Bits of an option's type; with both clear an unknown one is skipped (RFC 8200, 4.2)."""


@dataclass(frozen=True, slots=True)
class MobilityPacket:
    """A message with the home addresses that travel in front of it."""

    message: Message
    home_source: IPv6Address | None = None
    """Home address of the sender, in a Home Address option."""
    home_destination: IPv6Address | None = None
    """Home address of the receiver, in a type 2 routing header."""
    octets: bytes = field(default=b"", compare=False, repr=False)
    """The Mobility Header as it came, for authenticators."""


@dataclass(frozen=True, slots=True)
class _Split:
    header: bytes
    home_source: IPv6Address | None
    home_destination: IPv6Address | None


def home_address_header(home: IPv6Address, next_header: int = NEXT_HEADER) -> bytes:
    """A Destination Options header that holds a Home Address option, 24 octets."""
    option = bytes([HOME_ADDRESS, _ADDRESS_OCTETS]) + home.packed
    return bytes([next_header, 2]) + padding(4) + option


def routing_header(home: IPv6Address, next_header: int = NEXT_HEADER) -> bytes:
    """A type 2 routing header, 24 octets, with one segment left."""
    return bytes([next_header, 2, _ROUTING_TYPE, 1]) + bytes(4) + home.packed


def encode_packet(
    packet: MobilityPacket, source: IPv6Address, destination: IPv6Address
) -> tuple[int, bytes]:
    """Write what follows the IPv6 header: its next-header number and the octets.

    Args:
        packet: Message and home addresses.
        source: Source address in the IPv6 header.
        destination: Destination address in the IPv6 header.

    Raises:
        EncodeError: as `encode`.
    """
    next_header = NEXT_HEADER
    octets = encode(
        packet.message, packet.home_source or source, packet.home_destination or destination
    )
    if packet.home_source is not None:
        octets = home_address_header(packet.home_source, next_header) + octets
        next_header = DESTINATION_OPTIONS
    if packet.home_destination is not None:
        octets = routing_header(packet.home_destination, next_header) + octets
        next_header = ROUTING
    return next_header, octets


def decode_packet(next_header: int, data: bytes | bytearray | memoryview) -> MobilityPacket:
    """Read what follows the IPv6 header; offsets in errors count from the header at fault.

    Raises:
        DecodeError: as `decode`, and on extension headers that are malformed, repeated or others
            than these two.
    """
    split = _split(next_header, bytes(data))
    return MobilityPacket(
        decode(split.header), split.home_source, split.home_destination, split.header
    )


def verify_packet_checksum(
    next_header: int,
    data: bytes | bytearray | memoryview,
    source: IPv6Address,
    destination: IPv6Address,
) -> bool:
    """Whether the Mobility Header behind the extension headers came through unchanged.

    Args:
        next_header: Next-header number in the IPv6 header.
        data: What follows the IPv6 header.
        source: Source address in the IPv6 header.
        destination: Destination address in the IPv6 header.
    """
    try:
        split = _split(next_header, bytes(data))
    except DecodeError:
        return False
    return verify_checksum(
        split.header, split.home_source or source, split.home_destination or destination
    )


def _split(next_header: int, data: bytes) -> _Split:
    """Walk the extension headers, each at most once, up to the Mobility Header."""
    homes: dict[int, IPv6Address | None] = {}
    while next_header != NEXT_HEADER:
        if next_header not in (DESTINATION_OPTIONS, ROUTING) or next_header in homes:
            raise DecodeError(f"expected a Mobility Header ({NEXT_HEADER}), got {next_header}")
        size = data[1] * 8 + 8 if len(data) > 1 else 8
        if len(data) < size:
            raise DecodeError(f"extension header {next_header} is cut short", offset=1)
        header, data = data[:size], data[size:]
        read = _routed_home if next_header == ROUTING else _optional_home
        homes[next_header] = read(header)
        next_header = header[0]
    return _Split(data, homes.get(DESTINATION_OPTIONS), homes.get(ROUTING))


def _routed_home(header: bytes) -> IPv6Address:
    """The home address in a type 2 routing header (RFC 6275, 6.4.1)."""
    if len(header) != 24 or header[2] != _ROUTING_TYPE or header[3] != 1:
        raise DecodeError("expected a type 2 routing header of 24 octets with one segment left")
    return IPv6Address(header[8:])


def _optional_home(header: bytes) -> IPv6Address | None:
    """The home address in a Destination Options header, if it has one."""
    homes = [_home(data) for kind, data in _destination_options(header) if kind == HOME_ADDRESS]
    if len(homes) > 1:
        raise DecodeError("expected one Home Address option, got more")
    return homes[0] if homes else None


def _home(data: bytes) -> IPv6Address:
    if len(data) != _ADDRESS_OCTETS:
        raise DecodeError(f"Home Address option: expected 16 octets, got {len(data)}")
    return IPv6Address(data)


def _destination_options(header: bytes) -> Iterator[tuple[int, bytes]]:
    """Options of a Destination Options header, without the padding."""
    offset = 2
    while offset < len(header):
        kind = header[offset]
        if kind == PAD1:
            offset += 1
            continue
        end = offset + 2 + header[offset + 1] if offset + 1 < len(header) else len(header) + 1
        if end > len(header):
            raise DecodeError(f"destination option {kind} runs past the end", offset)
        if kind not in (PADN, HOME_ADDRESS) and kind & _MUST_RECOGNIZE:
            raise DecodeError(f"destination option {kind} is not known here", offset)
        yield kind, header[offset + 2 : end]
        offset = end
