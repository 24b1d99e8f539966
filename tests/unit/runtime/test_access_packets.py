"""Packets of access links, against packets that scapy makes and reads."""

from __future__ import annotations

import contextlib
import socket
import struct
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers import inet6
from scapy.layers.inet import TCP, UDP

from dmm_agent.attachment import icmpv6, packet_filter
from dmm_agent.attachment.icmpv6 import Heard, MalformedError, parse
from dmm_agent.functions.effects import AdvertisedPrefix

if TYPE_CHECKING:
    from scapy.packet import Packet

MN = IPv6Address("fe80::ff:fe00:101")
GLOBAL = IPv6Address("2001:db8:1:8100::7")
MAC = "02:00:00:00:01:01"
ROUTER = "fe80::200:5eff:fe00:5213"


def ip(source: object, destination: object, hop_limit: int = 255) -> Packet:
    return inet6.IPv6(src=str(source), dst=str(destination), hlim=hop_limit)


def link_layer() -> Packet:
    return inet6.ICMPv6NDOptSrcLLAddr(lladdr=MAC)


def neighbor_solicitation(source: object, destination: object, target: object) -> Packet:
    return ip(source, destination) / inet6.ICMPv6ND_NS(tgt=str(target))


def mld_report(source: object = MN) -> Packet:
    hop_by_hop = inet6.IPv6ExtHdrHopByHop(options=[inet6.RouterAlert()])
    record = inet6.ICMPv6MLDMultAddrRec(dst="ff02::1:ff00:101")
    return ip(source, "ff02::16", 1) / hop_by_hop / inet6.ICMPv6MLReport2(records=[record])


@pytest.mark.parametrize(
    ("packet", "heard"),
    [
        (ip(MN, "ff02::2") / inet6.ICMPv6ND_RS() / link_layer(), Heard(133, MN)),
        (ip("::", "ff02::2") / inet6.ICMPv6ND_RS(), Heard(133, IPv6Address("::"))),
        (neighbor_solicitation(MN, ROUTER, ROUTER), Heard(135, MN, IPv6Address(ROUTER))),
        (
            neighbor_solicitation("::", icmpv6.solicited_node(MN), MN),
            Heard(135, IPv6Address("::"), MN),
        ),
        (
            ip(MN, ROUTER) / inet6.ICMPv6ND_NA(tgt=str(MN), R=0, S=1),
            Heard(136, MN, MN, solicited=True),
        ),
        (mld_report(), Heard(143, MN)),
    ],
)
def test_signs_of_a_node_are_read(packet: Packet, heard: Heard) -> None:
    assert parse(bytes(packet)) == heard


@pytest.mark.parametrize(
    ("heard", "link_local"),
    [
        (Heard(133, MN), MN),
        (Heard(133, IPv6Address("::")), None),
        (Heard(135, GLOBAL, IPv6Address(ROUTER)), None),
        (Heard(135, IPv6Address("::"), MN), MN),
        (Heard(135, IPv6Address("::"), GLOBAL), None),
        (Heard(136, IPv6Address("::"), MN), None),
    ],
)
def test_the_senders_link_local_address_is_known_or_not(
    heard: Heard, link_local: IPv6Address | None
) -> None:
    assert heard.link_local == link_local


def zero_length_option() -> bytes:
    return bytes(ip(MN, "ff02::2") / inet6.ICMPv6ND_RS() / bytes([1, 0, 0, 0, 0, 0, 0, 0]))


@pytest.mark.parametrize(
    ("octets", "check"),
    [
        (b"", "not an IPv6 packet"),
        (bytes(ip(MN, "ff02::2", 254) / inet6.ICMPv6ND_RS()), "hop limit"),
        (bytes(ip(MN, "ff02::2") / inet6.ICMPv6ND_RS(code=1)), "code"),
        (bytes(ip(MN, "ff02::2") / inet6.ICMPv6ND_RS(cksum=7)), "checksum"),
        (bytes(ip("::", "ff02::2") / inet6.ICMPv6ND_RS() / link_layer()), "unspecified"),
        (zero_length_option(), "option of length 0"),
        (bytes(ip(MN, "ff02::2") / inet6.ICMPv6ND_RS())[:-3], "shorter than its payload"),
        (bytes(neighbor_solicitation(MN, ROUTER, "ff02::1")), "multicast"),
        (bytes(neighbor_solicitation("::", "ff02::1", MN)), "sent elsewhere"),
        (
            bytes(ip(MN, "ff02::1") / inet6.ICMPv6ND_NA(tgt=str(MN), R=0, S=1)),
            "solicited, but sent to all",
        ),
        (bytes(mld_report().copy()).replace(b"\x00\x01\xfe\x80", b"\x00\x02\xfe\x80"), "hop limit"),
    ],
)
def test_what_fails_a_check_of_the_rfcs_is_refused(octets: bytes, check: str) -> None:
    with pytest.raises(MalformedError, match=check):
        parse(octets)


def test_other_packets_are_nobodys_sign() -> None:
    assert parse(bytes(ip(MN, ROUTER) / inet6.ICMPv6EchoRequest())) is None
    assert parse(bytes(inet6.IPv6(src=str(MN), dst=ROUTER, nh=59))) is None


