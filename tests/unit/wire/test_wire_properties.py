"""For every message that can be made, and for any octets at all."""

from __future__ import annotations

import contextlib
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from dmm_agent import wire
from dmm_agent.wire import DecodeError, Message, MobilityPacket, Option
from dmm_agent.wire.layout import read_prefix

if TYPE_CHECKING:
    import enum

    from hypothesis.strategies import SearchStrategy

U8, U16, U32, U64 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32, 64))
LIFETIME = U16.map(lambda units: units * 4)
ADDRESS = U64.flatmap(lambda high: U64.map(lambda low: IPv6Address(high << 64 | low)))
PREFIX: SearchStrategy[IPv6Network] = st.builds(
    lambda length, address: read_prefix(length, address.packed), st.integers(0, 128), ADDRESS
)
OCTETS = st.binary(max_size=40)
EIGHT = st.binary(min_size=8, max_size=8)


def flags(names: type[enum.IntFlag]) -> SearchStrategy[Any]:
    return st.sets(st.sampled_from(list(names))).map(lambda chosen: names(sum(chosen)))


OPTIONS: dict[type[Option], SearchStrategy[Any]] = {
    wire.BindingRefreshAdvice: st.builds(wire.BindingRefreshAdvice, LIFETIME),
    wire.AlternateCareOfAddress: st.builds(wire.AlternateCareOfAddress, ADDRESS),
    wire.NonceIndices: st.builds(wire.NonceIndices, U16, U16),
    wire.BindingAuthorizationData: st.builds(wire.BindingAuthorizationData, OCTETS),
    wire.MobileNetworkPrefix: st.builds(wire.MobileNetworkPrefix, PREFIX),
    wire.MhLinkLayerAddress: st.builds(wire.MhLinkLayerAddress, U8, OCTETS),
    wire.MobileNodeIdentifier: st.builds(wire.MobileNodeIdentifier, U8, OCTETS),
    wire.MobilityMessageAuthentication: st.builds(
        wire.MobilityMessageAuthentication, U8, U32, OCTETS
    ),
    wire.MessageIdentifier: st.builds(wire.MessageIdentifier, U64),
    wire.VendorSpecific: st.builds(wire.VendorSpecific, U32, U8, OCTETS),
    wire.FastBindingAuthorizationData: st.builds(wire.FastBindingAuthorizationData, U32, OCTETS),
    wire.HomeNetworkPrefix: st.builds(wire.HomeNetworkPrefix, PREFIX),
    wire.HandoffIndicator: st.builds(wire.HandoffIndicator, U8),
    wire.AccessTechnologyType: st.builds(wire.AccessTechnologyType, U8),
    wire.MobileNodeLinkLayerIdentifier: st.builds(wire.MobileNodeLinkLayerIdentifier, OCTETS),
    wire.LinkLocalAddress: st.builds(wire.LinkLocalAddress, ADDRESS),
    wire.Timestamp: st.builds(wire.Timestamp, U64),
    wire.RestartCounter: st.builds(wire.RestartCounter, U32),
    wire.MhAddressPrefix: st.builds(wire.MhAddressPrefix, U8, U8, ADDRESS),
    wire.ContextRequest: st.builds(
        wire.ContextRequest,
        st.lists(st.builds(wire.RequestedContext, U8, OCTETS), max_size=5).map(tuple),
    ),
    wire.LmaAddress: st.builds(wire.LmaAddress, ADDRESS),
    wire.MobileNodeLinkLocalInterfaceId: st.builds(wire.MobileNodeLinkLocalInterfaceId, EIGHT),
    wire.TransientBinding: st.builds(
        wire.TransientBinding, flags(wire.TransientBindingFlag), U8.map(lambda n: n * 100)
    ),
    wire.MobileNodeGroupIdentifier: st.builds(wire.MobileNodeGroupIdentifier, U32, U8),
    wire.MagAddress: st.builds(wire.MagAddress, ADDRESS),
    wire.DelegatedMobileNetworkPrefix: st.builds(wire.DelegatedMobileNetworkPrefix, PREFIX),
    wire.LmaUserPlaneAddress: st.builds(wire.LmaUserPlaneAddress, ADDRESS),
    wire.AnchoredPrefix: st.builds(wire.AnchoredPrefix, PREFIX),
    wire.LocalPrefix: st.builds(wire.LocalPrefix, PREFIX),
    wire.PreviousMaar: st.builds(wire.PreviousMaar, ADDRESS, PREFIX),
    wire.ServingMaar: st.builds(wire.ServingMaar, ADDRESS),
    wire.DlifLinkLocalAddress: st.builds(wire.DlifLinkLocalAddress, ADDRESS),
    wire.DlifLinkLayerAddress: st.builds(wire.DlifLinkLayerAddress, OCTETS),
}
UNKNOWN = st.builds(wire.UnknownOption, st.integers(71, 255), OCTETS)
SOME = st.lists(st.one_of(UNKNOWN, *OPTIONS.values()), max_size=6).map(tuple)

