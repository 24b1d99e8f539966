"""Fast handovers: messages and options (RFC 5568; between proxies RFC 5949)."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dmm_agent.wire.layout import (
    Layout,
    Part,
    constant,
    flag_bits,
    ipv6_address,
    named,
    raw,
    reserved,
    unsigned,
)
from dmm_agent.wire.message import Message, mobility_message
from dmm_agent.wire.mip6 import BindingAckFlag, BindingUpdateFlag
from dmm_agent.wire.option import Option, mobility_option

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv6Address


@mobility_message
@dataclass(frozen=True, slots=True)
class FastBindingUpdate(Message):
    """Tells the previous router where the node goes (RFC 5568, 6.2.2)."""

    sequence: int
    flags: BindingUpdateFlag
    lifetime_s: int
    """In seconds, unlike that of a Binding Update."""
    options: tuple[Option, ...] = ()

    mh_type: ClassVar[int] = 8
    body: ClassVar[Layout] = Layout(
        unsigned("sequence", 2),
        flag_bits("flags", 2, BindingUpdateFlag),
        unsigned("lifetime_s", 2),
    )


class FastBindingStatus(enum.IntEnum):
    """Status of a Fast Binding Acknowledgement (RFC 5568, 6.2.3)."""

    ACCEPTED = 0
    ACCEPTED_USE_SUPPLIED_NCOA = 1
    REASON_UNSPECIFIED = 128
    ADMINISTRATIVELY_PROHIBITED = 129
    INSUFFICIENT_RESOURCES = 130
    INCORRECT_INTERFACE_IDENTIFIER_LENGTH = 131


@mobility_message
@dataclass(frozen=True, slots=True)
class FastBindingAcknowledgement(Message):
    """Answers a Fast Binding Update (RFC 5568, 6.2.3)."""

    status: int
    """A `FastBindingStatus` where it has a name."""
    flags: BindingAckFlag
    sequence: int
    lifetime_s: int
    """In seconds."""
    options: tuple[Option, ...] = ()

    mh_type: ClassVar[int] = 9
    body: ClassVar[Layout] = Layout(
        named("status", 1, FastBindingStatus),
        flag_bits("flags", 1, BindingAckFlag),
        unsigned("sequence", 2),
        unsigned("lifetime_s", 2),
    )


class HandoverInitiateFlag(enum.IntFlag):
    """Flags of a Handover Initiate (RFC 5568, 6.2.1.1; RFC 5949, 6.1.1)."""

    ASSIGN = 0x80
    """S: assign a new care-of address."""
    BUFFER = 0x40
    """U."""
    PROXY = 0x20
    """P."""
    FORWARD = 0x10
    """F."""


class HandoverInitiateCode(enum.IntEnum):
    """Code of a Handover Initiate between proxies (RFC 5949, 6.1.1)."""

    DEFAULT = 0
    FORWARDING_COMPLETE = 2
    ALL_CONTEXT_TRANSFERRED = 3


@mobility_message
@dataclass(frozen=True, slots=True)
class HandoverInitiate(Message):
    """Prepares a handover between two access routers (RFC 5568, 6.2.1.1)."""

    sequence: int
    flags: HandoverInitiateFlag
    code: int = 0
    """A `HandoverInitiateCode` if the proxy flag is set."""
    options: tuple[Option, ...] = ()

    mh_type: ClassVar[int] = 14
    body: ClassVar[Layout] = Layout(
        unsigned("sequence", 2), flag_bits("flags", 1, HandoverInitiateFlag), unsigned("code", 1)
    )


class HandoverAcknowledgeFlag(enum.IntFlag):
    """Flags of a Handover Acknowledge (RFC 5949, 6.1.2); not the bits of the Initiate."""

    BUFFER = 0x80
    """U."""
    PROXY = 0x40
    """P."""
    FORWARD = 0x20
    """F."""


class HandoverAcknowledgeCode(enum.IntEnum):
    """Code of a Handover Acknowledge between proxies (RFC 5949, 6.1.2); from 128 on a refusal."""

    ACCEPTED = 0
    CONTEXT_TRANSFER_ACCEPTED = 5
    ALL_AVAILABLE_CONTEXT_TRANSFERRED = 6
    REASON_UNSPECIFIED = 128
    ADMINISTRATIVELY_PROHIBITED = 129
    INSUFFICIENT_RESOURCES = 130
    CONTEXT_NOT_AVAILABLE = 131
    FORWARDING_NOT_AVAILABLE = 132


@mobility_message
@dataclass(frozen=True, slots=True)
class HandoverAcknowledge(Message):
    """Answers a Handover Initiate (RFC 5568, 6.2.1.2)."""

    sequence: int
    flags: HandoverAcknowledgeFlag
    code: int
    """A `HandoverAcknowledgeCode` if the proxy flag is set."""
    options: tuple[Option, ...] = ()

    mh_type: ClassVar[int] = 15
    body: ClassVar[Layout] = Layout(
        unsigned("sequence", 2), flag_bits("flags", 1, HandoverAcknowledgeFlag), unsigned("code", 1)
    )


@mobility_option
@dataclass(frozen=True, slots=True)
class MhLinkLayerAddress(Option):
    """A link-layer address and whose it is (RFC 5568, 6.4.4); no pad octet, unlike RFC 4068's."""

    code: int
    """2: the mobile node's."""
    address: bytes

    option_type: ClassVar[int] = 7
    layout: ClassVar[Layout] = Layout(unsigned("code", 1), raw("address"))


