"""Home addresses in front of a message: what is refused."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest

from dmm_agent.wire import (
    DESTINATION_OPTIONS,
    NEXT_HEADER,
    ROUTING,
    BindingRefreshRequest,
    DecodeError,
    MobilityPacket,
    decode_packet,
    encode,
    encode_packet,
    home_address_header,
    routing_header,
    verify_packet_checksum,
)

HOME = IPv6Address("2001:db8:a::100")
SOURCE, DESTINATION = IPv6Address("2001:db8:2::100"), IPv6Address("2001:db8:a::1")
MESSAGE = BindingRefreshRequest()
MH = encode(MESSAGE, SOURCE, DESTINATION)
ADDRESS_HEX = HOME.packed.hex()


def test_both_headers_come_in_the_order_of_the_rfc() -> None:
    packet = MobilityPacket(MESSAGE, home_source=HOME, home_destination=DESTINATION)
    next_header, octets = encode_packet(packet, SOURCE, SOURCE)
    assert next_header == ROUTING
    assert (octets[0], octets[24]) == (DESTINATION_OPTIONS, NEXT_HEADER)
    assert decode_packet(next_header, octets) == packet


def test_a_packet_without_home_addresses_is_the_bare_message() -> None:
    assert encode_packet(MobilityPacket(MESSAGE), SOURCE, DESTINATION) == (NEXT_HEADER, MH)


def test_an_option_that_may_be_skipped_is_skipped() -> None:
    header = bytes.fromhex("8703 0500 1e02abcd c910" + ADDRESS_HEX + "0104 00000000")
    assert len(header) == 32
    assert decode_packet(DESTINATION_OPTIONS, header + MH).home_source == HOME


@pytest.mark.parametrize(
    ("next_header", "header", "reason"),
    [
        (6, "", r"expected a Mobility Header \(135\), got 6"),
        (DESTINATION_OPTIONS, "3c00010400000000", "got 60"),
        (DESTINATION_OPTIONS, "87", "cut short"),
        (DESTINATION_OPTIONS, "87ff0104", "cut short"),
        (DESTINATION_OPTIONS, "8700 c910 00000000", "option 201 runs past the end"),
        (DESTINATION_OPTIONS, "8700 0000000000c9", "option 201 runs past the end"),
        (DESTINATION_OPTIONS, "8700 c9 04 00000000", "expected 16 octets, got 4"),
        (DESTINATION_OPTIONS, "8700 88 04 00000000", "option 136 is not known"),
        (
            DESTINATION_OPTIONS,
            "8704" + f"c910{ADDRESS_HEX}" * 2 + "0000",
            "expected one Home Address option",
        ),
        (ROUTING, f"8702 0001 00000000 {ADDRESS_HEX}", "type 2 routing header"),
        (ROUTING, f"8702 0200 00000000 {ADDRESS_HEX}", "type 2 routing header"),
        (ROUTING, "8700 0201 00000000", "type 2 routing header"),
    ],
)
def test_malformed_headers_are_refused(next_header: int, header: str, reason: str) -> None:
    octets = bytes.fromhex(header) + (MH if len(header) > 8 else b"")
    with pytest.raises(DecodeError, match=reason):
        decode_packet(next_header, octets)
    assert not verify_packet_checksum(next_header, octets, SOURCE, DESTINATION)


def test_the_checksum_is_over_the_home_address() -> None:
    inner = encode(MESSAGE, HOME, DESTINATION)
    with_home = home_address_header(HOME) + inner
    assert verify_packet_checksum(DESTINATION_OPTIONS, with_home, SOURCE, DESTINATION)
    routed = routing_header(HOME) + encode(MESSAGE, DESTINATION, HOME)
    assert verify_packet_checksum(ROUTING, routed, DESTINATION, SOURCE)
    assert not verify_packet_checksum(NEXT_HEADER, inner, SOURCE, DESTINATION)
