"""Messages of Mobile IPv6 (RFC 6275, 6.1), with the bits and values later RFCs added to them."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dmm_agent.wire.layout import (
    Layout,
    flag_bits,
    ipv6_address,
    named,
    raw,
    reserved,
    scaled,
    unsigned,
)
from dmm_agent.wire.message import Message, mobility_message

if TYPE_CHECKING:
    from ipaddress import IPv6Address

    from dmm_agent.wire.option import Option

LIFETIME_UNIT_S = 4
"""Lifetimes of bindings travel in units of four seconds (RFC 6275, 6.1.7)."""
LONGEST_LIFETIME_S = 0xFFFF * LIFETIME_UNIT_S


def round_lifetime(seconds: float) -> int:
    """The shortest lifetime a binding message can carry that is not shorter than `seconds`.

    Outside the range of the field the nearest end of it: 0 or 262140.
    """
    if seconds >= LONGEST_LIFETIME_S:
        return LONGEST_LIFETIME_S
    return max(0, math.ceil(seconds / LIFETIME_UNIT_S) * LIFETIME_UNIT_S)


class BindingUpdateFlag(enum.IntFlag):
    """Flags of a Binding Update; the letter is the RFC's."""

    ACKNOWLEDGE = 0x8000
    """A: an answer is wanted."""
    HOME_REGISTRATION = 0x4000
    """H."""
    LINK_LOCAL = 0x2000
    """L: the home address has the interface identifier of the link-local address."""
    KEY_MANAGEMENT = 0x1000
    """K: the key exchange follows the node's moves."""
    MAP_REGISTRATION = 0x0800
    """M (RFC 5380)."""
    MOBILE_ROUTER = 0x0400
    """R (RFC 3963)."""
    PROXY = 0x0200
    """P: a Proxy Binding Update (RFC 5213)."""
    FORCE_UDP = 0x0100
    """F (RFC 5555)."""
    TLV_HEADER = 0x0080
    """T (RFC 5845)."""
    BULK = 0x0040
    """B (RFC 6602)."""
    MULTICAST = 0x0020
    """S (RFC 7161)."""
    DMM = 0x0010
    """D: distributed mobility management (RFC 8885)."""


class BindingAckFlag(enum.IntFlag):
    """Flags of a Binding Acknowledgement; the letter is the RFC's."""

    KEY_MANAGEMENT = 0x80
    """K."""
    MOBILE_ROUTER = 0x40
    """R (RFC 3963)."""
    PROXY = 0x20
    """P: a Proxy Binding Acknowledgement (RFC 5213)."""
    TLV_HEADER = 0x10
    """T (RFC 5845)."""
    BULK = 0x08
    """B (RFC 6602)."""
    MULTICAST = 0x04
    """S (RFC 7161)."""
    DMM = 0x02
    """D: distributed mobility management (RFC 8885)."""


class BindingStatus(enum.IntEnum):
    """Status of a Binding Acknowledgement; below 128 the update was accepted."""

    ACCEPTED = 0
    ACCEPTED_PREFIX_DISCOVERY_NECESSARY = 1
    GRE_KEY_OPTION_NOT_REQUIRED = 2
    GRE_TUNNELING_BUT_TLV_HEADER_NOT_SUPPORTED = 3
    TRANSIENT_BINDING_IGNORED = 6
    REASON_UNSPECIFIED = 128
    ADMINISTRATIVELY_PROHIBITED = 129
    INSUFFICIENT_RESOURCES = 130
    HOME_REGISTRATION_NOT_SUPPORTED = 131
    NOT_HOME_SUBNET = 132
    NOT_HOME_AGENT_FOR_THIS_MOBILE_NODE = 133
    DUPLICATE_ADDRESS_DETECTION_FAILED = 134
    SEQUENCE_OUT_OF_WINDOW = 135
    EXPIRED_HOME_NONCE_INDEX = 136
    EXPIRED_CARE_OF_NONCE_INDEX = 137
    EXPIRED_NONCES = 138
    REGISTRATION_TYPE_CHANGE_DISALLOWED = 139
    MOBILE_ROUTER_OPERATION_NOT_PERMITTED = 140
    INVALID_PREFIX = 141
    NOT_AUTHORIZED_FOR_PREFIX = 142
    FORWARDING_SETUP_FAILED = 143
    MIPV6_ID_MISMATCH = 144
    MIPV6_MESG_ID_REQD = 145
    MIPV6_AUTH_FAIL = 146
    SERVICE_AUTHORIZATION_FAILED = 151
    PROXY_REG_NOT_ENABLED = 152
    NOT_LMA_FOR_THIS_MOBILE_NODE = 153
    MAG_NOT_AUTHORIZED_FOR_PROXY_REG = 154
    NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX = 155
    TIMESTAMP_MISMATCH = 156
    TIMESTAMP_LOWER_THAN_PREV_ACCEPTED = 157
    MISSING_HOME_NETWORK_PREFIX_OPTION = 158
    BCE_PBU_PREFIX_SET_DO_NOT_MATCH = 159
    MISSING_MN_IDENTIFIER_OPTION = 160
    MISSING_HANDOFF_INDICATOR_OPTION = 161
    MISSING_ACCESS_TECH_TYPE_OPTION = 162
    GRE_KEY_OPTION_REQUIRED = 163
    INVALID_CARE_OF_ADDRESS = 174


