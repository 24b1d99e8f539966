"""Twenty messages that other programs agree on, octet for octet, in both directions."""

from __future__ import annotations

import tomllib
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

import pytest

from dmm_agent.wire import (
    AccessTechnology,
    AccessTechnologyType,
    AlternateCareOfAddress,
    BindingAckFlag,
    BindingAcknowledgement,
    BindingAuthorizationData,
    BindingError,
    BindingErrorStatus,
    BindingRefreshAdvice,
    BindingRevocationAcknowledgement,
    BindingRevocationIndication,
    BindingStatus,
    BindingUpdate,
    BindingUpdateFlag,
    HandoffIndicator,
    HandoverAcknowledge,
    HandoverAcknowledgeCode,
    HandoverAcknowledgeFlag,
    HandoverInitiate,
    HandoverInitiateFlag,
    Heartbeat,
    HeartbeatFlag,
    HomeNetworkPrefix,
    LmaAddress,
    LocalizedRoutingAcknowledgement,
    LocalizedRoutingFlag,
    LocalizedRoutingInitiation,
    LocalizedRoutingStatus,
    MagAddress,
    MessageIdentifier,
    MobileNetworkPrefix,
    MobileNodeIdentifier,
    MobileNodeLinkLayerIdentifier,
    MobilityMessageAuthentication,
    MobilityPacket,
    NonceIndices,
    Option,
    PreviousMaar,
    RestartCounter,
    RevocationFlag,
    RevocationStatus,
    RevocationTrigger,
    ServingMaar,
    Timestamp,
    UpdateNotification,
    UpdateNotificationFlag,
    UpdateReason,
    decode_packet,
    encode_packet,
    verify_packet_checksum,
)
from dmm_agent.wire import Handoff as How

VECTORS: dict[str, dict[str, Any]] = tomllib.loads(
    Path(__file__).with_name("vectors.toml").read_text(encoding="utf-8")
)

MN1 = MobileNodeIdentifier.nai("mn1@example.net")
MN2 = MobileNodeIdentifier.nai("mn2@example.net")
WIFI = AccessTechnologyType(AccessTechnology.IEEE_802_11)
MAC = MobileNodeLinkLayerIdentifier(bytes.fromhex("0200000000a1"))
HOME = IPv6Address("2001:db8:a::100")
CARE_OF = AlternateCareOfAddress(IPv6Address("2001:db8:2::100"))

PBU = BindingUpdateFlag.ACKNOWLEDGE | BindingUpdateFlag.PROXY
PBA = BindingAckFlag.PROXY
BU = BindingUpdateFlag.ACKNOWLEDGE | BindingUpdateFlag.HOME_REGISTRATION


def hnp(text: str) -> HomeNetworkPrefix:
    return HomeNetworkPrefix(IPv6Network(text))


HNP_A, HNP_B, HNP_C = (hnp(f"2001:db8:{n}::/64") for n in "abc")


def attachment(prefix: Option, how: How, *more: Option) -> tuple[Option, ...]:
    return (MN1, prefix, HandoffIndicator(how), WIFI, *more)


