"""Layouts no other program confirms, against octets set by hand from the RFCs' drawings."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

import pytest

from dmm_agent.wire import (
    AnchoredPrefix,
    AnswerStatus,
    BindingAckFlag,
    BindingRevocationAcknowledgement,
    BindingRevocationIndication,
    BindingUpdate,
    BindingUpdateFlag,
    ContextRequest,
    DelegatedMobileNetworkPrefix,
    DlifLinkLayerAddress,
    DlifLinkLocalAddress,
    FastBindingAcknowledgement,
    FastBindingAuthorizationData,
    FastBindingUpdate,
    HandoverAcknowledge,
    HandoverAcknowledgeFlag,
    HandoverInitiate,
    HandoverInitiateFlag,
    Heartbeat,
    HeartbeatFlag,
    LinkLocalAddress,
    LmaAddress,
    LmaUserPlaneAddress,
    LocalizedRoutingAcknowledgement,
    LocalizedRoutingFlag,
    LocalPrefix,
    LocationAnswer,
    LocationQuery,
    MagAddress,
    Message,
    MessageIdentifier,
    MhAddressPrefix,
    MhLinkLayerAddress,
    MobileNodeGroupIdentifier,
    MobileNodeLinkLocalInterfaceId,
    Option,
    ReportStatus,
    RequestedContext,
    RevocationFlag,
    SessionReport,
    SessionReportAcknowledgement,
    Timestamp,
    TransientBinding,
    TransientBindingFlag,
    UpdateNotification,
    UpdateNotificationAcknowledgement,
    UpdateNotificationFlag,
    VendorSpecific,
    decode,
    encode,
)

SOURCE, DESTINATION = IPv6Address("2001:db8:1::1"), IPv6Address("2001:db8:ff::1")
ADDRESS, ADDRESS_HEX = IPv6Address("2001:db8:2::7"), "20010db8000200000000000000000007"
PREFIX, PREFIX_HEX = IPv6Network("2001:db8:a::/48"), "20010db8000a00000000000000000000"
LINK_LOCAL, LINK_LOCAL_HEX = IPv6Address("fe80::1"), "fe800000000000000000000000000001"
MAC = bytes.fromhex("020000000101")

OPTIONS: list[tuple[Option, tuple[int, int], str]] = [
    (MhLinkLayerAddress(2, MAC), (1, 0), "07 07 02 020000000101"),
    (MessageIdentifier(2**63), (8, 2), "0a 08 8000000000000000"),
    (VendorSpecific(0x10203, 4, b"\xff"), (4, 2), "13 06 00010203 04 ff"),
    (FastBindingAuthorizationData(256, b"a" * 12), (4, 2), "15 0c 00000100" + "61" * 12),
    (LinkLocalAddress(LINK_LOCAL), (8, 6), f"1a 10 {LINK_LOCAL_HEX}"),
    (Timestamp(0x010203040506_0708), (8, 2), "1b 08 010203040506 0708"),
    (MhAddressPrefix(3, 128, ADDRESS), (8, 4), f"22 12 03 80 {ADDRESS_HEX}"),
    (
        ContextRequest((RequestedContext(22), RequestedContext(19, b"\0\0\0\x01\x02"))),
        (1, 0),
        "28 0b 0000 1600 1305 0000000102",
    ),
    (LmaAddress(ADDRESS), (8, 4), f"29 12 01 00 {ADDRESS_HEX}"),
    (MobileNodeLinkLocalInterfaceId(b"interfac"), (8, 4), "2a 0a 0000 696e746572666163"),
    (TransientBinding(TransientBindingFlag(1), 2500), (1, 0), "2b 02 01 19"),
    (MobileNodeGroupIdentifier(7), (4, 0), "32 06 01 00 00000007"),
    (MagAddress(ADDRESS), (8, 4), f"33 12 00 80 {ADDRESS_HEX}"),
    (DelegatedMobileNetworkPrefix(PREFIX), (8, 2), f"37 12 00 30 {PREFIX_HEX}"),
    (LmaUserPlaneAddress(ADDRESS), (8, 2), f"3b 12 0000 {ADDRESS_HEX}"),
    (AnchoredPrefix(PREFIX), (8, 4), f"41 12 00 30 {PREFIX_HEX}"),
    (LocalPrefix(PREFIX), (8, 4), f"42 12 00 30 {PREFIX_HEX}"),
    (DlifLinkLocalAddress(LINK_LOCAL), (8, 6), f"45 10 {LINK_LOCAL_HEX}"),
    (DlifLinkLayerAddress(MAC), (2, 0), "46 08 0000 020000000101"),
]


@pytest.mark.parametrize(
    ("option", "alignment", "hexed"), OPTIONS, ids=[type(o).__name__ for o, _, _ in OPTIONS]
)
def test_option(option: Option, alignment: tuple[int, int], hexed: str) -> None:
    expected = bytes.fromhex(hexed)
    message = BindingUpdate(1, BindingUpdateFlag(0), 4, (option,))
    sent = encode(message, SOURCE, DESTINATION)
    start = sent.index(expected)
    multiple, remainder = alignment
    assert start % multiple == remainder
    assert start - 12 < multiple
    assert decode(sent) == message


MESSAGES: list[tuple[Message, str]] = [
    (FastBindingUpdate(7, BindingUpdateFlag(0xC000), 5), "08 0007 c000 0005"),
    (FastBindingAcknowledgement(131, BindingAckFlag(0x80), 7, 5), "09 83 80 0007 0005"),
    (
        LocationQuery(0x0102),
        "0b 01 00 0102 0000",
    ),
    (LocationAnswer(AnswerStatus.NOT_SERVED, 0x0102, 300), "0b 02 81 0102 012c"),
    (SessionReport(0x0102, 300), "0b 03 00 0102 012c"),
    (SessionReportAcknowledgement(ReportStatus.TOO_MANY, 0x0102), "0b 04 81 0102 0000"),
    (Heartbeat(2**31, HeartbeatFlag.UNSOLICITED), "0d 0002 80000000"),
    (
        HandoverInitiate(7, HandoverInitiateFlag.FORWARD | HandoverInitiateFlag.BUFFER, 2),
        "0e 0007 50 02",
    ),
    (
        HandoverAcknowledge(7, HandoverAcknowledgeFlag.FORWARD | HandoverAcknowledgeFlag.BUFFER, 6),
        "0f 0007 a0 06",
    ),
    (HandoverInitiate(7, HandoverInitiateFlag.ASSIGN, 0), "0e 0007 80 00"),
    (
        BindingRevocationIndication(128, 9, RevocationFlag.IPV4_HOME_ADDRESS_ONLY),
        "10 01 80 0009 4000",
    ),
    (BindingRevocationAcknowledgement(135, 9, RevocationFlag.GLOBAL), "10 02 87 0009 2000"),
    (
        LocalizedRoutingAcknowledgement(129, 9, 600, LocalizedRoutingFlag.UNSOLICITED),
        "12 0009 80 81 0258",
    ),
    (
        UpdateNotification(9, 8, UpdateNotificationFlag.RETRANSMISSION),
        "13 0009 0008 4000",
    ),
    (UpdateNotificationAcknowledgement(9, 131), "14 0009 83 000000"),
]


@pytest.mark.parametrize(
    ("message", "hexed"), MESSAGES, ids=[type(m).__name__ for m, _ in MESSAGES]
)
def test_message(message: Message, hexed: str) -> None:
    expected = bytes.fromhex(hexed)
    sent = encode(message, SOURCE, DESTINATION)
    assert sent[2:3] + sent[6 : 5 + len(expected)] == expected
    assert decode(sent) == message
