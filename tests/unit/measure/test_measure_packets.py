"""Captures are read for probes and signalling, and nothing else."""

from __future__ import annotations

import struct
import sys
from ipaddress import IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import UDP
from scapy.layers.inet6 import (
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_RS,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrRouting,
)
from scapy.packet import Raw
from scapy.utils import RawPcapWriter

from dmm_testbed.measure import packets
from dmm_testbed.measure.errors import MeasuringError
from dmm_testbed.measure.packets import Interfaces, Probe, Signal, read_capture

sys.path.insert(0, str(Path(__file__).parents[3] / "roles/traffic/files/local/lib"))

from dmm_traffic import limits, streams, udp

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERFACES = Interfaces({2: "core", 3: "ar11"})
CN, MN, GW1, GW3 = "2001:db8:2:5::2", "2001:db8:1:8100::7", "2001:db8:1::1", "2001:db8:3::1"
INCOMING, OTHER_HOST, OUTGOING = 0, 3, 4
PBU = bytes.fromhex("3b010500eac7000182000384") + bytes(4)


def tool_packet(sequence: int, direction: streams.Direction, kind: int = udp.DATA) -> bytes:
    """A packet as the traffic tool makes it."""
    return udp.UdpStream(7, direction, len, CN, MN, 200.0, 64).packet(kind, sequence)


def probe(sequence: int = 41, kind: int = udp.DATA) -> IPv6:
    return IPv6(src=CN, dst=MN, hlim=60) / UDP(sport=limits.PORT, dport=40000) / Raw(
        tool_packet(sequence, streams.Direction.FORWARD, kind)
    )  # fmt: skip


def cooked(
    packet: bytes, packet_type: int = INCOMING, index: int = 2, proto: int = 0x86DD
) -> bytes:
    return struct.pack("!HHIHBB8s", proto, 0, index, 1, packet_type, 6, bytes(8)) + packet


def capture(path: Path, frames: Sequence[bytes], linktype: int = 276) -> Path:
    with RawPcapWriter(str(path), linktype=linktype) as writer:
        writer.write_header(None)
        for number, frame in enumerate(frames):
            writer.write_packet(frame, sec=1000 + number, usec=250_000)
    return path


def read(tmp_path: Path, *frames: bytes) -> tuple[list[Probe], list[Signal]]:
    return read_capture(capture(tmp_path / "gw1.pcap", frames), "gw1", INTERFACES)


def test_reader_and_tool_agree_on_the_format() -> None:
    assert packets.PROBE_PORT == limits.PORT
    assert udp.MAGIC == packets.PROBE_MAGIC
    assert (streams.Direction.FORWARD, streams.Direction.REVERSE) == (
        packets.FORWARD,
        packets.REVERSE,
    )


def test_a_plain_probe(tmp_path: Path) -> None:
    (found,), signals = read(tmp_path, cooked(bytes(probe()), OUTGOING, 3))
    assert signals == []
    assert found == Probe(
        time_s=1000.25,
        machine="gw1",
        interface="ar11",
        outgoing=True,
        tunnels=(),
        source=IPv6Address(CN).packed,
        destination=IPv6Address(MN).packed,
        hop_limit=60,
        stream=7,
        direction=packets.FORWARD,
        sequence=41,
    )


def test_an_encapsulated_probe_keeps_both_headers(tmp_path: Path) -> None:
    (found,), _ = read(tmp_path, cooked(bytes(IPv6(src=GW1, dst=GW3, hlim=59) / probe())))
    (tunnel,) = found.tunnels
    assert tunnel == (IPv6Address(GW1).packed, IPv6Address(GW3).packed, 59)
    assert found.source == IPv6Address(CN).packed
    assert found.hop_limit == 60
    assert not found.outgoing


def test_tunnels_in_tunnels_and_segment_routing_headers(tmp_path: Path) -> None:
    nested = IPv6(src=GW1, dst=GW3) / IPv6(src=GW3, dst=GW1) / probe()
    routed = IPv6(src=GW1, dst=GW3) / IPv6ExtHdrRouting(type=4, addresses=[GW3]) / probe()
    found, _ = read(tmp_path, cooked(bytes(nested)), cooked(bytes(routed)))
    assert [len(one.tunnels) for one in found] == [2, 1]


