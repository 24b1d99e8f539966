"""Wire layouts as data: a class lists its fields in the order of the RFC's drawing.

A `Part` knows some octets and the dataclass field they hold; a `Layout` is a row of parts. The same
row writes and reads, so the two cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any

from dmm_agent.wire.errors import EncodeError

if TYPE_CHECKING:
    import enum
    from collections.abc import Callable

ADDRESS_OCTETS = 16
ANY_PREFIX = IPv6Network("::/0")


@dataclass(frozen=True, slots=True)
class Part:
    """Some octets of a layout and how the value in them is written and read.

    Attributes:
        name: The dataclass field the octets hold; empty if they hold none.
        octets: How many; None for all that is left.
        pack: Writes the field's value; raises `ValueError` or `OverflowError` if it does not fit.
        unpack: Reads it; raises `ValueError` on octets that no sender may write.
    """

    name: str
    octets: int | None
    pack: Callable[[Any], bytes]
    unpack: Callable[[bytes], Any]


class Layout:
    """A row of parts: what a message or option looks like on the wire."""

    def __init__(self, *parts: Part) -> None:
        self.parts = parts
        self.minimum = sum(part.octets or 0 for part in parts)
        self.fixed = all(part.octets is not None for part in parts)

    def pack(self, owner: object) -> bytes:
        """Write the fields of `owner`.

        Raises:
            EncodeError: a value does not fit into its field.
        """
        return b"".join(_pack(part, owner) for part in self.parts)

    def unpack(self, data: bytes) -> dict[str, Any]:
        """Read `data` into values by field name.

        Raises:
            ValueError: wrong length, or a part holds what no sender may write.
        """
        if len(data) < self.minimum or (self.fixed and len(data) > self.minimum):
            bound = "" if self.fixed else "at least "
            raise ValueError(f"expected {bound}{self.minimum} octets, got {len(data)}")
        values = {}
        offset = 0
        for part in self.parts:
            end = len(data) if part.octets is None else offset + part.octets
            value = part.unpack(data[offset:end])
            if part.name:
                values[part.name] = value
            offset = end
        return values


def _pack(part: Part, owner: object) -> bytes:
    value = getattr(owner, part.name) if part.name else None
    try:
        return part.pack(value)
    except (ValueError, OverflowError) as error:
        where = f"{type(owner).__name__}.{part.name}"
        raise EncodeError(f"{where}: {error}, got {value!r}") from error


def unsigned(name: str, octets: int) -> Part:
    """A big-endian unsigned integer."""
    return scaled(name, octets, unit=1)


def scaled(name: str, octets: int, unit: int) -> Part:
    """An integer that travels in units: the field holds multiples of `unit`."""
    largest = ((1 << 8 * octets) - 1) * unit

    def pack(value: int) -> bytes:
        if not 0 <= value <= largest or value % unit:
            multiple = f"a multiple of {unit} " if unit > 1 else ""
            raise ValueError(f"expected {multiple}from 0 to {largest}")
        return int(value // unit).to_bytes(octets, "big")

    return Part(name, octets, pack, lambda data: int.from_bytes(data, "big") * unit)


def named(name: str, octets: int, names: type[enum.IntEnum]) -> Part:
    """An unsigned integer whose known values have names; unknown ones are kept as they are."""
    plain = unsigned(name, octets)

    def unpack(data: bytes) -> int:
        value = int(plain.unpack(data))
        try:
            return names(value)
        except ValueError:
            return value

    return Part(name, octets, plain.pack, unpack)


def one_of(name: str, octets: int, names: type[enum.IntEnum]) -> Part:
    """An unsigned integer that must be one of the named values."""
    plain = unsigned(name, octets)
    return Part(
        name,
        octets,
        lambda value: plain.pack(names(value)),
        lambda data: names(plain.unpack(data)),
    )


def flag_bits(name: str, octets: int, names: type[enum.IntFlag]) -> Part:
    """A set of one-bit flags; bits without a name are sent as zero and ignored on receipt."""
    known = sum(names)

    def pack(value: int) -> bytes:
        if value & ~known:
            raise ValueError(f"expected bits out of {known:#x}")
        return int(value).to_bytes(octets, "big")

    return Part(name, octets, pack, lambda data: names(int.from_bytes(data, "big") & known))


def ipv6_address(name: str) -> Part:
    """An IPv6 address."""
    return Part(name, ADDRESS_OCTETS, lambda value: bytes(value.packed), IPv6Address)


def ipv6_prefix(name: str) -> Part:
    """A prefix length octet and an IPv6 address."""
    return Part(name, 1 + ADDRESS_OCTETS, _pack_prefix, lambda data: read_prefix(data[0], data[1:]))


def _pack_prefix(value: IPv6Network) -> bytes:
    return bytes([value.prefixlen]) + value.network_address.packed


def read_prefix(length: int, address: bytes) -> IPv6Network:
    """A prefix from its length and 16 octets; bits past the length do not count.

    An all-zero prefix is ``::/0`` whatever its length says: RFC 5213 leaves the length open.

    Raises:
        ValueError: a length above 128 with an address that is not all-zero.
    """
    if not any(address):
        return ANY_PREFIX
    network = IPv6Network((address, length), strict=False)
    return network if int(network.network_address) else ANY_PREFIX


def raw(name: str, size: int | None = None) -> Part:
    """Octets as they are: `size` of them, or all that are left."""

    def pack(value: bytes) -> bytes:
        if size is not None and len(value) != size:
            raise ValueError(f"expected {size} octets")
        return bytes(value)

    return Part(name, size, pack, bytes)


def reserved(size: int) -> Part:
    """Octets sent as zero and ignored on receipt."""
    return Part("", size, lambda _: bytes(size), lambda _: None)


def constant(value: int) -> Part:
    """One octet that has this value always."""

    def unpack(data: bytes) -> None:
        if data[0] != value:
            raise ValueError(f"expected octet {value}, got {data[0]}")

    return Part("", 1, lambda _: bytes([value]), unpack)
