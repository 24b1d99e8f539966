"""A TCP session in which each end sends a known byte sequence and verifies the other's."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from typing import Any

from dmm_traffic.limits import MAX_TCP_RATE_BYTES_PER_S
from dmm_traffic.streams import Direction, Journal, Pattern, Silence, Verifier

TICK_S = 0.01
"""Time between two writes; gaps shorter than this say nothing."""
CHUNK_BYTES = 1000
"""At least so many at a time, at most every tick: a slow session is few packets, not small ones."""
USER_TIMEOUT_S = 300
"""How long unacknowledged data may stay so before the kernel ends the session (RFC 5482)."""
_SEND_BUFFER_BYTES = 1 << 16
_HELLO_LIMIT_BYTES = 512
_TCP_USER_TIMEOUT = getattr(socket, "TCP_USER_TIMEOUT", 18)


class HandshakeError(Exception):
    """The other end does not speak this protocol."""


def prepare(sock: socket.socket) -> None:
    """Make a session last through outages, and keep little in flight that could hide a gap."""
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, USER_TIMEOUT_S * 1000)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)


async def send_hello(sock: socket.socket, stream: int, rate_bytes_per_s: int) -> None:
    """Say what this session is; a rate of 0 asks for an answer and nothing else."""
    hello = {"dmm-traffic": 1, "stream": stream, "rate_bytes_per_s": rate_bytes_per_s}
    await asyncio.get_running_loop().sock_sendall(sock, json.dumps(hello).encode() + b"\n")


async def receive_hello(sock: socket.socket, timeout_s: float) -> tuple[int, int]:
    """Read the other end's hello: stream and rate in bytes a second.

    Raises:
        HandshakeError: it is not one, or does not come in time.
        OSError: the connection broke.
    """
    try:
        line = await asyncio.wait_for(_read_line(sock), timeout_s)
        hello = json.loads(line)
        stream, rate = hello["stream"], hello["rate_bytes_per_s"]
        known = hello["dmm-traffic"] == 1 and isinstance(stream, int) and isinstance(rate, int)
        if not known or not 0 <= stream < 1 << 32 or not 0 <= rate <= MAX_TCP_RATE_BYTES_PER_S:
            raise HandshakeError("the other end's first line has unexpected values")
    except TimeoutError:
        raise HandshakeError(f"the other end said nothing in {timeout_s:g} s") from None
    except (ValueError, KeyError, TypeError):
        raise HandshakeError("the other end does not speak dmm-traffic 1") from None
    return stream, rate


async def _read_line(sock: socket.socket) -> bytes:
    """Read to the first newline, a byte at a time: what follows belongs to the byte stream."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = await asyncio.get_running_loop().sock_recv(sock, 1)
        if not byte or len(line) >= _HELLO_LIMIT_BYTES:
            raise ValueError("no complete first line")
        line += byte
    return bytes(line)


class TcpSession:
    """One end of an open session."""

    kind = "tcp"

    def __init__(self, sock: socket.socket, stream: int, sends: Direction, rate: int) -> None:
        self.stream = stream
        self.sends = sends
        self.rate_bytes_per_s = rate
        self.local: str = sock.getsockname()[0]
        self.peer: str = sock.getpeername()[0]
        self.sent_bytes = 0
        self.open = True
        self.error: str | None = None
        self.verifier = Verifier(Pattern(stream, sends.opposite))
        self.silence = Silence()
        self.received_journal = Journal()
        self._pattern = Pattern(stream, sends)
        self._sock = sock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to send and to verify."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Close the session; counters and journal stay."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._sock.close()

    async def _run(self) -> None:
        """Send and receive until one of them ends; the kernel tells an error only once."""
        halves = [asyncio.ensure_future(self._receive()), asyncio.ensure_future(self._send())]
        try:
            done, _ = await asyncio.wait(halves, return_when=asyncio.FIRST_COMPLETED)
            errors = [half.exception() for half in done]
            self.error = next((_reason(e) for e in errors if e), "closed by the other end")
        finally:
            self.open = False
            for half in halves:
                half.cancel()
            await asyncio.gather(*halves, return_exceptions=True)
            self._sock.close()

    async def _send(self) -> None:
        """Write a little each time; while the send buffer is full, wait and do not catch up."""
        loop = asyncio.get_running_loop()
        chunk_bytes = max(CHUNK_BYTES, round(self.rate_bytes_per_s * TICK_S))
        pause_s = chunk_bytes / self.rate_bytes_per_s
        due = time.monotonic()
        while True:
            chunk = self._pattern.at(self.sent_bytes, chunk_bytes)
            await loop.sock_sendall(self._sock, chunk)
            self.sent_bytes += len(chunk)
            due = max(due + pause_s, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    async def _receive(self) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(self._sock, 1 << 16):
            now_ns = time.time_ns()
            self.verifier.feed(data)
            self.silence.heard(now_ns)
            self.received_journal.add(self.verifier.received_bytes, now_ns)

    def report(self) -> dict[str, Any]:
        """Counters since the beginning."""
        return {
            "stream": self.stream,
            "kind": self.kind,
            "sends": self.sends.name.lower(),
            "local": self.local,
            "peer": self.peer,
            "open": self.open,
            "error": self.error,
            "rate_bytes_per_s": self.rate_bytes_per_s,
            "sent_bytes": self.sent_bytes,
            "received_bytes": self.verifier.received_bytes,
            "intact": self.verifier.corrupt_bytes == 0,
            "corrupt_bytes": self.verifier.corrupt_bytes,
            "first_corrupt_offset": self.verifier.first_corrupt_offset,
            "longest_gap_ms": self.silence.longest_ms,
        }

    def journal(self) -> dict[str, Any]:
        """Times of each arrival, as [bytes received so far, ns since 1970]."""
        return {
            "stream": self.stream,
            "kind": self.kind,
            "sends": self.sends.name.lower(),
            "sent": [],
            "received": self.received_journal.rows(),
            "forgotten": self.received_journal.forgotten,
        }


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error)
