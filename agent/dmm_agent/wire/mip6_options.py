"""Options of Mobile IPv6 itself, NEMO, MN identifiers, authentication and vendors.

RFC 6275, 3963, 4283 (with 8371), 4285 and 5094.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from dmm_agent.wire.layout import (
    Layout,
    ipv6_address,
    ipv6_prefix,
    named,
    raw,
    reserved,
    scaled,
    unsigned,
)
from dmm_agent.wire.option import Option, mobility_option

if TYPE_CHECKING:
    from ipaddress import IPv6Address, IPv6Network

_UNIX_EPOCH_IN_NTP_S = 2_208_988_800
"""Seconds from 1900, where NTP counts from, to 1970 (RFC 5905, 6)."""


@mobility_option
@dataclass(frozen=True, slots=True)
class BindingRefreshAdvice(Option):
    """When a home agent would like to see the next Binding Update (RFC 6275, 6.2.4)."""

    interval_s: int
    """A multiple of four, shorter than the granted lifetime."""

    option_type: ClassVar[int] = 2
    aligned: ClassVar[tuple[int, int]] = (2, 0)
    layout: ClassVar[Layout] = Layout(scaled("interval_s", 2, unit=4))


@mobility_option
@dataclass(frozen=True, slots=True)
class AlternateCareOfAddress(Option):
    """The care-of address to bind, when it is not the packet's source (RFC 6275, 6.2.5)."""

    address: IPv6Address

    option_type: ClassVar[int] = 3
    aligned: ClassVar[tuple[int, int]] = (8, 6)
    layout: ClassVar[Layout] = Layout(ipv6_address("address"))


@mobility_option
@dataclass(frozen=True, slots=True)
class NonceIndices(Option):
    """Which nonces the tokens behind the authenticator came from (RFC 6275, 6.2.6)."""

    home: int
    care_of: int

    option_type: ClassVar[int] = 4
    aligned: ClassVar[tuple[int, int]] = (2, 0)
    layout: ClassVar[Layout] = Layout(unsigned("home", 2), unsigned("care_of", 2))


@mobility_option
@dataclass(frozen=True, slots=True)
class BindingAuthorizationData(Option):
    """Authenticator of return routability; the last option (RFC 6275, 6.2.7)."""

    authenticator: bytes

    option_type: ClassVar[int] = 5
    aligned: ClassVar[tuple[int, int]] = (8, 2)
    layout: ClassVar[Layout] = Layout(raw("authenticator"))


@mobility_option
@dataclass(frozen=True, slots=True)
class MobileNetworkPrefix(Option):
    """A prefix that moves with a mobile router (RFC 3963, 4.3)."""

    prefix: IPv6Network

    option_type: ClassVar[int] = 6
    aligned: ClassVar[tuple[int, int]] = (8, 4)
    layout: ClassVar[Layout] = Layout(reserved(1), ipv6_prefix("prefix"))


class IdentifierSubtype(enum.IntEnum):
    """What a mobile node identifier is (RFC 4283, 3.1; RFC 8371, 3)."""

    NAI = 1
    IPV6_ADDRESS = 2
    IMSI = 3
    P_TMSI = 4
    EUI_48 = 5
    EUI_64 = 6
    GUTI = 7
    DUID = 8


@mobility_option
@dataclass(frozen=True, slots=True)
class MobileNodeIdentifier(Option):
    """Who the mobile node is (RFC 4283, 3)."""

    subtype: int
    """An `IdentifierSubtype` where it has a name."""
    identifier: bytes
    """May be empty: so an answer goes to a request that named nobody (RFC 5213, 5.3.6)."""

    option_type: ClassVar[int] = 8
    layout: ClassVar[Layout] = Layout(named("subtype", 1, IdentifierSubtype), raw("identifier"))

    @classmethod
    def nai(cls, identifier: str) -> Self:
        """The identifier that is a network access identifier, ``user@realm`` (RFC 7542)."""
        return cls(IdentifierSubtype.NAI, identifier.encode())

    @property
    def text(self) -> str:
        """An NAI as it is, any other identifier in hex."""
        if self.subtype == IdentifierSubtype.NAI:
            return self.identifier.decode(errors="backslashreplace")
        return self.identifier.hex()


class AuthenticationSubtype(enum.IntEnum):
    """Whom a message authentication is for (RFC 4285, 5)."""

    MN_HA = 1
    MN_AAA = 2


@mobility_option
@dataclass(frozen=True, slots=True)
class MobilityMessageAuthentication(Option):
    """Authenticator under a shared key; the last option (RFC 4285, 5)."""

    subtype: int
    """An `AuthenticationSubtype` where it has a name."""
    spi: int
    """Security parameter index; up to 255 they are reserved."""
    authenticator: bytes

    option_type: ClassVar[int] = 9
    aligned: ClassVar[tuple[int, int]] = (4, 1)
    layout: ClassVar[Layout] = Layout(
        named("subtype", 1, AuthenticationSubtype), unsigned("spi", 4), raw("authenticator")
    )


NTP_FRACTION = (1 << 32) - 1
"""The bits of an NTP time that are less than a second."""


@mobility_option
@dataclass(frozen=True, slots=True)
class MessageIdentifier(Option):
    """Mesg-ID: replay protection by the clock (RFC 4285, 6)."""

    ntp: int
    """NTP time, 64 bits: seconds since 1900 in the upper half, the fraction in the lower."""

    option_type: ClassVar[int] = 10
    aligned: ClassVar[tuple[int, int]] = (8, 2)
    layout: ClassVar[Layout] = Layout(unsigned("ntp", 8))

    @classmethod
    def at(cls, now: float) -> Self:
        """The option for a time in seconds since 1970."""
        return cls(round(now * 2**32) + (_UNIX_EPOCH_IN_NTP_S << 32))

    @property
    def seconds(self) -> float:
        """The time in seconds since 1970."""
        return self.ntp / 2**32 - _UNIX_EPOCH_IN_NTP_S


@mobility_option
@dataclass(frozen=True, slots=True)
class VendorSpecific(Option):
    """What a vendor wants to say, in any message (RFC 5094, 3)."""

    vendor: int
    """Private enterprise number."""
    subtype: int
    value: bytes = b""

    option_type: ClassVar[int] = 19
    aligned: ClassVar[tuple[int, int]] = (4, 2)
    layout: ClassVar[Layout] = Layout(unsigned("vendor", 4), unsigned("subtype", 1), raw("value"))