@mobility_option
@dataclass(frozen=True, slots=True)
class FastBindingAuthorizationData(Option):
    """BADF: authenticator of a fast binding, the last option (RFC 5568, 6.4.5)."""

    spi: int
    authenticator: bytes

    option_type: ClassVar[int] = 21
    aligned: ClassVar[tuple[int, int]] = (4, 2)
    uncounted_octets: ClassVar[int] = 4
    """The length counts the authenticator, not the SPI before it."""
    layout: ClassVar[Layout] = Layout(unsigned("spi", 4), raw("authenticator"))


class MhAddressCode(enum.IntEnum):
    """What the address or prefix in the option is (RFC 5568, 6.4.2)."""

    OLD_CARE_OF_ADDRESS = 1
    NEW_CARE_OF_ADDRESS = 2
    NEW_ROUTER_ADDRESS = 3
    NEW_ROUTER_PREFIX = 4


@mobility_option
@dataclass(frozen=True, slots=True)
class MhAddressPrefix(Option):
    """An address or prefix and what it is (RFC 5568, 6.4.2, which misprints the type as 17)."""

    code: int
    """An `MhAddressCode` where it has a name."""
    prefix_length: int
    address: IPv6Address

    option_type: ClassVar[int] = 34
    aligned: ClassVar[tuple[int, int]] = (8, 4)
    layout: ClassVar[Layout] = Layout(
        named("code", 1, MhAddressCode), unsigned("prefix_length", 1), ipv6_address("address")
    )


@dataclass(frozen=True, slots=True)
class RequestedContext:
    """One option that a new MAG wants to see filled in."""

    option_type: int
    """Type of the mobility option."""
    data: bytes = b""
    """What tells it from others of its type, such as vendor and subtype."""


def _pack_requests(requests: tuple[RequestedContext, ...]) -> bytes:
    return b"".join(bytes([r.option_type, len(r.data)]) + r.data for r in requests)


def _unpack_requests(data: bytes) -> tuple[RequestedContext, ...]:
    return tuple(_each_request(data))


def _each_request(data: bytes) -> Iterator[RequestedContext]:
    offset = 0
    while offset < len(data):
        start = offset + 2
        if start > len(data) or start + data[offset + 1] > len(data):
            raise ValueError(f"request at octet {offset} of the list runs past its end")
        end = start + data[offset + 1]
        yield RequestedContext(data[offset], data[start:end])
        offset = end


@mobility_option
@dataclass(frozen=True, slots=True)
class ContextRequest(Option):
    """Which context the new MAG asks the previous one for (RFC 5949, 6.2.1)."""

    requests: tuple[RequestedContext, ...]

    option_type: ClassVar[int] = 40
    layout: ClassVar[Layout] = Layout(
        reserved(2), Part("requests", None, _pack_requests, _unpack_requests)
    )


@mobility_option
@dataclass(frozen=True, slots=True)
class LmaAddress(Option):
    """Where the mobile node's anchor is (RFC 5949, 6.2.2); IPv4 ones are not read."""

    address: IPv6Address

    option_type: ClassVar[int] = 41
    aligned: ClassVar[tuple[int, int]] = (8, 4)
    other_lengths: ClassVar[frozenset[int]] = frozenset({6})
    layout: ClassVar[Layout] = Layout(constant(1), reserved(1), ipv6_address("address"))


@mobility_option
@dataclass(frozen=True, slots=True)
class MobileNodeLinkLocalInterfaceId(Option):
    """Interface identifier of the mobile node's link-local address (RFC 5949, 6.2.3)."""

    interface_id: bytes
    """8 octets."""

    option_type: ClassVar[int] = 42
    aligned: ClassVar[tuple[int, int]] = (8, 4)
    layout: ClassVar[Layout] = Layout(reserved(2), raw("interface_id", 8))