class BindingErrorStatus(enum.IntEnum):
    """Status of a Binding Error."""

    UNKNOWN_BINDING = 1
    """No binding for the address in the Home Address option."""
    UNRECOGNIZED_MH_TYPE = 2


@mobility_message
@dataclass(frozen=True, slots=True)
class BindingRefreshRequest(Message):
    """Asks a mobile node to renew its binding (RFC 6275, 6.1.2)."""

    options: tuple[Option, ...] = ()

    mh_type: ClassVar[int] = 0
    body: ClassVar[Layout] = Layout(reserved(2))


@mobility_message
@dataclass(frozen=True, slots=True)
class HomeTestInit(Message):
    """Asks for a home keygen token (RFC 6275, 6.1.3)."""

    cookie: bytes
    """Home init cookie, 8 octets."""
    options: tuple[Option, ...] = ()

    mh_type: ClassVar[int] = 1
    body: ClassVar[Layout] = Layout(reserved(2), raw("cookie", 8))


@mobility_message
@dataclass(frozen=True, slots=True)
class CareOfTestInit(Message):
    """Asks for a care-of keygen token (RFC 6275, 6.1.4)."""

    cookie: bytes
    """Care-of init cookie, 8 octets."""
    options: tuple[Option, ...] = ()

    mh_type: ClassVar[int] = 2
    body: ClassVar[Layout] = Layout(reserved(2), raw("cookie", 8))


@mobility_message
@dataclass(frozen=True, slots=True)
class HomeTest(Message):
    """Answers a Home Test Init (RFC 6275, 6.1.5)."""

    nonce_index: int
    cookie: bytes
    """Copied from the Home Test Init."""
    token: bytes
    """Home keygen token, 8 octets."""
    options: tuple[Option, ...] = ()

    mh_type: ClassVar[int] = 3
    body: ClassVar[Layout] = Layout(unsigned("nonce_index", 2), raw("cookie", 8), raw("token", 8))


@mobility_message
@dataclass(frozen=True, slots=True)
class CareOfTest(Message):
    """Answers a Care-of Test Init (RFC 6275, 6.1.6)."""

    nonce_index: int
    cookie: bytes
    """Copied from the Care-of Test Init."""
    token: bytes
    """Care-of keygen token, 8 octets."""
    options: tuple[Option, ...] = ()

    mh_type: ClassVar[int] = 4
    body: ClassVar[Layout] = Layout(unsigned("nonce_index", 2), raw("cookie", 8), raw("token", 8))


@mobility_message
@dataclass(frozen=True, slots=True)
class BindingUpdate(Message):
    """Registers, renews or ends (lifetime 0) a binding (RFC 6275, 6.1.7; PBU: RFC 5213, 8.1)."""

    sequence: int
    flags: BindingUpdateFlag
    lifetime_s: int
    """A multiple of four; see `round_lifetime`."""
    options: tuple[Option, ...] = ()

    mh_type: ClassVar[int] = 5
    body: ClassVar[Layout] = Layout(
        unsigned("sequence", 2),
        flag_bits("flags", 2, BindingUpdateFlag),
        scaled("lifetime_s", 2, LIFETIME_UNIT_S),
    )


@mobility_message
@dataclass(frozen=True, slots=True)
class BindingAcknowledgement(Message):
    """Answers a Binding Update (RFC 6275, 6.1.8; PBA: RFC 5213, 8.2)."""

    status: int
    """A `BindingStatus` where it has a name."""
    flags: BindingAckFlag
    sequence: int
    lifetime_s: int
    """Granted lifetime, a multiple of four."""
    options: tuple[Option, ...] = ()

    mh_type: ClassVar[int] = 6
    body: ClassVar[Layout] = Layout(
        named("status", 1, BindingStatus),
        flag_bits("flags", 1, BindingAckFlag),
        unsigned("sequence", 2),
        scaled("lifetime_s", 2, LIFETIME_UNIT_S),
    )


@mobility_message
@dataclass(frozen=True, slots=True)
class BindingError(Message):
    """Says that a packet or message could not be dealt with (RFC 6275, 6.1.9)."""

    status: int
    """A `BindingErrorStatus` where it has a name."""
    home_address: IPv6Address
    """From the offending packet's Home Address option; all-zero if it had none."""
    options: tuple[Option, ...] = ()

    mh_type: ClassVar[int] = 7
    body: ClassVar[Layout] = Layout(
        named("status", 1, BindingErrorStatus), reserved(1), ipv6_address("home_address")
    )
