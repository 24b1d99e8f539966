"""The Mobility Header: octets to messages and back (RFC 6275, 6.1; next header 135)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from dmm_agent.wire.errors import DecodeError, EncodeError
from dmm_agent.wire.message import Message, class_of
from dmm_agent.wire.option import read_options, write_options

if TYPE_CHECKING:
    from collections.abc import Callable
    from ipaddress import IPv6Address

NEXT_HEADER = 135
"""IPv6 next-header number of the Mobility Header; Python's `socket` has no name for it."""
NO_NEXT_HEADER = 59
LARGEST_OCTETS = 256 * 8
_BODY_AT = 6
_CHECKSUM_AT = 4


def encode(message: Message, source: IPv6Address, destination: IPv6Address) -> bytes:
    """Write a whole Mobility Header: options aligned and padded, Header Len and Checksum set.

    Args:
        message: What to say.
        source: Sender as the checksum counts it: the home address when the packet carries a
            Home Address option.
        destination: Receiver likewise: the home address of a type 2 routing header.

    Raises:
        EncodeError: a value has no room in its field, or the message is longer than 2048 octets.
    """
    octets = bytearray([NO_NEXT_HEADER, 0, message.mh_type, 0, 0, 0])
    octets += message.body.pack(message)
    write_options(octets, message.options)
    if len(octets) > LARGEST_OCTETS:
        name = type(message).__name__
        raise EncodeError(f"{name}: expected at most {LARGEST_OCTETS} octets, got {len(octets)}")
    octets[1] = len(octets) // 8 - 1
    struct.pack_into("!H", octets, _CHECKSUM_AT, 0xFFFF - _sum(octets, source, destination))
    return bytes(octets)


def decode(data: bytes | bytearray | memoryview) -> Message:
    """Read a Mobility Header; the checksum is not looked at (the kernel has verified it).

    Octets after the end that Header Len gives are ignored (RFC 8200, 4.7).

    Raises:
        UnknownMessageType: the message type is not implemented.
        UnknownExperiment: an experimental message that is not one of ours.
        DecodeError: any other fault, whatever the octets.
    """
    octets = _whole(data)
    cls = class_of(octets[2], octets[_BODY_AT])
    if octets[0] != NO_NEXT_HEADER:
        raise DecodeError(f"Payload Proto: expected {NO_NEXT_HEADER}, got {octets[0]}", offset=0)
    options_at = _BODY_AT + cls.body.minimum
    if len(octets) < options_at:
        raise DecodeError(f"Header Len {octets[1]} is too small for a {cls.__name__}", offset=1)
    build: Callable[..., Message] = cls
    try:
        fields = cls.body.unpack(octets[_BODY_AT:options_at])
    except ValueError as error:
        raise DecodeError(f"{cls.__name__}: {error}", _BODY_AT) from error
    return build(**fields, options=tuple(read_options(octets, options_at)))


def verify_checksum(
    data: bytes | bytearray | memoryview, source: IPv6Address, destination: IPv6Address
) -> bool:
    """Whether a Mobility Header came through unchanged (RFC 6275, 6.1.1).

    Args:
        data: The Mobility Header.
        source: As in `encode`.
        destination: As in `encode`.
    """
    try:
        octets = _whole(data)
    except DecodeError:
        return False
    return _sum(octets, source, destination) == 0xFFFF


def _whole(data: bytes | bytearray | memoryview) -> bytes:
    """The octets of the Mobility Header alone, by its Header Len."""
    if len(data) < 8:
        raise DecodeError(f"a Mobility Header has at least 8 octets, got {len(data)}")
    size = int(data[1]) * 8 + 8
    if len(data) < size:
        raise DecodeError(f"Header Len says {size} octets, got {len(data)}", offset=1)
    return bytes(data[:size])


def _sum(octets: bytes | bytearray, source: IPv6Address, destination: IPv6Address) -> int:
    """Ones'-complement sum over the pseudo-header (RFC 8200, 8.1) and the message."""
    pseudo = source.packed + destination.packed + struct.pack("!II", len(octets), NEXT_HEADER)
    words = pseudo + octets
    total: int = sum(struct.unpack(f"!{len(words) // 2}H", words))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total
