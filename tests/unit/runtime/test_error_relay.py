"""Which errors from inside a tunnel are passed on, to whom, and saying what (RFC 2473, 8)."""

from __future__ import annotations

import struct
from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmm_agent.dataplane.tunnel_errors import complaint_about
from dmm_agent.simulator.plan import make_plan

DIRECTORY = make_plan(networks=3, access_routers=1, mobile_nodes=1).directory
OWN, ENDPOINT = IPv6Address("2001:db8:2::1"), IPv6Address("2001:db8:3::1")
CN, MN = IPv6Address("2001:db8:2:1::10"), IPv6Address("2001:db8:1:8100::5")
UDP, ICMPV6, TUNNEL, OPTIONS = 17, 58, 41, 60
UNREACHABLE, TOO_BIG, EXPIRED, PARAMETER = 1, 2, 3, 4


def packet(
    source: IPv6Address, destination: IPv6Address, payload: bytes, next_header: int = UDP
) -> bytes:
    header = struct.pack("!IHBB", 6 << 28, len(payload), next_header, 64)
    return header + source.packed + destination.packed + payload


def tunnelled(
    original: bytes, source: IPv6Address = OWN, destination: IPv6Address = ENDPOINT
) -> bytes:
    return packet(source, destination, original, TUNNEL)


def error(kind: int, outer: bytes, *, code: int = 0, mtu: int = 0) -> bytes:
    return struct.pack("!BBHI", kind, code, 0xBEEF, mtu) + outer[:1232]


FULL = packet(CN, MN, bytes(range(256)) * 5 + bytes(172))


def test_too_big_is_told_with_what_is_left_for_the_original_packet() -> None:
    told = complaint_about(error(TOO_BIG, tunnelled(FULL), mtu=1500), OWN, DIRECTORY)
    assert told is not None
    assert told.to == CN
    assert struct.unpack("!BBHI", told.message[:8]) == (TOO_BIG, 0, 0, 1460)
    assert told.message[8:] == FULL[: 1232 - 40], "as much of it as the error had"


def test_an_encapsulation_limit_takes_eight_octets_more() -> None:
    limit = bytes([TUNNEL, 0, 4, 1, 4, 1, 0, 0])
    outer = packet(OWN, ENDPOINT, limit + FULL, OPTIONS)
    told = complaint_about(error(TOO_BIG, outer, mtu=1500), OWN, DIRECTORY)
    assert told is not None
    assert struct.unpack("!I", told.message[4:8]) == (1452,)
    assert told.message[8:].startswith(FULL[:100])


def test_no_sender_is_told_less_than_every_link_must_carry() -> None:
    told = complaint_about(error(TOO_BIG, tunnelled(FULL), mtu=1280), OWN, DIRECTORY)
    assert told is not None
    assert struct.unpack("!I", told.message[4:8]) == (1280,)


def test_a_packet_that_every_link_must_carry_is_not_too_big() -> None:
    small = packet(CN, MN, bytes(1240))
    assert complaint_about(error(TOO_BIG, tunnelled(small), mtu=1280), OWN, DIRECTORY) is None


@pytest.mark.parametrize("kind", [UNREACHABLE, EXPIRED])
def test_whatever_else_is_wrong_inside_is_an_address_that_cannot_be_reached(kind: int) -> None:
    told = complaint_about(error(kind, tunnelled(FULL)), OWN, DIRECTORY)
    assert told is not None
    assert (told.to, told.message[:8]) == (CN, struct.pack("!BBHI", UNREACHABLE, 3, 0, 0))


def test_a_visitor_is_told_too() -> None:
    from_visitor = packet(MN, CN, bytes(1460))
    told = complaint_about(error(TOO_BIG, tunnelled(from_visitor), mtu=1500), OWN, DIRECTORY)
    assert told is not None
    assert told.to == MN


@pytest.mark.parametrize(
    "nothing",
    [
        pytest.param(b"", id="nothing at all"),
        pytest.param(error(TOO_BIG, FULL, mtu=1500), id="a packet that was in no tunnel"),
        pytest.param(error(TOO_BIG, tunnelled(FULL, source=ENDPOINT), mtu=1500), id="another's"),
        pytest.param(
            error(TOO_BIG, tunnelled(FULL, destination=MN), mtu=1500), id="a tunnel to no router"
        ),
        pytest.param(
            error(TOO_BIG, tunnelled(FULL, destination=IPv6Address("2001:db8:99::1")), mtu=1500),
            id="a tunnel to nowhere we know",
        ),
        pytest.param(error(PARAMETER, tunnelled(FULL)), id="another kind"),
        pytest.param(
            error(UNREACHABLE, tunnelled(packet(CN, ENDPOINT, bytes(20)))), id="no mobile node's"
        ),
        pytest.param(
            error(UNREACHABLE, tunnelled(packet(CN, MN, b"\x01\x00", ICMPV6))), id="an error itself"
        ),
        pytest.param(
            error(UNREACHABLE, tunnelled(packet(IPv6Address("ff02::1"), MN, bytes(9)))),
            id="a sender that is many",
        ),
        pytest.param(error(UNREACHABLE, tunnelled(FULL)[:79]), id="too little of the original"),
    ],
)
def test_nobody_is_told_of_anything_else(nothing: bytes) -> None:
    assert complaint_about(nothing, OWN, DIRECTORY) is None


def test_an_echo_request_is_no_error() -> None:
    ping = packet(CN, MN, b"\x80\x00", ICMPV6)
    assert complaint_about(error(UNREACHABLE, tunnelled(ping)), OWN, DIRECTORY) is not None


@given(st.binary(max_size=200), st.integers(0, 100))
def test_no_octets_upset_it(octets: bytes, cut: int) -> None:
    whole = error(TOO_BIG, tunnelled(FULL), mtu=1500)
    for told in (octets, whole[:cut], whole[:cut] + octets):
        found = complaint_about(told, OWN, DIRECTORY)
        assert found is None or len(found.message) <= 1240
