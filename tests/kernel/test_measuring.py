"""Measuring a real move: cn reaches mn first through router ra, then through a tunnel from ra to
rb, then straight through rb. Real tcpdump, real traffic, four network namespaces.

      cn
     /  \\
   ra -- rb     mn is attached to ra, then to rb
     \\  /
      mn
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

import pytest

from dmm_agent import wire
from dmm_testbed.measure.capture import Capture
from dmm_testbed.measure.continuity import gap_plot
from dmm_testbed.measure.signalling import chart, write_capture
from dmm_testbed.measure.steps import Measurement, MoveRecord, StepRecord
from dmm_testbed.measure.traffic import Session, connection_source
from dmm_testbed.measure.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.kernel.conftest import NamespaceRunner

HOSTS = ("cn", "ra", "rb", "mn")
LINKS = (("cn", "ra"), ("cn", "rb"), ("ra", "rb"), ("ra", "mn"), ("rb", "mn"))
WIRING = Wiring.of(LINKS, mobile_nodes=["mn"], hosts=["cn"])
ROUTER_MAC, ROUTER = "00:00:5e:00:52:13", "fe80::200:5eff:fe00:5213"
MN_MAC = "02:00:00:00:01:01"
MN, CN = "2001:db8:1::100", "2001:db8:2::1"
RATE_PER_S = 200
LOST_EACH_WAY = 60

pytestmark = [
    pytest.mark.skipif(shutil.which(name) is None, reason=f"needs {name}")
    for name in ("tcpdump", "ip")
]


def build(machines: NamespaceRunner) -> None:
    """Links, addresses and routes, with mn attached to ra."""
    for one, other in LINKS:
        machines.connect(one, other)
    for host, address in (("cn", CN), ("ra", "2001:db8:a::1"), ("rb", "2001:db8:b::1")):
        machines.configure(host, f"ip -6 address add {address}/128 dev lo nodad")
    for number, (one, other) in enumerate(LINKS[:3]):
        machines.configure(one, f"ip -6 address add 2001:db8:ff:{number}::1/64 dev {other} nodad")
        machines.configure(other, f"ip -6 address add 2001:db8:ff:{number}::2/64 dev {one} nodad")
    for router in ("ra", "rb"):
        machines.configure(
            router,
            "sysctl -qw net.ipv6.conf.all.forwarding=1",
            f"ip link set dev mn address {ROUTER_MAC}",
            f"ip -6 address add {ROUTER}/64 dev mn nodad",
            # Known from the start: packets that wait for neighbour discovery would not be lost.
            f"ip -6 neighbour add {MN} lladdr {MN_MAC} dev mn nud permanent",
            "ip link add dmm0 type bridge",
            "ip link set dev dmm0 up",
            *(f"sysctl -qw net.ipv6.conf.{name}.seg6_enabled=1" for name in ("all", "ra", "rb")
              if name != router),
        )  # fmt: skip
    machines.configure("cn", f"ip -6 route add {MN} via 2001:db8:ff:0::2 dev ra")
    machines.configure(
        "ra",
        f"ip -6 route add {CN} via 2001:db8:ff:0::1 dev cn",
        "ip -6 route add 2001:db8:b::1 via 2001:db8:ff:2::2 dev rb",
        f"ip -6 route add {MN} dev mn",
        "ip sr tunsrc set 2001:db8:a::1",
    )
    machines.configure(
        "rb",
        f"ip -6 route add {CN} via 2001:db8:ff:1::1 dev cn",
        f"ip -6 route add {MN} dev mn",
        "ip -6 rule add pref 10 lookup local",
        "ip -6 rule delete pref 0",
        "ip -6 rule add pref 5 to 2001:db8:b::1 ipproto 41 lookup 605",
        "ip -6 route add 2001:db8:b::1 table 605 encap seg6local action End.DT6 table 254 dev dmm0",
    )
    machines.configure(
        "mn",
        f"ip link add radio0 address {MN_MAC} type bridge mcast_snooping 0",
        "ip link set dev ra master radio0",
        "ip link set dev rb master radio0",
        "ip link set dev rb down",
        "ip link set dev radio0 up",
        f"ip -6 address add {MN}/128 dev radio0 nodad",
        f"ip -6 route add {CN} via {ROUTER} dev radio0 src {MN} onlink",
    )


def wait_for(condition: Callable[[], bool], what: str, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {within_s} s"
        time.sleep(0.02)


def send_acknowledgement(machines: NamespaceRunner) -> int:
    """Let cn send a Binding Acknowledgement to mn, through ra; return the size of its packet."""
    message = wire.BindingAcknowledgement(
        wire.BindingStatus.ACCEPTED, wire.BindingAckFlag(0), 1, 60
    )
    body = wire.encode(message, IPv6Address(CN), IPv6Address(MN))
    sender = (
        "import socket, sys; sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 135); "
        "sock.bind((sys.argv[1], 0)); sock.sendto(bytes.fromhex(sys.argv[3]), (sys.argv[2], 0))"
    )
    result = machines.run("cn", [sys.executable, "-c", sender, CN, MN, body.hex()])
    assert result.returncode == 0, result.stderr
    return 40 + len(body)


def test_a_move_is_measured(machines: NamespaceRunner, tmp_path: Path) -> None:
    build(machines)
    session = Session(machines, "mn", "cn", stream=7)
    wait_for(
        lambda: machines.run("mn", ["ping", "-6", "-c1", "-W1", CN]).returncode == 0, "a path to cn"
    )
    capture = Capture(machines, HOSTS, directory=str(tmp_path / "capture"))
    capture.start()
    session.start(CN, MN, rate_per_s=RATE_PER_S)
    assert connection_source(machines, "mn", CN) == MN
    start = session.mark()

    def sent_each_way(count: int) -> Callable[[], bool]:
        since = session.mark().udp
        return lambda: all(
            end.sent >= since[way].sent + count for way, end in session.mark().udp.items()
        )

    size = send_acknowledgement(machines)
    wait_for(sent_each_way(100), "traffic before the move")
    quiet = session.mark()
    before = session.mark()
    moved_at_s = time.time()
    machines.configure("mn", "ip link set dev ra down")
    machines.configure(
        "ra", f"ip -6 route replace {MN} encap seg6 mode encap.red segs 2001:db8:b::1 dev dmm0"
    )
    wait_for(sent_each_way(LOST_EACH_WAY), "packets lost between the links")
    machines.configure("mn", "ip link set dev rb up")
    wait_for(sent_each_way(200), "traffic over the tunnel")
    machines.configure("cn", f"ip -6 route replace {MN} via 2001:db8:ff:1::2 dev rb")
    wait_for(sent_each_way(200), "traffic on the direct path")
    end = session.mark()
    wait_for(sent_each_way(20), "the last packets of the step to arrive")
    journals = session.journals()
    session.stop()
    collected = capture.stop(tmp_path / "captures")
    assert not any(collected.dropped.values())

    measurement = Measurement(session, journals, collected.read(), WIRING, start.at_s)
    still = measurement.step(StepRecord("still", "Nothing moves", start, quiet))
    assert still.udp is not None
    assert still.udp.lost == 0
    assert still.path.forward.before == still.path.forward.after == ("cn", "ra", "mn")
    assert still.stretch.after == 1.0

    move = MoveRecord("mn", "ra", "rb", before, moved_at_s)
    step = measurement.step(StepRecord("move", "mn moves from ra to rb", quiet, end, (move,)))
    assert step.path.forward.before == ("cn", "ra", "mn")
    assert step.path.forward.during == ("cn", "ra", "rb", "mn")
    assert step.path.forward.after == ("cn", "rb", "mn")
    assert step.path.reverse.before == ("mn", "ra", "cn")
    assert step.path.reverse.after == ("mn", "rb", "cn")
    assert step.stretch.during == 1.5
    assert step.stretch.after == 1.0
    tunnelled = next(p for p in step.path.forward.observed if p.hosts == ("cn", "ra", "rb", "mn"))
    assert [(tunnel.start, tunnel.end) for tunnel in tunnelled.tunnels] == [("ra", "rb")]
    assert step.path.forward.settled
    assert not any(observed.loop for observed in step.path.forward.observed)

    assert step.udp is not None
    assert step.udp.forward is not None
    assert step.udp.forward.lost >= LOST_EACH_WAY
    # Equation 4: what is lost of an unbuffered constant-rate stream is its rate times the gap.
    expected_gap_ms = step.udp.forward.lost * 1000 / RATE_PER_S
    assert step.udp.forward.longest_gap_ms == pytest.approx(expected_gap_ms, rel=0.2)
    assert step.tcp is not None
    assert step.tcp.intact
    assert step.tcp.survived
    assert step.tcp.bytes > 0
    assert step.tcp.longest_gap_ms >= step.udp.forward.longest_gap_ms * 0.8
    (measured,) = step.moves
    assert measured.forward_ms is not None
    assert measured.direct_ms is not None
    assert measured.forward_ms * 1.2 >= LOST_EACH_WAY * 1000 / RATE_PER_S
    assert measured.forward_ms < measured.direct_ms

    plot = gap_plot(journals, "mn", "cn", start.at_s, collected.clock_offset_s)
    assert max(point.gap_ms for point in plot.forward) == pytest.approx(
        step.udp.forward.longest_gap_ms
    )

    assert still.signalling.messages == 1
    assert still.signalling.by_type["BA"].bytes == size
    assert still.signalling.by_host["mn"].received == 1
    assert step.signalling.messages == 0
    shown = chart(measurement.messages, start.at_s)
    assert ("cn", "mn", "BA") in [(one.sender, one.receiver, one.label) for one in shown]
    assert any(one.label == "RS" and one.sender == "mn" for one in shown)
    kept = tmp_path / "signalling.pcap"
    write_capture(measurement.messages, kept)
    if shutil.which("tshark"):
        dissected = subprocess.run(
            ["tshark", "-r", kept, "-Y", "_ws.malformed || !(mipv6 || icmpv6)"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert dissected.stdout == ""


def test_a_capture_that_cannot_start_says_why(machines: NamespaceRunner, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    capture = Capture(machines, ["cn"], directory=str(blocked))
    with pytest.raises(Exception, match="cn: tcpdump"):
        capture.start()


def test_nothing_is_left_running_after_a_capture(machines: NamespaceRunner, tmp_path: Path) -> None:
    capture = Capture(machines, ["cn"], directory=str(tmp_path))
    capture.start()
    capture.stop(tmp_path / "kept")
    inside = subprocess.run(
        ["ip", "netns", "pids", "ms-cn"], capture_output=True, text=True, check=True
    )
    assert inside.stdout.split() == []