@given(st.binary(max_size=200))
def test_no_octets_raise_anything_else(octets: bytes) -> None:
    for packet in (octets, b"\x60" + octets, _plausible(octets)):
        try:
            parse(packet)
        except MalformedError:
            continue


def _plausible(payload: bytes) -> bytes:
    """An ICMPv6 packet with a right checksum around any octets."""
    if len(payload) >= 4:
        zeroed = payload[:2] + b"\0\0" + payload[4:]
        total = icmpv6.checksum(MN.packed, MN.packed, zeroed)
        payload = payload[:2] + struct.pack("!H", total) + payload[4:]
    header = struct.pack("!IHBB", 6 << 28, len(payload), 58, 255)
    return header + MN.packed + MN.packed + payload


@pytest.mark.parametrize(
    ("packet", "passes"),
    [
        (ip(MN, "ff02::2") / inet6.ICMPv6ND_RS(), True),
        (neighbor_solicitation(MN, ROUTER, ROUTER), True),
        (ip(MN, ROUTER) / inet6.ICMPv6ND_NA(tgt=str(MN)), True),
        (mld_report(), True),
        (ip(MN, "ff02::1") / inet6.ICMPv6ND_RA(), False),
        (ip(MN, ROUTER) / inet6.ICMPv6EchoRequest(), False),
        (ip(MN, ROUTER) / inet6.IPv6ExtHdrHopByHop() / inet6.ICMPv6EchoRequest(), False),
        (ip(GLOBAL, ROUTER) / inet6.IPv6ExtHdrDestOpt() / inet6.ICMPv6ND_RS(), False),
        (ip(GLOBAL, ROUTER) / UDP() / bytes([133] * 40), False),
        (ip(GLOBAL, ROUTER) / TCP(), False),
        (ip(MN, ROUTER) / inet6.MIP6MH_BRR(), True),
        (ip(GLOBAL, GLOBAL) / inet6.MIP6MH_BRR(), False),
    ],
)
def test_the_socket_filter_passes_signs_of_a_node_and_nothing_else(
    packet: Packet, passes: bool
) -> None:
    """The kernel runs a socket's filter on any kind of datagram, so no rights are needed."""
    sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with sender, receiver:
        packet_filter.attach(receiver)
        receiver.setblocking(False)
        with contextlib.suppress(PermissionError):  # how the sender learns of a filter's no
            sender.send(bytes(packet))
        try:
            heard = bool(receiver.recv(2048))
        except BlockingIOError:
            heard = False
    assert heard is passes


def test_an_advertisement_says_what_a_mobile_node_needs() -> None:
    prefixes = (
        AdvertisedPrefix(IPv6Network("2001:db8:3:8100::/64"), 1800, 3600),
        AdvertisedPrefix(IPv6Network("2001:db8:1:8100::/64"), 0, 3600),
    )
    packet = inet6.IPv6(icmpv6.router_advertisement(MN, prefixes, 30, mtu=1460))
    advertisement = packet[inet6.ICMPv6ND_RA]

    assert (packet.src, packet.dst, packet.hlim) == (ROUTER, str(MN), 255)
    assert (advertisement.M, advertisement.O, advertisement.routerlifetime) == (0, 0, 30)
    assert packet[inet6.ICMPv6NDOptSrcLLAddr].lladdr == "00:00:5e:00:52:13"
    assert packet[inet6.ICMPv6NDOptMTU].mtu == 1460
    options: list[Any] = [packet.getlayer(inet6.ICMPv6NDOptPrefixInfo, number) for number in (1, 2)]
    assert [(o.prefix, o.L, o.A, o.preferredlifetime, o.validlifetime) for o in options] == [
        ("2001:db8:3:8100::", 0, 1, 1800, 3600),
        ("2001:db8:1:8100::", 0, 1, 0, 3600),
    ]
    assert has_right_checksum(packet)


def test_lifetimes_never_contradict_each_other_or_overflow() -> None:
    prefix = AdvertisedPrefix(IPv6Network("2001:db8:1:8100::/64"), 1 << 40, 1 << 36)
    packet = inet6.IPv6(icmpv6.router_advertisement(MN, (prefix,), 1 << 20))
    option = packet[inet6.ICMPv6NDOptPrefixInfo]

    assert option.preferredlifetime <= option.validlifetime == 0xFFFFFFFF
    assert packet[inet6.ICMPv6ND_RA].routerlifetime == 0xFFFF


def test_a_probe_and_a_query_are_well_formed() -> None:
    probe = inet6.IPv6(icmpv6.neighbor_solicitation(MN))
    assert (probe[inet6.ICMPv6ND_NS].tgt, probe.dst, probe.hlim) == (str(MN), str(MN), 255)
    assert has_right_checksum(probe)

    query = inet6.IPv6(icmpv6.listener_query())
    assert (query.dst, query.hlim) == ("ff02::1", 1)
    assert query[inet6.RouterAlert].value == 0
    assert query[inet6.ICMPv6MLQuery2].mladdr == "::"
    assert has_right_checksum(query)


def has_right_checksum(packet: Packet) -> bool:
    rebuilt = packet.copy()
    message = next(layer for layer in rebuilt.layers() if layer.__name__.startswith("ICMPv6"))
    del rebuilt[message].cksum
    return bytes(rebuilt) == bytes(packet)
