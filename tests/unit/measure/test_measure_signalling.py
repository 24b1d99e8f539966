"""Signalling is counted once a message, where it left its sender."""

from __future__ import annotations

import json
import shutil
import subprocess
from ipaddress import IPv6Address, IPv6Network
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from scapy.layers.inet6 import ICMPv6ND_RA, ICMPv6NDOptPrefixInfo, IPv6
from scapy.packet import Raw

from dmm_agent import wire
from dmm_testbed.measure import signalling
from dmm_testbed.measure.naming import decoded, message_detail, message_name
from dmm_testbed.measure.packets import Sightings, Signal, Tunnel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.measure.conftest import Internet

GW1, GW2, GW3 = (IPv6Address(f"2001:db8:{number}::1") for number in (1, 2, 3))
HNP = IPv6Network("2001:db8:1:8101::/64")
UPDATE = wire.BindingUpdate(
    sequence=4,
    flags=wire.BindingUpdateFlag.ACKNOWLEDGE | wire.BindingUpdateFlag.PROXY,
    lifetime_s=60,
    options=(
        wire.MobileNodeIdentifier(1, b"mn11@dmm.example"),
        wire.HomeNetworkPrefix(HNP),
    ),
)
QUERY = wire.LocationQuery(sequence=9, options=(wire.HomeNetworkPrefix(HNP),))


def sightings_of(internet: Internet) -> Sightings:
    internet.sightings.owners.update({GW1.packed: "gw1", GW2.packed: "gw2", GW3.packed: "gw3"})
    return internet.sightings


def capture_message(
    internet: Internet,
    message: wire.Message,
    path: str,
    at_s: float,
    source: IPv6Address = GW3,
    destination: IPv6Address = GW1,
    tunnels: tuple[Tunnel, ...] = (),
) -> int:
    """Let a message travel, seen going out and coming in on each link; return its size."""
    body = wire.encode(message, source, destination)
    hosts = path.split()
    size = 0
    for hop_limit, (near, far) in enumerate(pairwise(hosts)):
        packet = bytes(
            IPv6(src=str(source), dst=str(destination), nh=135, hlim=64 - hop_limit) / Raw(body)
        )
        size = len(packet)
        for machine, peer, outgoing in ((near, far, True), (far, near, False)):
            at_s += 0.0001
            internet.sightings.signals.append(
                Signal(
                    at_s, machine, peer, outgoing, tunnels, source.packed, destination.packed,
                    packet, size, body, None,
                )
            )  # fmt: skip
    return size


def advertise(internet: Internet, at_s: float) -> None:
    prefix = ICMPv6NDOptPrefixInfo(prefix="2001:db8:3:8101::", prefixlen=64)
    packet = bytes(
        IPv6(src="fe80::200:5eff:fe00:5213", dst="fe80::1", hlim=255) / ICMPv6ND_RA() / prefix
    )
    for machine, interface, outgoing in (
        ("ar31", "mn11", True),
        ("mn11", "ar31", False),
        ("mn11", "radio0", False),
    ):
        internet.sightings.signals.append(
            Signal(
                at_s, machine, interface, outgoing, (), packet[8:24], packet[24:40],
                packet, len(packet), None, 134,
            )
        )  # fmt: skip


def test_a_message_counts_once_however_many_machines_saw_it(internet: Internet) -> None:
    size = capture_message(internet, UPDATE, "gw3 core gw1", at_s=1.0)
    messages = signalling.sent_messages(sightings_of(internet), internet.wiring)
    counted = signalling.count(messages)
    assert counted.messages == 1
    assert counted.bytes == size
    assert counted.by_type["PBU"].bytes == size
    assert (messages[0].sender, messages[0].receiver) == ("gw3", "gw1")


def test_a_message_sent_twice_counts_twice(internet: Internet) -> None:
    capture_message(internet, UPDATE, "gw3 core gw1", at_s=1.0)
    capture_message(internet, UPDATE, "gw3 core", at_s=2.0)
    counted = signalling.count(signalling.sent_messages(sightings_of(internet), internet.wiring))
    assert counted.messages == 2


def test_a_message_that_comes_back_to_its_sender_counts_once(internet: Internet) -> None:
    capture_message(internet, UPDATE, "gw3 core gw3", at_s=1.0)
    assert len(signalling.sent_messages(sightings_of(internet), internet.wiring)) == 1


