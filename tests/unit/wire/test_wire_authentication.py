"""Authenticators as RFC 4285 (5.1) defines them, computed here without the code under test."""

from __future__ import annotations

import hashlib
from ipaddress import IPv6Address

import pytest

from dmm_agent.wire import (
    BindingAckFlag,
    BindingAcknowledgement,
    BindingUpdate,
    BindingUpdateFlag,
    MessageIdentifier,
    MobileNodeIdentifier,
    MobilityMessageAuthentication,
    authenticated,
    decode,
    encode,
    is_authentic,
)

KEY = bytes(range(16))
CARE_OF, HOME = IPv6Address("2001:db8:3:4100::1"), IPv6Address("2001:db8:1:4100::1")
HOME_AGENT = IPv6Address("2001:db8:1::1")


def mac(covered: bytes) -> bytes:
    """First (96, HMAC_SHA1 (key, care-of address | home address | MH data))."""
    inner = bytes(b ^ 0x36 for b in KEY.ljust(64, b"\0"))
    outer = bytes(b ^ 0x5C for b in KEY.ljust(64, b"\0"))
    data = CARE_OF.packed + HOME.packed + covered
    once = hashlib.sha1(inner + data).digest()  # noqa: S324 - the RFC has it so
    return hashlib.sha1(outer + once).digest()[:12]  # noqa: S324


UPDATE = BindingUpdate(
    0x1234,
    BindingUpdateFlag.ACKNOWLEDGE | BindingUpdateFlag.HOME_REGISTRATION,
    40,
    (MobileNodeIdentifier.nai("mn"), MessageIdentifier(0x0102030405060708)),
)
COVERED = bytes.fromhex(
    "3b0505000000"  # no next header, 48 octets, BU, no checksum
    "1234c000000a"  # sequence, flags A and H, lifetime in units of 4 s
    "0803016d6e"  # MN-ID: NAI "mn"
    "00"  # pad to 8n + 2
    "0a080102030405060708"  # Mesg-ID
    "00"  # pad to 4n + 1
    "09110100000100"  # MN-HA authentication, SPI 256
)


def test_the_authenticator_is_that_of_the_rfc() -> None:
    octets = encode(authenticated(UPDATE, KEY, 256, CARE_OF, HOME), HOME, HOME_AGENT)
    assert octets[:4] + bytes(2) + octets[6 : len(COVERED)] == COVERED
    assert octets[len(COVERED) :][:12] == mac(COVERED)


def test_what_is_sent_is_what_is_believed() -> None:
    answer = BindingAcknowledgement(0, BindingAckFlag(0), 1, 40)
    signed = (
        authenticated(UPDATE, KEY, 256, CARE_OF, HOME),
        authenticated(answer, KEY, 256, CARE_OF, HOME),
    )
    for message in signed:
        octets = encode(message, HOME_AGENT, HOME)
        assert is_authentic(octets, KEY, CARE_OF, HOME)
        assert decode(octets).first(MobilityMessageAuthentication) is not None


def test_octets_are_believed_as_they_came_however_they_are_padded() -> None:
    padded = COVERED[:12] + bytes.fromhex("01060000000000000000000000")  # PadN and five Pad1
    covered = b"\x3b\x05" + padded[2:] + COVERED[-7:]
    octets = covered + mac(covered) + bytes(4)
    assert len(octets) == 48
    assert is_authentic(octets, KEY, CARE_OF, HOME)


@pytest.mark.parametrize("at", [n for n in range(len(COVERED) + 12) if n not in (4, 5)])
def test_no_octet_can_be_changed_but_the_checksum(at: int) -> None:
    octets = bytearray(encode(authenticated(UPDATE, KEY, 256, CARE_OF, HOME), HOME, HOME_AGENT))
    octets[at] ^= 0x01
    assert not is_authentic(bytes(octets), KEY, CARE_OF, HOME)


def test_addresses_and_key_count() -> None:
    octets = encode(authenticated(UPDATE, KEY, 256, CARE_OF, HOME), HOME, HOME_AGENT)
    assert not is_authentic(octets, KEY[::-1], CARE_OF, HOME)
    assert not is_authentic(octets, KEY, HOME_AGENT, HOME)
    assert not is_authentic(octets, KEY, CARE_OF, HOME_AGENT)


def test_a_message_without_authenticator_is_not_authentic() -> None:
    assert not is_authentic(encode(UPDATE, HOME, HOME_AGENT), KEY, CARE_OF, HOME)
    assert not is_authentic(b"", KEY, CARE_OF, HOME)


def test_nothing_may_follow_the_authenticator() -> None:
    signed = authenticated(UPDATE, KEY, 256, CARE_OF, HOME)
    more = BindingUpdate(
        signed.sequence,
        signed.flags,
        signed.lifetime_s,
        (*signed.options, MobileNodeIdentifier.nai("other")),
    )
    assert not is_authentic(encode(more, HOME, HOME_AGENT), KEY, CARE_OF, HOME)