MESSAGES: dict[type[Message], SearchStrategy[Any]] = {
    wire.BindingRefreshRequest: st.builds(wire.BindingRefreshRequest, SOME),
    wire.HomeTestInit: st.builds(wire.HomeTestInit, EIGHT, SOME),
    wire.CareOfTestInit: st.builds(wire.CareOfTestInit, EIGHT, SOME),
    wire.HomeTest: st.builds(wire.HomeTest, U16, EIGHT, EIGHT, SOME),
    wire.CareOfTest: st.builds(wire.CareOfTest, U16, EIGHT, EIGHT, SOME),
    wire.BindingUpdate: st.builds(
        wire.BindingUpdate, U16, flags(wire.BindingUpdateFlag), LIFETIME, SOME
    ),
    wire.BindingAcknowledgement: st.builds(
        wire.BindingAcknowledgement, U8, flags(wire.BindingAckFlag), U16, LIFETIME, SOME
    ),
    wire.BindingError: st.builds(wire.BindingError, U8, ADDRESS, SOME),
    wire.FastBindingUpdate: st.builds(
        wire.FastBindingUpdate, U16, flags(wire.BindingUpdateFlag), U16, SOME
    ),
    wire.FastBindingAcknowledgement: st.builds(
        wire.FastBindingAcknowledgement, U8, flags(wire.BindingAckFlag), U16, U16, SOME
    ),
    wire.LocationQuery: st.builds(wire.LocationQuery, U16, SOME),
    wire.LocationAnswer: st.builds(
        wire.LocationAnswer, st.sampled_from(wire.AnswerStatus), U16, U16, SOME
    ),
    wire.SessionReport: st.builds(wire.SessionReport, U16, U16, SOME),
    wire.SessionReportAcknowledgement: st.builds(
        wire.SessionReportAcknowledgement, st.sampled_from(wire.ReportStatus), U16, SOME
    ),
    wire.Heartbeat: st.builds(wire.Heartbeat, U32, flags(wire.HeartbeatFlag), SOME),
    wire.HandoverInitiate: st.builds(
        wire.HandoverInitiate, U16, flags(wire.HandoverInitiateFlag), U8, SOME
    ),
    wire.HandoverAcknowledge: st.builds(
        wire.HandoverAcknowledge, U16, flags(wire.HandoverAcknowledgeFlag), U8, SOME
    ),
    wire.BindingRevocationIndication: st.builds(
        wire.BindingRevocationIndication, U8, U16, flags(wire.RevocationFlag), SOME
    ),
    wire.BindingRevocationAcknowledgement: st.builds(
        wire.BindingRevocationAcknowledgement, U8, U16, flags(wire.RevocationFlag), SOME
    ),
    wire.LocalizedRoutingInitiation: st.builds(wire.LocalizedRoutingInitiation, U16, U16, SOME),
    wire.LocalizedRoutingAcknowledgement: st.builds(
        wire.LocalizedRoutingAcknowledgement, U8, U16, U16, flags(wire.LocalizedRoutingFlag), SOME
    ),
    wire.UpdateNotification: st.builds(
        wire.UpdateNotification, U16, U16, flags(wire.UpdateNotificationFlag), SOME
    ),
    wire.UpdateNotificationAcknowledgement: st.builds(
        wire.UpdateNotificationAcknowledgement, U16, U8, SOME
    ),
}
ANY_MESSAGE = st.one_of(*MESSAGES.values())


def test_every_message_and_option_is_among_the_generated() -> None:
    assert set(MESSAGES) == set(wire.message_classes())
    assert set(OPTIONS) == set(wire.option_classes())


@given(ANY_MESSAGE, ADDRESS, ADDRESS)
def test_a_message_arrives_as_it_was_sent(
    message: Message, source: IPv6Address, destination: IPv6Address
) -> None:
    octets = wire.encode(message, source, destination)
    assert wire.decode(octets) == message
    assert wire.verify_checksum(octets, source, destination)


HOME = st.none() | ADDRESS


@given(st.builds(MobilityPacket, ANY_MESSAGE, HOME, HOME), ADDRESS, ADDRESS)
def test_a_packet_arrives_as_it_was_sent(
    packet: MobilityPacket, source: IPv6Address, destination: IPv6Address
) -> None:
    next_header, octets = wire.encode_packet(packet, source, destination)
    assert wire.decode_packet(next_header, octets) == packet
    assert wire.verify_packet_checksum(next_header, octets, source, destination)


def check_any(octets: bytes) -> None:
    """Decoding either fails as announced or gives a message that can be sent and read again."""
    with contextlib.suppress(DecodeError):
        message = wire.decode(octets)
        assert wire.decode(wire.encode(message, IPv6Address("::1"), IPv6Address("::2"))) == message


@given(st.binary(max_size=200))
def test_any_octets_decode_or_are_refused(octets: bytes) -> None:
    check_any(octets)


TYPES = st.sampled_from(sorted({cls.mh_type for cls in wire.message_classes()}))


@given(TYPES, st.integers(0, 12), st.data())
def test_any_body_of_a_known_type_decodes_or_is_refused(
    mh_type: int, header_len: int, data: st.DataObject
) -> None:
    size = header_len * 8 + 2
    body = data.draw(st.binary(min_size=size, max_size=size))
    check_any(bytes([59, header_len, mh_type, 0, 0, 0]) + body)


EDITS = st.lists(st.tuples(st.integers(0, 2047), U8), min_size=1, max_size=4)


@given(ANY_MESSAGE, EDITS, st.integers(0, 16))
def test_a_damaged_message_decodes_or_is_refused(
    message: Message, edits: list[tuple[int, int]], cut: int
) -> None:
    octets = bytearray(wire.encode(message, IPv6Address("::1"), IPv6Address("::2")))
    for position, value in edits:
        octets[position % len(octets)] = value
    check_any(bytes(octets))
    check_any(bytes(octets[: len(octets) - cut]))


@given(st.sampled_from([43, 60, 135]), st.binary(max_size=120))
def test_any_packet_decodes_or_is_refused(next_header: int, octets: bytes) -> None:
    with contextlib.suppress(DecodeError):
        wire.decode_packet(next_header, octets)
    wire.verify_packet_checksum(next_header, octets, IPv6Address("::1"), IPv6Address("::2"))
