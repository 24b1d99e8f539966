"""Capturing on every machine at once: start tcpdump, wait until it listens, collect the files.

All machines are dealt with side by side, and each with few commands: one may take half a second.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, TypeVar

from dmm_testbed.measure.clocks import Bounds, bounds, offsets_s
from dmm_testbed.measure.errors import MeasuringError
from dmm_testbed.measure.packets import (
    PROBE_PORT,
    Interfaces,
    Sightings,
    merge,
    read_capture,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from dmm_testbed.measure.packets import Probe, Signal
    from dmm_testbed.measure.runner import Runner, Started

_T = TypeVar("_T")

SNAPLEN_BYTES = 2048
"""Whole signalling messages; probes are small, and nothing else is captured."""
MAX_PACKETS = 2_000_000
"""Where a forgotten capture ends by itself: a few hundred megabytes."""
DIRECTORY = "/var/cache/dmm-capture"
"""On a disk: `/run` of a small machine holds two minutes of packets."""

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 60.0
_BUFFER_KIB = 8192
_AT_ONCE = 8

_CAPTURE = (
    'mkdir -p "$1"; rm -f "$2.pcap"; echo "$$ $7" > "$2.pid"; exec tcpdump -i any -y LINUX_SLL2 '
    '-n -U --immediate-mode -Z root -s "$3" -B "$4" -c "$5" -w "$2.pcap" "$6" 2> "$2.log"'
)
"""Leaves its process number, and a word that says which capture it is, and becomes tcpdump.

Immediate mode, or packets of the last second would stay in the kernel's ring when it stops; as
root, because the folder is root's.
"""
_LISTENING = """
n=0
while [ $n -lt 40 ]; do
    if read -r pid word < "$1.pid" && [ "$word" = "$2" ]; then
        if [ -s "$1.pcap" ] && addresses=$(ip -json address show); then
            printf '%s' "$addresses"
            exit 0
        fi
        kill -0 "$pid" || exit 1
    fi 2> /dev/null
    n=$((n + 1))
    sleep 0.05
