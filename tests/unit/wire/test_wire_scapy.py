"""The messages scapy can build from field values, compared octet for octet."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers import inet6 as scapy

from dmm_agent.wire import (
    AlternateCareOfAddress,
    BindingAckFlag,
    BindingAcknowledgement,
    BindingAuthorizationData,
    BindingError,
    BindingRefreshAdvice,
    BindingRefreshRequest,
    BindingUpdate,
    BindingUpdateFlag,
    CareOfTest,
    CareOfTestInit,
    HomeTest,
    HomeTestInit,
    Message,
    MobileNetworkPrefix,
    MobileNodeIdentifier,
    MobilityMessageAuthentication,
    NonceIndices,
    Option,
    encode,
)

if TYPE_CHECKING:
    from scapy.packet import Packet

SOURCE, DESTINATION = IPv6Address("2001:db8:1::1"), IPv6Address("2001:db8:ff::1")

U16 = st.integers(0, 0xFFFF)
SCAPY_UPDATE_FLAGS = "PRMKLHA"
"""Scapy's letters, lowest bit first: the lowest is bit 9 of the field; the nine bits below are its
`reserved` field."""
SCAPY_ACK_FLAGS = "PRK"


def built(message: Packet) -> bytes:
    packet = scapy.IPv6(src=str(SOURCE), dst=str(DESTINATION), nh=135) / message
    return bytes(packet)[40:]


def update(sequence: int, bits: int, lifetime: int, options: list[Packet]) -> bytes:
    letters = "".join(x for i, x in enumerate(SCAPY_UPDATE_FLAGS) if bits >> (9 + i) & 1)
    return built(
        scapy.MIP6MH_BU(
            seq=sequence, flags=letters, reserved=bits & 0x1FF, mhtime=lifetime, options=options
        )
    )


def acknowledgement(
    status: int, bits: int, sequence: int, lifetime: int, options: list[Packet]
) -> bytes:
    letters = "".join(x for i, x in enumerate(SCAPY_ACK_FLAGS) if bits >> (5 + i) & 1)
    return built(
        scapy.MIP6MH_BA(
            status=status,
            flags=letters,
            res2=bits & 0x1F,
            seq=sequence,
            mhtime=lifetime,
            options=options,
        )
    )


@given(U16, st.integers(0, 0xFFF), U16)
def test_binding_update_fields(sequence: int, flags: int, units: int) -> None:
    bits = flags << 4
    message = BindingUpdate(sequence, BindingUpdateFlag(bits), units * 4)
    assert encode(message, SOURCE, DESTINATION) == update(sequence, bits, units, [])


@given(st.integers(0, 255), st.integers(0, 0x7F), U16, U16)
def test_binding_acknowledgement_fields(status: int, flags: int, sequence: int, units: int) -> None:
    bits = flags << 1
    message = BindingAcknowledgement(status, BindingAckFlag(bits), sequence, units * 4)
    expected = acknowledgement(status, bits, sequence, units, [])
    assert encode(message, SOURCE, DESTINATION) == expected


CARE_OF = "2001:db8:2::100"
PREFIX = IPv6Network("2001:db8:a:100::/56")
AUTHENTICATOR = bytes(range(12))

OPTIONS: dict[str, tuple[Option, Packet]] = {
    "advice": (BindingRefreshAdvice(300), scapy.MIP6OptBRAdvice(rinter=75)),
    "care-of": (
        AlternateCareOfAddress(IPv6Address(CARE_OF)),
        scapy.MIP6OptAltCoA(acoa=CARE_OF),
    ),
    "nonces": (NonceIndices(7, 9), scapy.MIP6OptNonceIndices(olen=4, hni=7, coni=9)),
    "prefix": (
        MobileNetworkPrefix(PREFIX),
        scapy.MIP6OptMobNetPrefix(plen=56, prefix=str(PREFIX.network_address)),
    ),
    "identifier": (
        MobileNodeIdentifier.nai("mn11@dmm.example"),
        scapy.MIP6OptMNID(subtype=1, id=b"mn11@dmm.example"),
    ),
    "authenticator": (
        BindingAuthorizationData(AUTHENTICATOR),
        scapy.MIP6OptBindingAuthData(olen=12, authenticator=int.from_bytes(AUTHENTICATOR)),
    ),
    "message authentication": (
        MobilityMessageAuthentication(1, 256, AUTHENTICATOR),
        scapy.MIP6OptMsgAuth(subtype=1, mspi=256, authdata=AUTHENTICATOR),
    ),
}


@pytest.mark.parametrize("second", OPTIONS)
@pytest.mark.parametrize("first", OPTIONS)
def test_options_are_aligned_as_scapy_aligns_them(first: str, second: str) -> None:
    chosen = (OPTIONS[first], OPTIONS[second])
    ours = tuple(option for option, _ in chosen)
    expected = update(1, 0x8200, 900, [option.copy() for _, option in chosen])
    message = BindingUpdate(1, BindingUpdateFlag(0x8200), 3600, ours)
    assert encode(message, SOURCE, DESTINATION) == expected


COOKIE, TOKEN = bytes(range(1, 9)), bytes(range(11, 19))

MESSAGES: dict[str, tuple[Message, Packet]] = {
    "refresh request": (BindingRefreshRequest(), scapy.MIP6MH_BRR(res2=0)),
    "home test init": (HomeTestInit(COOKIE), scapy.MIP6MH_HoTI(cookie=COOKIE)),
    "care-of test init": (CareOfTestInit(COOKIE), scapy.MIP6MH_CoTI(cookie=COOKIE)),
    "home test": (
        HomeTest(5, COOKIE, TOKEN),
        scapy.MIP6MH_HoT(index=5, cookie=COOKIE, token=TOKEN),
    ),
    "care-of test": (
        CareOfTest(5, COOKIE, TOKEN),
        scapy.MIP6MH_CoT(index=5, cookie=COOKIE, token=TOKEN),
    ),
    "error": (BindingError(2, IPv6Address("::")), scapy.MIP6MH_BE(status=2, ha="::")),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_other_messages_of_rfc_6275(name: str) -> None:
    ours, theirs = MESSAGES[name]
    assert encode(ours, SOURCE, DESTINATION) == built(theirs)