def test_types_and_machines_are_told_apart(internet: Internet) -> None:
    capture_message(internet, UPDATE, "gw3 core gw1", at_s=1.0)
    capture_message(internet, QUERY, "gw2 core gw1", at_s=2.0, source=GW2)
    counted = signalling.count(signalling.sent_messages(sightings_of(internet), internet.wiring))
    assert {name: volume.messages for name, volume in counted.by_type.items()} == {
        "PBU": 1,
        "Query": 1,
    }
    assert counted.by_host["gw1"].received == 2
    assert counted.by_host["gw2"].sent == 1
    assert "core" not in counted.by_host


def test_an_unknown_sender_is_where_the_message_came_from_nowhere(internet: Internet) -> None:
    capture_message(internet, UPDATE, "mn11 ar31 gw3", at_s=1.0, source=IPv6Address("2001:db8::7"))
    (message,) = signalling.sent_messages(sightings_of(internet), internet.wiring)
    assert message.sender == "mn11"


def test_messages_of_a_step_are_those_sent_in_it(internet: Internet) -> None:
    for at_s in (1.0, 2.0, 3.0):
        capture_message(internet, UPDATE, "gw3 core gw1", at_s=at_s)
    messages = signalling.sent_messages(sightings_of(internet), internet.wiring)
    assert len(signalling.between(messages, 1.5, 3.0)) == 1


def test_router_advertisements_are_shown_but_not_counted(internet: Internet) -> None:
    advertise(internet, at_s=1.0)
    messages = signalling.sent_messages(sightings_of(internet), internet.wiring)
    assert signalling.count(messages).messages == 0
    (shown,) = signalling.chart(messages, started_at_s=0.5)
    assert (shown.sender, shown.receiver, shown.label) == ("ar31", "mn11", "RA")
    assert not shown.signalling
    assert shown.at_ms == pytest.approx(500)


def test_the_chart_says_what_a_message_says(internet: Internet) -> None:
    capture_message(internet, UPDATE, "gw3 core gw1", at_s=1.0)
    messages = signalling.sent_messages(sightings_of(internet), internet.wiring)
    (shown,) = signalling.chart(messages, started_at_s=0.0)
    assert shown.label == "PBU"
    assert shown.detail == f"seq 4, lifetime 60 s, {HNP}"


@pytest.mark.parametrize(
    ("start", "name"),
    [
        ("3b010500000000018000000000000000", "BU"),
        ("3b010500000000018200000000000000", "PBU"),
        ("3b010600000000000001000000000000", "BA"),
        ("3b010600000000200001000000000000", "PBA"),
        ("3b011000000001010007800000000000", "BRI"),
        ("3b011000000002000007800000000000", "BRA"),
        ("3b011100000000090000012c00000000", "LRI"),
        ("3b010d00000000010000000500000000", "Heartbeat"),
        ("3b010b0000000909aaaaaaaaaaaaaaaa", "Experimental"),
        ("3b01630000000909aaaaaaaaaaaaaaaa", "MH type 99"),
        ("3b01", "cut off"),
    ],
)
def test_messages_have_the_names_of_their_rfcs(start: str, name: str) -> None:
    assert message_name(bytes.fromhex(start)) == name


def test_what_cannot_be_read_has_no_detail() -> None:
    assert message_detail(decoded(b"")) == ""
    assert message_detail(decoded(bytes.fromhex("3b01630000000909aaaaaaaaaaaaaaaa"))) == ""


@pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark")
def test_the_kept_capture_is_dissected_without_complaint(
    internet: Internet, tmp_path: Path
) -> None:
    capture_message(internet, UPDATE, "gw3 core gw1", at_s=1.0)
    capture_message(internet, QUERY, "gw2 core gw1", at_s=2.0, source=GW2)
    advertise(internet, at_s=3.0)
    path = tmp_path / "report" / "signalling.pcap"
    messages = signalling.sent_messages(sightings_of(internet), internet.wiring)
    signalling.write_capture(messages, path)
    result = subprocess.run(
        ["tshark", "-r", path, "-T", "json"], capture_output=True, text=True, check=True
    )
    frames = [frame["_source"]["layers"] for frame in json.loads(result.stdout)]
    assert [frame["frame"]["frame.protocols"] for frame in frames] == [
        "ipv6:mipv6",
        "ipv6:mipv6",
        "ipv6:icmpv6",
    ]
    assert "_ws.malformed" not in result.stdout
    assert float(frames[0]["frame"]["frame.time_epoch"]) == pytest.approx(1.0001)
    assert '"mip6.bu.p_flag": "1"' in json.dumps(frames[0])