done
exit 2
"""
"""Looks for two seconds whether that capture has a file: tcpdump writes its header, all at once, as
soon as its socket and filter stand. Then tells the machine's addresses, which takes another look if
one changed meanwhile; ends with 1 if tcpdump has ended, with 2 if it is not so far."""
_ENDED = 1
_INTERRUPT = 'read -r pid _ < "$1.pid" && kill -INT "$pid"'
_AFTERWARDS = 'rm "$1.pcap" && ip -json address show && cat "$1.log"'


def capture_filter(probe_port: int = PROBE_PORT) -> str:
    """The packets worth keeping, as a filter that runs in the kernel.

    `ip6 protochain` would need loops, which the kernel's filter has not, so the offsets are
    spelled out: byte 6 of an IPv6 packet is its next header, byte 46 that of an inner packet.
    """
    mobility = "ip6[6] == 135 or (ip6[6] == 41 and ip6[46] == 135)"
    # Anything behind a routing or destination options header is rare here; the reader sorts it out.
    extended = "ip6[6] == 43 or ip6[6] == 60 or (ip6[6] == 0 and ip6[40] == 135)"
    port = probe_port
    plain = f"ip6[6] == 17 and (ip6[40:2] == {port} or ip6[42:2] == {port})"
    inner = f"ip6[46] == 17 and (ip6[80:2] == {port} or ip6[82:2] == {port})"
    tunnelled = f"ip6[6] == 41 and {inner}"
    discovery = "ip6[6] == 58 and ip6[40] >= 133 and ip6[40] <= 136"
    return f"ip6 and ({mobility} or {extended} or ({plain}) or ({tunnelled}) or ({discovery}))"


@dataclass(frozen=True, slots=True)
class Collected:
    """The captures of a run, on the controller."""

    files: dict[str, Path]
    interfaces: dict[str, Interfaces]
    clock_offset_s: dict[str, float]
    dropped: dict[str, int]
    """Packets that a kernel could not hand over in time; paths may miss machines then."""

    def read(self) -> Sightings:
        """Read them all.

        Raises:
            MeasuringError: one of them is not a capture.
        """
        return merge(
            (host, self.interfaces[host], self._read_one(host, path))
            for host, path in self.files.items()
        )

    def _read_one(self, host: str, path: Path) -> tuple[list[Probe], list[Signal]]:
        return read_capture(path, host, self.interfaces[host], self.clock_offset_s[host])


@dataclass(slots=True)
class Capture:
    """tcpdump on a set of machines."""

    runner: Runner
    hosts: Sequence[str]
    directory: str = DIRECTORY
    """On the machines."""
    _processes: dict[str, Started] = field(default_factory=dict)
    _interfaces: dict[str, Interfaces] = field(default_factory=dict)
    _word: str = field(default_factory=lambda: uuid.uuid4().hex)

    def start(self) -> None:
        """Start on all machines; return when every one of them captures.

        Raises:
            MeasuringError: one does not start; those that did are stopped.
        """
        try:
            self._interfaces = self._on_each(self.hosts, self._start)
        except BaseException:
            self.abandon()
            raise

    def stop(self, into: Path) -> Collected:
        """Stop, and copy the captures to `into` as HOST.pcap.

        Raises:
            MeasuringError: a capture ended by itself, or does not stop.
        """
        ended = [host for host, process in self._processes.items() if process.poll() is not None]
        logs = {host: self._log(host) for host in ended}
        self.abandon()
        if ended:
            host = ended[0]
            raise MeasuringError(f"{host}: tcpdump ended before it was stopped: {logs[host]}")
        into.mkdir(parents=True, exist_ok=True)
        found = self._on_each(self.hosts, lambda host: self._collect(host, into / f"{host}.pcap"))
        return Collected(
            files={host: into / f"{host}.pcap" for host in self.hosts},
            interfaces={host: found[host][0] for host in self.hosts},
            clock_offset_s=offsets_s({host: found[host][2] for host in self.hosts}),
            dropped={host: found[host][1] for host in self.hosts},
        )

    def abandon(self) -> None:
        """Stop whatever runs, and leave the files where they are.

        Raises:
            MeasuringError: a tcpdump does not stop.
        """
        going = [host for host, process in self._processes.items() if process.poll() is None]
        deadline_s = time.monotonic() + _STOP_TIMEOUT_S
        stuck = []
        try:
            self._on_each(going, self._interrupt)
        finally:
            for host, process in self._processes.items():
                try:
                    process.wait(max(0.0, deadline_s - time.monotonic()))
                except subprocess.TimeoutExpired:
                    process.kill()
                    stuck.append(host)
            self._processes.clear()
        if stuck:
            raise MeasuringError(f"tcpdump does not stop on {', '.join(stuck)}")

    def _start(self, host: str) -> Interfaces:
        """Start on one machine; return its addresses when it captures."""
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        self._processes[host] = self.runner.start(host, self._command(host))
        look = ["sh", "-c", _LISTENING, "listening", self._base(host), self._word]
        while True:
            looked = self.runner.run(host, look)
            if looked.returncode == 0:
                return _interfaces(looked.stdout)
            if looked.returncode == _ENDED or self._processes[host].poll() is not None:
                raise MeasuringError(f"{host}: tcpdump does not start: {self._log(host)}")
            if time.monotonic() > deadline_s:
                raise MeasuringError(f"{host}: tcpdump captures nothing: {self._log(host)}")

    def _command(self, host: str) -> list[str]:
        numbers = [str(number) for number in (SNAPLEN_BYTES, _BUFFER_KIB, MAX_PACKETS)]
        arguments = [self.directory, self._base(host), *numbers, capture_filter(), self._word]
        return ["sh", "-c", _CAPTURE, "capture", *arguments]

    def _interrupt(self, host: str) -> None:
        self.runner.run(host, ["sh", "-c", _INTERRUPT, "interrupt", self._base(host)])

    def _collect(self, host: str, path: Path) -> tuple[Interfaces, int, Bounds]:
        """Copy one capture; gives all addresses of the machine, drops, and bounds of its clock."""
        path.write_bytes(self.runner.read_file(host, f"{self._base(host)}.pcap"))
        told = self.runner.run(host, ["sh", "-c", _AFTERWARDS, "afterwards", self._base(host)])
        if told.returncode:
            raise MeasuringError(f"{host}: no addresses, or no log: {told.stderr.strip()}")
        shown, _, log = told.stdout.partition("\n")
        before, now = self._interfaces[host], _interfaces(shown)
        every = Interfaces({**before.names, **now.names}, before.addresses | now.addresses)
        return every, _dropped(log), bounds(self.runner, host)

    def _base(self, host: str) -> str:
        return f"{self.directory}/{host}"

    def _log(self, host: str) -> str:
        try:
            log = self.runner.read_file(host, f"{self._base(host)}.log")
            return log.decode(errors="replace").strip()
        except OSError as error:
            return f"no log: {error}"

    def _on_each(self, hosts: Sequence[str], do: Callable[[str], _T]) -> dict[str, _T]:
        """Do it on several machines side by side; raises what one raised, when all are through."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return dict(zip(hosts, list(pool.map(do, hosts)), strict=True))


def _interfaces(shown: str) -> Interfaces:
    """From what `ip -json address show` says."""
    links = json.loads(shown)
    return Interfaces(
        names={link["ifindex"]: link["ifname"] for link in links},
        addresses=frozenset(
            IPv6Address(entry["local"]).packed
            for link in links
            for entry in link.get("addr_info", ())
            if entry["family"] == "inet6" and entry["scope"] == "global"
        ),
    )


def _dropped(log: str) -> int:
    found = re.search(r"(\d+) packets? dropped by kernel", log)
    return int(found[1]) if found else 0
