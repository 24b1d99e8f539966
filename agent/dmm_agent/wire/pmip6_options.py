"""Options of Proxy Mobile IPv6 and its extensions.

RFC 5213, 5847, 6058, 6602, 6705, 7148 and 7389.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from dmm_agent.wire.layout import (
    Layout,
    constant,
    flag_bits,
    ipv6_address,
    ipv6_prefix,
    named,
    raw,
    reserved,
    scaled,
    unsigned,
)
from dmm_agent.wire.option import Option, mobility_option, natural_alignment

if TYPE_CHECKING:
    from ipaddress import IPv6Address, IPv6Network


@mobility_option
@dataclass(frozen=True, slots=True)
class HomeNetworkPrefix(Option):
    """A prefix of a mobile node's session (RFC 5213, 8.3)."""

    prefix: IPv6Network
    """``::/0`` asks the anchor to choose one."""

    option_type: ClassVar[int] = 22
    aligned: ClassVar[tuple[int, int]] = (8, 4)
    layout: ClassVar[Layout] = Layout(reserved(1), ipv6_prefix("prefix"))


class Handoff(enum.IntEnum):
    """What a MAG knows of how the node came (RFC 5213, 8.4; 6 RFC 7864)."""

    RESERVED = 0
    NEW_INTERFACE = 1
    """Attachment over a new interface."""
    BETWEEN_INTERFACES = 2
    """Handoff between two interfaces of the node."""
    BETWEEN_MAGS = 3
    """Handoff between MAGs on the same interface."""
    UNKNOWN = 4
    UNCHANGED = 5
    """No handoff: the registration is renewed."""
    NEW_INTERFACE_SHARING_PREFIXES = 6


@mobility_option
@dataclass(frozen=True, slots=True)
class HandoffIndicator(Option):
    """How the mobile node came to this access link (RFC 5213, 8.4)."""

    value: int
    """A `Handoff` where it has a name."""

    option_type: ClassVar[int] = 23
    layout: ClassVar[Layout] = Layout(reserved(1), named("value", 1, Handoff))


class AccessTechnology(enum.IntEnum):
    """Kinds of access links (RFC 5213, 8.5, and the IANA registry after it)."""

    RESERVED = 0
    VIRTUAL = 1
    PPP = 2
    IEEE_802_3 = 3
    IEEE_802_11 = 4
    IEEE_802_16E = 5
    GERAN_3GPP = 6
    UTRAN_3GPP = 7
    E_UTRAN_3GPP = 8
    EHRPD_3GPP2 = 9
    HRPD_3GPP2 = 10
    ONE_X_RTT_3GPP2 = 11
    UMB_3GPP2 = 12
    NB_IOT_3GPP = 13


@mobility_option
@dataclass(frozen=True, slots=True)
class AccessTechnologyType(Option):
    """What kind of access link the mobile node is on (RFC 5213, 8.5)."""

    value: int
    """An `AccessTechnology` where it has a name."""

    option_type: ClassVar[int] = 24
    layout: ClassVar[Layout] = Layout(reserved(1), named("value", 1, AccessTechnology))


@mobility_option
@dataclass(frozen=True, slots=True)
class MobileNodeLinkLayerIdentifier(Option):
    """Link-layer identifier of the node's interface, such as a MAC address (RFC 5213, 8.6)."""

    identifier: bytes

    option_type: ClassVar[int] = 25
    layout: ClassVar[Layout] = Layout(reserved(2), raw("identifier"))

    def alignment(self) -> tuple[int, int]:
        """By the size of the identifier."""
        return natural_alignment(self.identifier)


@mobility_option
@dataclass(frozen=True, slots=True)
class LinkLocalAddress(Option):
    """The MAG's link-local address on the access link (RFC 5213, 8.7)."""

    address: IPv6Address

    option_type: ClassVar[int] = 26
    aligned: ClassVar[tuple[int, int]] = (8, 6)
    layout: ClassVar[Layout] = Layout(ipv6_address("address"))