PACKETS = {
    "X1": MobilityPacket(
        BindingUpdate(
            1,
            PBU,
            3600,
            attachment(hnp("::/0"), How.NEW_INTERFACE, MAC, Timestamp.at(1700000000.5)),
        )
    ),
    "X2": MobilityPacket(
        BindingAcknowledgement(
            BindingStatus.ACCEPTED,
            PBA,
            1,
            3600,
            attachment(HNP_A, How.NEW_INTERFACE, MAC, Timestamp.at(1700000000.5)),
        )
    ),
    "X3": MobilityPacket(
        BindingUpdate(2, PBU, 0, attachment(HNP_A, How.UNKNOWN, Timestamp.at(1700000060)))
    ),
    "X4": MobilityPacket(
        BindingAcknowledgement(
            BindingStatus.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED,
            PBA,
            3,
            0,
            attachment(HNP_A, How.BETWEEN_MAGS, Timestamp.at(1700000061.25)),
        )
    ),
    "X5": MobilityPacket(BindingUpdate(0x1234, BU, 600, (CARE_OF,)), home_source=HOME),
    "X6": MobilityPacket(
        BindingAcknowledgement(
            BindingStatus.ACCEPTED, BindingAckFlag(0), 0x1234, 600, (BindingRefreshAdvice(300),)
        ),
        home_destination=HOME,
    ),
    "X7": MobilityPacket(
        BindingRevocationIndication(
            RevocationTrigger.ADMINISTRATIVE, 7, RevocationFlag.PROXY, (MN1, HNP_A)
        )
    ),
    "X8": MobilityPacket(
        BindingRevocationAcknowledgement(
            RevocationStatus.SUCCESS, 7, RevocationFlag.PROXY, (MN1, HNP_A)
        )
    ),
    "X9": MobilityPacket(
        LocalizedRoutingInitiation(
            9, 300, (MN1, HNP_A, MN2, HNP_B, MagAddress(IPv6Address("2001:db8:2::1")))
        )
    ),
    "X10": MobilityPacket(
        LocalizedRoutingAcknowledgement(
            LocalizedRoutingStatus.SUCCESS,
            9,
            300,
            LocalizedRoutingFlag(0),
            (MN1, HNP_A, MN2, HNP_B),
        )
    ),
    "X11": MobilityPacket(
        BindingUpdate(
            0x1236,
            BU,
            600,
            (
                MN1,
                CARE_OF,
                MessageIdentifier(0xE8FE6F80_80000000),
                MobilityMessageAuthentication(1, 256, bytes.fromhex("0e8a4088b31900075d26f151")),
            ),
        ),
        home_source=HOME,
    ),
    "X12": MobilityPacket(
        BindingUpdate(
            0x42,
            BindingUpdateFlag.ACKNOWLEDGE,
            420,
            (
                NonceIndices(7, 9),
                BindingAuthorizationData(bytes.fromhex("8ec985972dfffe41a93e0047")),
            ),
        ),
        home_source=HOME,
    ),
    "X13": MobilityPacket(Heartbeat(5, HeartbeatFlag.RESPONSE, (RestartCounter(3),))),
    "X14": MobilityPacket(
        UpdateNotification(
            11, UpdateReason.FORCE_REREGISTRATION, UpdateNotificationFlag.ACKNOWLEDGE, (MN1,)
        )
    ),
    "X15": MobilityPacket(
        BindingUpdate(
            4,
            PBU | BindingUpdateFlag.DMM,
            3600,
            attachment(HNP_A, How.BETWEEN_MAGS, ServingMaar(IPv6Address("2001:db8:2::1"))),
        )
    ),
    "X16": MobilityPacket(
        BindingAcknowledgement(
            BindingStatus.ACCEPTED,
            PBA | BindingAckFlag.DMM,
            4,
            3600,
            attachment(
                HNP_C,
                How.BETWEEN_MAGS,
                PreviousMaar(IPv6Address("2001:db8:1::1"), IPv6Network("2001:db8:a::/64")),
            ),
        )
    ),
    "X17": MobilityPacket(
        HandoverInitiate(
            21,
            HandoverInitiateFlag.PROXY,
            0,
            (MN1, HNP_A, LmaAddress(IPv6Address("2001:db8:ff::1"))),
        )
    ),
    "X18": MobilityPacket(
        HandoverAcknowledge(
            21,
            HandoverAcknowledgeFlag.PROXY,
            HandoverAcknowledgeCode.CONTEXT_TRANSFER_ACCEPTED,
            (MN1,),
        )
    ),
    "X19": MobilityPacket(
        BindingUpdate(
            0x1235,
            BU | BindingUpdateFlag.MOBILE_ROUTER,
            600,
            (MobileNetworkPrefix(IPv6Network("2001:db8:a:100::/56")), CARE_OF),
        ),
        home_source=HOME,
    ),
    "X20": MobilityPacket(BindingError(BindingErrorStatus.UNKNOWN_BINDING, HOME)),
}


def test_every_vector_has_a_message() -> None:
    assert PACKETS.keys() == VECTORS.keys()


@pytest.mark.parametrize("name", VECTORS)
def test_the_message_encodes_to_the_vector(name: str) -> None:
    vector = VECTORS[name]
    source, destination = IPv6Address(vector["source"]), IPv6Address(vector["destination"])
    next_header, octets = encode_packet(PACKETS[name], source, destination)
    assert (next_header, octets.hex()) == (vector["next_header"], vector["hex"])


@pytest.mark.parametrize("name", VECTORS)
def test_the_vector_decodes_to_the_message(name: str) -> None:
    vector = VECTORS[name]
    assert decode_packet(vector["next_header"], bytes.fromhex(vector["hex"])) == PACKETS[name]


@pytest.mark.parametrize("name", VECTORS)
def test_the_vector_has_a_good_checksum_until_a_bit_of_it_flips(name: str) -> None:
    vector = VECTORS[name]
    source, destination = IPv6Address(vector["source"]), IPv6Address(vector["destination"])
    octets = bytearray.fromhex(vector["hex"])
    assert verify_packet_checksum(vector["next_header"], octets, source, destination)
    octets[-1] ^= 1
    assert not verify_packet_checksum(vector["next_header"], bytes(octets), source, destination)
