"""Driving the traffic tool on the machines, and what it reports."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from dmm_testbed.measure.errors import MeasuringError
from dmm_testbed.measure.packets import FORWARD, PROBE_PORT, REVERSE
from dmm_testbed.measure.path import Flow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dmm_testbed.measure.runner import Runner

TOOL = "dmm-traffic"
_TIMEOUT_S = 60.0
_SERVER = "serve"
"""Name of the server's process; one serves all sessions of its machine."""
_TCP_BYTES_PER_PROBE = 500
_TCP_BYTES_PER_S = 100_000
"""At most, and with 200 probes: more probes are for finer times, not for more load."""
_Way = Literal["forward", "reverse"]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class StreamReport(_Answer):
    """Counters of one end of a stream since it began; fields of the other kind stay at zero."""

    stream: int
    kind: Literal["tcp", "udp"]
    sends: _Way
    local: str
    peer: str
    open: bool
    error: str | None = None
    sent: int = 0
    refused: int = 0
    received: int = 0
    duplicated: int = 0
    reordered: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0
    corrupt_bytes: int = 0


class StreamJournal(_Answer):
    """Times (ns since 1970) of packets: by sequence number, or for TCP by bytes so far."""

    stream: int
    kind: Literal["tcp", "udp"]
    sends: _Way
    sent: list[tuple[int, int]]
    received: list[tuple[int, int]]
    forgotten: int


_End = TypeVar("_End", StreamReport, StreamJournal)


class _ReportOfProcess(_Answer):
    name: str
    now_ns: int
    streams: list[StreamReport]


class _JournalOfProcess(_Answer):
    name: str
    streams: list[StreamJournal]


class _Reports(_Answer):
    processes: list[_ReportOfProcess]


class _Journals(_Answer):
    processes: list[_JournalOfProcess]


class Mark(BaseModel):
    """The counters of both ends of a session at one instant: steps are differences of marks."""

    model_config = ConfigDict(frozen=True)

    at_s: float
    """By the controller's clock, before the first machine was asked."""
    now_ns: dict[_Way, int]
    """By the clock of the machine that sends this way."""
    udp: dict[_Way, StreamReport] = {}
    """By the direction the end sends."""
    tcp: dict[_Way, StreamReport] = {}


class Journals(BaseModel):
    """The packet times of both ends of a session, by the direction the end sends."""

    model_config = ConfigDict(frozen=True)

    udp: dict[_Way, StreamJournal] = {}
    tcp: dict[_Way, StreamJournal] = {}