@mobility_option
@dataclass(frozen=True, slots=True)
class Timestamp(Option):
    """When a message was sent, for putting messages of several MAGs in order (RFC 5213, 8.8)."""

    units: int
    """Time since 1970 in 1/65536 s: 48 bits of seconds, 16 bits of fraction."""

    option_type: ClassVar[int] = 27
    aligned: ClassVar[tuple[int, int]] = (8, 2)
    layout: ClassVar[Layout] = Layout(unsigned("units", 8))

    @classmethod
    def at(cls, now: float) -> Self:
        """The option for a time in seconds since 1970."""
        return cls(int(now * 65536))

    @property
    def seconds(self) -> float:
        """The time in seconds since 1970."""
        return self.units / 65536


@mobility_option
@dataclass(frozen=True, slots=True)
class RestartCounter(Option):
    """How often the sender of a Heartbeat response has lost its state (RFC 5847, 3.4)."""

    counter: int

    option_type: ClassVar[int] = 28
    aligned: ClassVar[tuple[int, int]] = (4, 2)
    layout: ClassVar[Layout] = Layout(unsigned("counter", 4))


class TransientBindingFlag(enum.IntFlag):
    """Flags of a transient binding (RFC 6058)."""

    LATE_PATH_SWITCH = 0x01
    """L."""


@mobility_option
@dataclass(frozen=True, slots=True)
class TransientBinding(Option):
    """For how long the old path is to be used beside the new one (RFC 6058)."""

    flags: TransientBindingFlag
    lifetime_ms: int
    """A multiple of 100."""

    option_type: ClassVar[int] = 43
    layout: ClassVar[Layout] = Layout(
        flag_bits("flags", 1, TransientBindingFlag), scaled("lifetime_ms", 1, unit=100)
    )


@mobility_option
@dataclass(frozen=True, slots=True)
class MobileNodeGroupIdentifier(Option):
    """A group of sessions that one message is about (RFC 6602)."""

    group: int
    """1 means all sessions of the peer."""
    subtype: int = 1
    """1: a group for bulk binding updates."""

    option_type: ClassVar[int] = 50
    aligned: ClassVar[tuple[int, int]] = (4, 0)
    layout: ClassVar[Layout] = Layout(unsigned("subtype", 1), reserved(1), unsigned("group", 4))


@mobility_option
@dataclass(frozen=True, slots=True)
class MagAddress(Option):
    """IPv6 address of a MAG: the other end of a tunnel (RFC 6705, 11.1)."""

    address: IPv6Address

    option_type: ClassVar[int] = 51
    aligned: ClassVar[tuple[int, int]] = (8, 4)
    layout: ClassVar[Layout] = Layout(reserved(1), constant(128), ipv6_address("address"))


@mobility_option
@dataclass(frozen=True, slots=True)
class DelegatedMobileNetworkPrefix(Option):
    """A prefix delegated to a mobile router (RFC 7148); IPv4 ones are not read."""

    prefix: IPv6Network

    option_type: ClassVar[int] = 55
    aligned: ClassVar[tuple[int, int]] = (8, 2)
    other_lengths: ClassVar[frozenset[int]] = frozenset({6})
    layout: ClassVar[Layout] = Layout(reserved(1), ipv6_prefix("prefix"))


@mobility_option
@dataclass(frozen=True, slots=True)
class LmaUserPlaneAddress(Option):
    """Where an anchor takes data, if not where it takes messages (RFC 7389, 4); no IPv4 ones."""

    address: IPv6Address

    option_type: ClassVar[int] = 59
    aligned: ClassVar[tuple[int, int]] = (8, 2)
    other_lengths: ClassVar[frozenset[int]] = frozenset({6})
    layout: ClassVar[Layout] = Layout(reserved(2), ipv6_address("address"))
