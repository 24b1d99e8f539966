"""A numbered UDP stream at a constant rate in each direction."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from dmm_traffic.limits import MAX_PAYLOAD_BYTES, MAX_UDP_RATE_PER_S, MIN_PAYLOAD_BYTES
from dmm_traffic.streams import Arrivals, Direction, Journal, Silence

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

MAGIC = b"DMMp"
VERSION = 1
DATA, HELLO, WELCOME, BYE = range(4)

HEADER = struct.Struct("!4sBBBxIQQ")
"""Magic, version, kind, direction, padding, stream, sequence number, time sent (ns since 1970)."""

_OFFER = struct.Struct("!dH")
"""In a hello: packets a second and payload bytes that the client asks for."""


_HELLO_INTERVAL_S = 0.25
_STALL_S = 1.0
_SO_TIMESTAMPNS = getattr(socket, "SO_TIMESTAMPNS", 35)
"""35 on every architecture Linux runs on but SPARC and PA-RISC; Python 3.11 has no name for it."""
_RECEIVE_BUFFER_BYTES = 1 << 20


class Packet(NamedTuple):
    """One decoded packet."""

    kind: int
    direction: Direction
    stream: int
    sequence: int
    sent_ns: int
    body: bytes


def decode(data: bytes) -> Packet | None:
    """Read a packet; None if it is not one of ours."""
    if len(data) < HEADER.size:
        return None
    magic, version, kind, direction, stream, sequence, sent_ns = HEADER.unpack_from(data)
    if magic != MAGIC or version != VERSION or direction not in (1, 2) or sequence >> 48:
        return None
    return Packet(kind, Direction(direction), stream, sequence, sent_ns, data[HEADER.size :])


def offer(rate_per_s: float, payload_bytes: int) -> bytes:
    """The body of a hello."""
    return _OFFER.pack(rate_per_s, payload_bytes)


def read_offer(body: bytes) -> tuple[float, int] | None:
    """Packets a second and payload bytes of a hello; None if they are not acceptable."""
    if len(body) < _OFFER.size:
        return None
    rate_per_s, payload_bytes = _OFFER.unpack_from(body)
    acceptable = (
        0 < rate_per_s <= MAX_UDP_RATE_PER_S
        and MIN_PAYLOAD_BYTES <= payload_bytes <= MAX_PAYLOAD_BYTES
    )
    return (rate_per_s, payload_bytes) if acceptable else None


def prepare(sock: socket.socket) -> None:
    """Set what every socket here needs: the kernel's receive times, and room for a busy host."""
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)


def received_ns(ancillary: list[tuple[int, int, bytes]]) -> int:
    """When the kernel took the packet in (ns since 1970); the time now if it did not say."""
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(data) >= 16:
            seconds, nanoseconds = struct.unpack("@qq", data[:16])
            return int(seconds * 1_000_000_000 + nanoseconds)
    return time.time_ns()


class UdpStream:
    """One end of a stream: sends one direction at a constant rate, counts the other."""

    kind = "udp"

    def __init__(
        self,
        stream: int,
        sends: Direction,
        transmit: Callable[[bytes], Any],
        local: str,
        peer: str,
        rate_per_s: float,
        payload_bytes: int,
    ) -> None:
        self.stream = stream
        self.sends = sends
        self.local = local
        self.peer = peer
        self.rate_per_s = rate_per_s
        self.payload_bytes = payload_bytes
        self.sent = 0
        self.refused = 0
        self.arrivals = Arrivals()
        self.silence = Silence()
        self.sent_journal = Journal()
        self.received_journal = Journal()
        self.heard_at_s = time.monotonic()
        self.open = True
        self.transmit = transmit
        self._task: asyncio.Task[None] | None = None

    def packet(self, kind: int, sequence: int = 0, body: bytes = b"") -> bytes:
        """A packet of this stream, padded to its size."""
        header = HEADER.pack(
            MAGIC, VERSION, kind, self.sends, self.stream, sequence, time.time_ns()
        )
        return (header + body).ljust(self.payload_bytes, b"\0")

    def take(self, packet: Packet, time_ns: int) -> None:
        """Count a data packet of the direction this end receives."""
        if packet.direction is self.sends:
            return
        self.heard_at_s = time.monotonic()
        self.arrivals.count(packet.sequence)
        self.silence.heard(time_ns)
        self.received_journal.add(packet.sequence, time_ns)

    def start(self) -> None:
        """Begin to send; calling it again changes nothing."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._pace())

    def stop(self) -> None:
        """Stop sending; counters and journals stay."""
        self.open = False
        if self._task is not None:
            self._task.cancel()

    async def _pace(self) -> None:
        interval_s = 1 / self.rate_per_s
        due = time.monotonic()
        while True:
            now = time.monotonic()
            if now - due > _STALL_S:  # this process was stopped: what was missed is not made up for
                due = now
            while due <= now:
                self._send_next()
                due += interval_s
            await asyncio.sleep(due - now)

    def _send_next(self) -> None:
        """Send the packet that is due; one the kernel refuses has used its number all the same."""
        packet = self.packet(DATA, self.sent)
        self.sent_journal.add(self.sent, time.time_ns())
        self.sent += 1
        try:
            self.transmit(packet)
        except OSError:
            self.refused += 1

    def report(self) -> dict[str, Any]:
        """Counters since the beginning."""
        return {
            "stream": self.stream,
            "kind": self.kind,
            "sends": self.sends.name.lower(),
            "local": self.local,
            "peer": self.peer,
            "open": self.open,
            "error": None,
            "rate_per_s": self.rate_per_s,
            "sent": self.sent,
            "refused": self.refused,
            "received": self.arrivals.received,
            "duplicated": self.arrivals.duplicated,
            "reordered": self.arrivals.reordered,
            "next_expected": self.arrivals.next_expected,
            "longest_gap_ms": self.silence.longest_ms,
        }

    def journal(self) -> dict[str, Any]:
        """Times of each packet sent and received, as [sequence, ns since 1970]."""
        return {
            "stream": self.stream,
            "kind": self.kind,
            "sends": self.sends.name.lower(),
            "sent": self.sent_journal.rows(),
            "received": self.received_journal.rows(),
            "forgotten": self.sent_journal.forgotten + self.received_journal.forgotten,
        }


async def greet(stream: UdpStream, welcomed: Awaitable[None], timeout_s: float) -> None:
    """Say hello until the server answers.

    Raises:
        TimeoutError: no answer within `timeout_s`.
        OSError: the kernel has no route or no such source address.
    """
    body = offer(stream.rate_per_s, stream.payload_bytes)
    answer = asyncio.ensure_future(welcomed)
    deadline = time.monotonic() + timeout_s
    while not answer.done():
        if time.monotonic() > deadline:
            answer.cancel()
            raise TimeoutError(f"no answer in {timeout_s:g} s")
        stream.transmit(stream.packet(HELLO, body=body))
        await asyncio.wait([answer], timeout=_HELLO_INTERVAL_S)
    answer.result()


def say_bye(stream: UdpStream) -> None:
    """Tell the other end that the stream is over, as far as the network carries it."""
    with contextlib.suppress(OSError):
        stream.transmit(stream.packet(BYE))
