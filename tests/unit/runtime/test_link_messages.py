"""Mobility Header messages on an access link, as whole packets."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers import inet6

from dmm_agent.attachment import mobility_header
from dmm_agent.attachment.icmpv6 import ROUTER_LINK_LOCAL, MalformedError
from dmm_agent.wire import Heartbeat, HeartbeatFlag, encode

MN = IPv6Address("fe80::ff:fe00:101")
MESSAGE = Heartbeat(7, HeartbeatFlag(0))


def packet(
    source: IPv6Address = MN, destination: IPv6Address = ROUTER_LINK_LOCAL, hop_limit: int = 255
) -> bytes:
    header = inet6.IPv6(src=str(source), dst=str(destination), hlim=hop_limit, nh=135)
    return bytes(header / encode(MESSAGE, source, destination))


def test_what_a_node_says_to_its_router_is_read() -> None:
    assert mobility_header.is_mobility_header(packet())
    assert mobility_header.parse(packet()) == (MN, MESSAGE)


def test_what_the_router_says_is_a_packet_that_scapy_reads() -> None:
    said = inet6.IPv6(mobility_header.packet_to(MN, MESSAGE))

    assert (said.src, said.dst, said.hlim, said.nh) == (str(ROUTER_LINK_LOCAL), str(MN), 255, 135)
    assert bytes(said.payload) == encode(MESSAGE, ROUTER_LINK_LOCAL, MN)
    assert said.plen == len(bytes(said.payload))


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (packet(hop_limit=254), "it was forwarded"),
        (packet(source=IPv6Address("2001:db8:1:8100::7")), "not between link-local"),
        (packet(destination=MN), "not between link-local"),
        (packet()[:-1], "shorter"),
        (packet()[:-1] + b"\x01", "checksum"),
    ],
)
def test_what_is_not_from_a_neighbour_or_damaged_is_refused(octets: bytes, why: str) -> None:
    with pytest.raises(MalformedError, match=why):
        mobility_header.parse(octets)


@given(st.binary(min_size=40, max_size=200))
def test_no_octets_raise_anything_else(octets: bytes) -> None:
    try:
        mobility_header.parse(octets)
    except MalformedError:
        return
