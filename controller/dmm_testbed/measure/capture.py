"""Capturing on every machine at once: start tcpdump, wait until it listens, collect the files."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from dmm_testbed.measure.errors import MeasuringError
from dmm_testbed.measure.packets import (
    PROBE_PORT,
    Interfaces,
    Sightings,
    merge,
    read_capture,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dmm_testbed.measure.packets import Probe, Signal
    from dmm_testbed.measure.runner import Runner

SNAPLEN_BYTES = 2048
"""Whole signalling messages; probes are small, and nothing else is captured."""
MAX_PACKETS = 2_000_000
"""Where a forgotten capture ends by itself: a few hundred megabytes."""
DIRECTORY = "/run/dmm-capture"

_PCAP_HEADER_BYTES = 24
_START_TIMEOUT_S = 15.0
_STOP_TIMEOUT_S = 15.0
_POLL_S = 0.05
_BUFFER_KIB = 8192


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
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _interfaces: dict[str, Interfaces] = field(default_factory=dict)

    def start(self) -> None:
        """Start on all machines; return when every one of them captures.

        Raises:
            MeasuringError: one does not start; those that did are stopped.
        """
        try:
            for host in self.hosts:
                self._interfaces[host] = interfaces(self.runner, host)
                self._processes[host] = self.runner.start(host, self._command(host))
            deadline_s = time.monotonic() + _START_TIMEOUT_S
            for host in self.hosts:
                self._await_listening(host, deadline_s)
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
        collected = Collected({}, {}, {}, {})
        for host in self.hosts:
            path = into / f"{host}.pcap"
            path.write_bytes(self.runner.read_file(host, self._path(host, "pcap")))
            now = interfaces(self.runner, host)
            before = self._interfaces[host]
            collected.files[host] = path
            collected.interfaces[host] = Interfaces(
                {**before.names, **now.names}, before.addresses | now.addresses
            )
            collected.clock_offset_s[host] = clock_offset_s(self.runner, host)
            collected.dropped[host] = _dropped(self._log(host))
        return collected

    def abandon(self) -> None:
        """Stop whatever runs, and leave the files where they are.

        Raises:
            MeasuringError: a tcpdump does not stop.
        """
        for host, process in self._processes.items():
            if process.poll() is None:
                interrupt = ["sh", "-c", 'kill -INT "$(cat "$1")"', "-", self._path(host, "pid")]
                self.runner.run(host, interrupt)
        deadline_s = time.monotonic() + _STOP_TIMEOUT_S
        stuck = []
        for host, process in self._processes.items():
            try:
                process.wait(max(0.0, deadline_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                stuck.append(host)
        self._processes.clear()
        if stuck:
            raise MeasuringError(f"tcpdump does not stop on {', '.join(stuck)}")

    def _command(self, host: str) -> list[str]:
        """A shell that leaves its process number and becomes tcpdump.

        Immediate mode, or packets of the last second would stay in the kernel's ring when it stops;
        as root, because the folder is root's.
        """
        script = (
            'mkdir -p "$1"; rm -f "$2.pcap"; echo $$ > "$2.pid"; exec tcpdump -i any -y LINUX_SLL2 '
            '-n -U --immediate-mode -Z root -s "$3" -B "$4" -c "$5" -w "$2.pcap" "$6" 2> "$2.log"'
        )
        numbers = [str(number) for number in (SNAPLEN_BYTES, _BUFFER_KIB, MAX_PACKETS)]
        base = f"{self.directory}/{host}"
        return ["sh", "-c", script, "capture", self.directory, base, *numbers, capture_filter()]

    def _path(self, host: str, suffix: str) -> str:
        return f"{self.directory}/{host}.{suffix}"

    def _log(self, host: str) -> str:
        try:
            return self.runner.read_file(host, self._path(host, "log")).decode(errors="replace")
        except OSError as error:
            return f"no log: {error}"

    def _await_listening(self, host: str, deadline_s: float) -> None:
        """Wait for the file's header, which tcpdump writes once its socket and filter stand."""
        while True:
            with contextlib.suppress(OSError):
                if len(self.runner.read_file(host, self._path(host, "pcap"))) >= _PCAP_HEADER_BYTES:
                    return
            if self._processes[host].poll() is not None:
                raise MeasuringError(f"{host}: tcpdump does not start: {self._log(host)}")
            if time.monotonic() > deadline_s:
                raise MeasuringError(f"{host}: tcpdump captures nothing: {self._log(host)}")
            time.sleep(_POLL_S)


def interfaces(runner: Runner, host: str) -> Interfaces:
    """The interfaces and addresses a machine has now.

    Raises:
        MeasuringError: the machine does not say.
    """
    result = runner.run(host, ["ip", "-json", "address", "show"])
    if result.returncode:
        raise MeasuringError(f"{host}: ip address show: {result.stderr.strip()}")
    links = json.loads(result.stdout)
    return Interfaces(
        names={link["ifindex"]: link["ifname"] for link in links},
        addresses=frozenset(
            IPv6Address(entry["local"]).packed
            for link in links
            for entry in link.get("addr_info", ())
            if entry["family"] == "inet6" and entry["scope"] == "global"
        ),
    )


def clock_offset_s(runner: Runner, host: str) -> float:
    """How far the machine's clock is ahead of this one's; 0 if it may well be the same clock.

    The machine's answer lies somewhere within the round trip, so an offset smaller than that says
    nothing: namespace machines share this kernel's clock.
    """
    asked_s = time.time()
    said_s = int(runner.run(host, ["date", "+%s%N"]).stdout) / 1e9
    answered_s = time.time()
    if asked_s - 0.001 <= said_s <= answered_s + 0.001:
        return 0.0
    return said_s - (asked_s + answered_s) / 2


def _dropped(log: str) -> int:
    found = re.search(r"(\d+) packets? dropped by kernel", log)
    return int(found[1]) if found else 0