def test_packets_for_another_link_layer_address_came_in(tmp_path: Path) -> None:
    """What a bridge port sees is addressed to the bridge."""
    (found,), _ = read(tmp_path, cooked(bytes(probe()), OTHER_HOST))
    assert not found.outgoing


def test_signalling_is_kept_whole_also_behind_a_home_address(tmp_path: Path) -> None:
    plain = IPv6(src=GW1, dst=GW3, nh=135) / Raw(PBU)
    behind = IPv6(src=GW1, dst=GW3) / IPv6ExtHdrDestOpt(nh=135) / Raw(PBU)
    _, found = read(tmp_path, cooked(bytes(plain)), cooked(bytes(behind)))
    assert [signal.mobility for signal in found] == [PBU, PBU]
    assert [signal.length for signal in found] == [40 + len(PBU), 40 + 8 + len(PBU)]
    assert found[0].packet == bytes(plain)


def test_router_discovery_is_kept_and_neighbour_discovery_is_not(tmp_path: Path) -> None:
    header = IPv6(src="fe80::1", dst="ff02::2", hlim=255)
    kinds = [header / kind for kind in (ICMPv6ND_RS(), ICMPv6ND_RA(), ICMPv6ND_NS(tgt=MN))]
    _, found = read(tmp_path, *(cooked(bytes(kind)) for kind in kinds))
    assert [signal.icmp_type for signal in found] == [133, 134]
    assert [signal.solicitation for signal in found] == [True, False]


def test_what_is_no_data_packet_of_the_tool_is_left_out(tmp_path: Path) -> None:
    other = IPv6(src=CN, dst=MN) / UDP(sport=53, dport=limits.PORT) / Raw(b"x" * 64)
    spoiled = bytes(probe()).replace(udp.MAGIC, b"DMMx")
    frames = [
        bytes(probe(kind=udp.HELLO)),
        bytes(other),
        spoiled,
        bytes(IPv6(src=CN, dst=MN, nh=59)),
    ]
    arp = cooked(b"\0" * 64, proto=0x0806)
    assert read(tmp_path, arp, *map(cooked, frames)) == ([], [])


def test_an_interface_that_was_never_listed_is_named_by_its_number(tmp_path: Path) -> None:
    (found,), _ = read(tmp_path, cooked(bytes(probe()), index=99))
    assert found.interface == "#99"


def test_packets_cut_short_anywhere_are_left_out(tmp_path: Path) -> None:
    whole = cooked(bytes(IPv6(src=GW1, dst=GW3) / probe()))
    needed = 20 + 40 + 40 + 8 + udp.HEADER.size
    frames = [whole[:length] for length in range(1, len(whole))]
    found, signals = read(tmp_path, *frames)
    assert len(found) == len(whole) - needed
    assert signals == []


@given(st.binary(max_size=200))
def test_any_bytes_can_be_captured(data: bytes) -> None:
    packets._dissect(cooked(data), 0.0, "gw1", {})


def test_a_clock_ahead_is_set_back(tmp_path: Path) -> None:
    path = capture(tmp_path / "gw1.pcap", [cooked(bytes(probe()))])
    (found,), _ = read_capture(path, "gw1", INTERFACES, clock_offset_s=100.0)
    assert found.time_s == pytest.approx(900.25)


def test_a_capture_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = capture(tmp_path / "gw1.pcap", [bytes(14)], linktype=1)
    with pytest.raises(MeasuringError, match=r"link type 1, expected 276 .* -y LINUX_SLL2"):
        read_capture(path, "gw1", INTERFACES)


@pytest.mark.parametrize("missing", [1, 100, 10_000])
def test_a_file_that_ends_within_a_packet_is_refused(tmp_path: Path, missing: int) -> None:
    path = capture(
        tmp_path / "gw1.pcap", [cooked(bytes(probe(sequence))) for sequence in range(200)]
    )
    path.write_bytes(path.read_bytes()[:-missing])
    with pytest.raises(MeasuringError, match=r"gw1\.pcap: ends within a packet: .* disk full"):
        read_capture(path, "gw1", INTERFACES)


def test_a_file_that_is_no_capture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gw1.pcap"
    path.write_bytes(b"this is no capture at all, whatever its name")
    with pytest.raises(MeasuringError, match="cannot be read as a capture"):
        read_capture(path, "gw1", INTERFACES)
    with pytest.raises(MeasuringError, match="cannot be read as a capture"):
        read_capture(tmp_path / "absent.pcap", "gw1", INTERFACES)
