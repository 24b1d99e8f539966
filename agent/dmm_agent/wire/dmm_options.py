"""Options of Proxy Mobile IPv6 for distributed mobility management (RFC 8885, 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from dmm_agent.wire.layout import (
    Layout,
    ipv6_address,
    ipv6_prefix,
    raw,
    read_prefix,
    reserved,
    unsigned,
)
from dmm_agent.wire.option import Option, mobility_option, natural_alignment

if TYPE_CHECKING:
    from ipaddress import IPv6Address, IPv6Network


@mobility_option
@dataclass(frozen=True, slots=True)
class AnchoredPrefix(Option):
    """A prefix of the node that is anchored at the MAAR (RFC 8885, 4.3)."""

    prefix: IPv6Network

    option_type: ClassVar[int] = 65
    aligned: ClassVar[tuple[int, int]] = (8, 4)
    layout: ClassVar[Layout] = Layout(reserved(1), ipv6_prefix("prefix"))


@mobility_option
@dataclass(frozen=True, slots=True)
class LocalPrefix(Option):
    """A prefix that is reached through the anchoring MAAR only (RFC 8885, 4.4)."""

    prefix: IPv6Network

    option_type: ClassVar[int] = 66
    aligned: ClassVar[tuple[int, int]] = (8, 4)
    layout: ClassVar[Layout] = Layout(reserved(1), ipv6_prefix("prefix"))


@mobility_option
@dataclass(frozen=True, slots=True)
class PreviousMaar(Option):
    """A MAAR the node was at before, and the prefix it anchors (RFC 8885, 4.5)."""

    address: IPv6Address
    prefix: IPv6Network

    option_type: ClassVar[int] = 67
    aligned: ClassVar[tuple[int, int]] = (8, 4)
    layout: ClassVar[Layout] = Layout(
        reserved(1), unsigned("prefix_length", 1), ipv6_address("address"), raw("prefix_octets", 16)
    )

    @property
    def prefix_length(self) -> int:
        """Length of the prefix: on the wire the MAAR's address stands between the two."""
        return self.prefix.prefixlen

    @property
    def prefix_octets(self) -> bytes:
        """The prefix without its length."""
        return self.prefix.network_address.packed

    @classmethod
    def from_octets(cls, data: bytes) -> Self:
        """Read the data, putting the prefix and its length together."""
        values = cls.layout.unpack(data)
        length, octets = values["prefix_length"], values["prefix_octets"]
        return cls(values["address"], read_prefix(length, octets))


@mobility_option
@dataclass(frozen=True, slots=True)
class ServingMaar(Option):
    """The MAAR the node is at now (RFC 8885, 4.6)."""

    address: IPv6Address

    option_type: ClassVar[int] = 68
    aligned: ClassVar[tuple[int, int]] = (8, 6)
    layout: ClassVar[Layout] = Layout(ipv6_address("address"))


@mobility_option
@dataclass(frozen=True, slots=True)
class DlifLinkLocalAddress(Option):
    """Link-local address of an anchor's distributed logical interface (RFC 8885, 4.7)."""

    address: IPv6Address

    option_type: ClassVar[int] = 69
    aligned: ClassVar[tuple[int, int]] = (8, 6)
    layout: ClassVar[Layout] = Layout(ipv6_address("address"))


@mobility_option
@dataclass(frozen=True, slots=True)
class DlifLinkLayerAddress(Option):
    """Link-layer address of an anchor's distributed logical interface (RFC 8885, 4.8)."""

    address: bytes

    option_type: ClassVar[int] = 70
    layout: ClassVar[Layout] = Layout(reserved(2), raw("address"))

    def alignment(self) -> tuple[int, int]:
        """By the size of the address."""
        return natural_alignment(self.address)