class Session:
    """Traffic between a mobile node and a correspondent (or another mobile node).

    Both run the tool; the correspondent serves. `start` begins, `mark` looks at the counters,
    `journals` collects the packet times, `stop` ends.
    """

    def __init__(
        self,
        runner: Runner,
        mobile_node: str,
        correspondent: str,
        stream: int,
        name: str | None = None,
    ) -> None:
        """Describe a session.

        Args:
            runner: reaches the machines.
            mobile_node: one end.
            correspondent: the other.
            stream: identifies its packets, below 2**32. Another number than any session had lately:
                a network may deliver what it held for a node that was away.
            name: of the client's process on the mobile node.
        """
        self.runner = runner
        self.mobile_node = mobile_node
        self.correspondent = correspondent
        self.stream = stream
        self._client = name or f"run-{stream}"
        self._serving = False

    @property
    def forward(self) -> Flow:
        """The UDP stream towards the mobile node."""
        return Flow(self.stream, FORWARD, self.correspondent, self.mobile_node)

    @property
    def reverse(self) -> Flow:
        """The UDP stream from the mobile node."""
        return Flow(self.stream, REVERSE, self.mobile_node, self.correspondent)

    def start(
        self,
        to: str,
        source: str | None = None,
        *,
        rate_per_s: float = 200.0,
        port: int = PROBE_PORT,
    ) -> None:
        """Start both ends; return when the TCP session is open and the UDP stream answered.

        Args:
            to: an address of the correspondent.
            source: an address of the mobile node; None leaves the choice to its kernel.
            rate_per_s: UDP packets a second each way; with fewer than 200 there is less of TCP too.
            port: TCP and UDP port; captures must be told if it is not the default.

        Raises:
            MeasuringError: one end does not start; its own words are in the text.
        """
        if not self._served():
            self._tool(self.correspondent, ["serve", "--background", "--port", str(port)])
            self._serving = True
        arguments = ["run", "--background", "--name", self._client, "--to", to]
        arguments += ["--port", str(port), "--stream", str(self.stream), "--rate", str(rate_per_s)]
        tcp_rate = min(_TCP_BYTES_PER_S, round(_TCP_BYTES_PER_PROBE * rate_per_s))
        arguments += ["--tcp-rate", str(tcp_rate)]
        if source is not None:
            arguments += ["--from", source]
        try:
            # One of the same name is left from a run that was killed.
            self._tool(self.mobile_node, ["stop", "--name", self._client])
            self._tool(self.mobile_node, arguments)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the client, and the server if this session started it; nothing running is fine."""
        try:
            self._tool(self.mobile_node, ["stop", "--name", self._client])
        finally:
            if self._serving:
                self._tool(self.correspondent, ["stop", "--name", _SERVER])
                self._serving = False

    def mark(self) -> Mark:
        """The counters of both ends now.

        Raises:
            MeasuringError: an end does not answer.
        """
        at_s = time.time()
        now_ns: dict[_Way, int] = {}
        found: dict[str, dict[_Way, StreamReport]] = {"udp": {}, "tcp": {}}
        for (host, _, way), text in self._both("report"):
            process = _parsed(_Reports, host, text).processes[0]
            now_ns[way] = process.now_ns
            for stream in self._own(process.streams):
                found[stream.kind][stream.sends] = stream
        return Mark(at_s=at_s, now_ns=now_ns, udp=found["udp"], tcp=found["tcp"])

    def journals(self) -> Journals:
        """The packet times of both ends so far.

        Raises:
            MeasuringError: an end does not answer.
        """
        found: dict[str, dict[_Way, StreamJournal]] = {"udp": {}, "tcp": {}}
        for (host, _, _), text in self._both("journal"):
            for stream in self._own(_parsed(_Journals, host, text).processes[0].streams):
                found[stream.kind][stream.sends] = stream
        return Journals(udp=found["udp"], tcp=found["tcp"])

    def _served(self) -> bool:
        """Whether the correspondent serves already, for another session."""
        asked = [TOOL, "report", "--name", _SERVER]
        return self.runner.run(self.correspondent, asked, timeout_s=_TIMEOUT_S).returncode == 0

    def _own(self, streams: list[_End]) -> list[_End]:
        return [stream for stream in streams if stream.stream == self.stream]

    def _ends(self) -> Sequence[tuple[str, str, _Way]]:
        return (
            (self.mobile_node, self._client, "reverse"),
            (self.correspondent, _SERVER, "forward"),
        )

    def _both(self, what: str) -> Iterator[tuple[tuple[str, str, _Way], str]]:
        """Ask both ends, at the same time."""
        ends = self._ends()
        with ThreadPoolExecutor(len(ends)) as pool:
            asked = pool.map(
                lambda end: self._tool(end[0], [what, "--json", "--name", end[1]]), ends
            )
            yield from zip(ends, list(asked), strict=True)

    def _tool(self, host: str, arguments: Sequence[str]) -> str:
        return _run(self.runner, host, arguments)


def connection_source(runner: Runner, host: str, to: str, *, port: int = PROBE_PORT) -> str:
    """Open one short connection and return the source address the kernel chose for it.

    Raises:
        MeasuringError: nobody serves there, or it cannot be reached.
    """
    return _run(runner, host, ["connect", "--to", to, "--port", str(port)]).strip()


def _run(runner: Runner, host: str, arguments: Sequence[str]) -> str:
    result = runner.run(host, [TOOL, *arguments], timeout_s=_TIMEOUT_S)
    if result.returncode:
        said = result.stderr.strip() or f"exit code {result.returncode}"
        raise MeasuringError(f"{host}: {TOOL} {arguments[0]}: {said}")
    return result.stdout


def _parsed(model: Any, host: str, text: str) -> Any:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise MeasuringError(f"{host}: {TOOL} answered with something else: {error}") from error
