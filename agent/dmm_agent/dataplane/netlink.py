"""A small synchronous netlink socket: messages in batches, acknowledgements, dumps.

Why not a netlink library: the kernel works a request off inside `send`, so there is nothing to
await, and a batch costs one system call. A route costs 13 microseconds this way;
`docs/dataplane.md` has the comparison.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Self

NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12

NLM_F_REQUEST = 0x1
NLM_F_DUMP_INTR = 0x10
NLM_F_ACK = 0x4
NLM_F_DUMP = 0x300
NLM_F_REPLACE = 0x100
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400

NLMSG_ERROR = 2
NLMSG_DONE = 3
NLM_F_ACK_TLVS = 0x200
NLMSGERR_ATTR_MSG = 1

SOL_NETLINK = 270
NETLINK_CAP_ACK = 10
NETLINK_EXT_ACK = 11
NETLINK_GET_STRICT_CHK = 12

ATTRIBUTE_TYPE_MASK = 0x3FFF
NESTED = 0x8000

BATCH_SIZE = 64
"""Most messages in one `send`; their acknowledgements fit the receive buffer with room to spare."""
MEMORY_RETRIES = 100
MEMORY_RETRY_AFTER_S = 0.005
ANSWER_TIMEOUT_S = 5.0
RECEIVE_SIZE = 1 << 17

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_ERROR = struct.Struct("=i")


@dataclass(frozen=True, slots=True)
class Request:
    """One netlink message without its header's length, sequence and port."""

    type: int
    flags: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """How the kernel answered a request: `errno` is 0 for success."""

    errno: int
    detail: str = ""

    def __str__(self) -> str:
        reason = os.strerror(self.errno) if self.errno else "done"
        return f"{reason} ({self.detail})" if self.detail else reason


class NetlinkError(Exception):
    """The kernel refused a dump or gave no answer; `errno` says why, 0 if nobody knows."""

    def __init__(self, sentence: str, number: int = 0) -> None:
        super().__init__(sentence)
        self.errno = number


class DumpInterruptedError(NetlinkError):
    """What was listed changed meanwhile, so the list may lack something."""


def attribute(kind: int, value: bytes) -> bytes:
    """One netlink attribute with its padding."""
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)


def attribute_u32(kind: int, value: int) -> bytes:
    """An attribute that holds a 32-bit number in host order."""
    return attribute(kind, struct.pack("=I", value))


def attributes(data: bytes) -> dict[int, bytes]:
    """All attributes in `data` by type, flags taken off; a broken tail is ignored."""
    found: dict[int, bytes] = {}
    offset = 0
    while offset + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4 or offset + length > len(data):
            break
        found[kind & ATTRIBUTE_TYPE_MASK] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


def messages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Each message in a datagram as (type, flags, sequence, body); a broken tail is ignored."""
    offset = 0
    while offset + 16 <= len(data):
        length, kind, flags, sequence, _port = _HEADER.unpack_from(data, offset)
        if length < 16 or offset + length > len(data):
            break
        yield kind, flags, sequence, data[offset + 16 : offset + length]
        offset += (length + 3) & ~3


class Netlink:
    """A netlink socket for requests; each call returns when the kernel has done the work."""

    def __init__(self, family: int = NETLINK_ROUTE) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family
        )
        self._socket.bind((0, 0))
        self._socket.settimeout(ANSWER_TIMEOUT_S)
        for option in (NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK):
            self._socket.setsockopt(SOL_NETLINK, option, 1)
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def transact(self, requests: Sequence[Request]) -> list[Answer]:
        """Have the kernel do the requests in order; a refused one does not stop the next.

        But from one that it has no memory for it is asked again, for less than a second in all, so
        requests may be done twice. A route that encapsulates has memory of each processor, of which
        the kernel has little at hand: after some thousand routes it needs a moment to get more.

        Raises:
            NetlinkError: the kernel gave no answer.
        """
        answers: list[Answer] = []
        retries = MEMORY_RETRIES
        while len(answers) < len(requests):
            start = len(answers)
            batch = self._transact_batch(requests[start : start + BATCH_SIZE])
            short = [place for place, one in enumerate(batch) if one.errno == errno.ENOMEM]
            if short and retries:
                retries -= 1
                time.sleep(MEMORY_RETRY_AFTER_S)
                del batch[short[0] :]
            answers += batch
        return answers

    def _transact_batch(self, requests: Sequence[Request]) -> list[Answer]:
        first = self._sequence + 1
        self._send([Request(r.type, r.flags | NLM_F_ACK, r.body) for r in requests])
        answers: dict[int, Answer] = {}
        while len(answers) < len(requests):
            for kind, flags, sequence, body in messages(self._receive()):
                if kind == NLMSG_ERROR and sequence >= first:
                    answers[sequence] = _answer(flags, body)
        return [answers[sequence] for sequence in sorted(answers)]

    def dump(self, kind: int, header: bytes) -> list[bytes]:
        """The bodies of everything the kernel lists for a request of type `kind`.

        Raises:
            NetlinkError: the kernel refused, or gave no answer.
        """
        bodies: list[bytes] = []
        with suppress(DumpInterruptedError):
            bodies.extend(self.walk(kind, header))
        return bodies

    def walk(self, kind: int, header: bytes) -> Iterator[bytes]:
        """The same one after the other, so that a long list takes no memory.

        Whoever stops before the end must close this socket: the rest is still to come.

        Raises:
            DumpInterruptedError: the list changed while it was read (after the last body).
            NetlinkError: the kernel refused, or gave no answer.
        """
        self._send([Request(kind, NLM_F_DUMP, header)])
        wanted = self._sequence
        interrupted = False
        while True:
            for answer, flags, sequence, body in messages(self._receive()):
                if sequence != wanted:
                    continue
                interrupted |= bool(flags & NLM_F_DUMP_INTR)
                if answer in (NLMSG_DONE, NLMSG_ERROR):
                    _check_end(flags, body)
                    if interrupted:
                        raise DumpInterruptedError("what was listed changed meanwhile")
                    return
                yield body

    def get(self, kind: int, body: bytes) -> bytes | None:
        """The body of the one thing asked for, None if there is no such thing.

        Raises:
            NetlinkError: the kernel gave no answer.
        """
        self._send([Request(kind, 0, body)])
        while True:
            for answer, _flags, sequence, answered in messages(self._receive()):
                if sequence == self._sequence:
                    return None if answer == NLMSG_ERROR else answered

    def _send(self, requests: Sequence[Request]) -> None:
        parts: list[bytes] = []
        for request in requests:
            self._sequence += 1
            flags = request.flags | NLM_F_REQUEST
            parts.append(
                _HEADER.pack(16 + len(request.body), request.type, flags, self._sequence, 0)
                + request.body
                + bytes(-len(request.body) % 4)
            )
        self._socket.send(b"".join(parts))

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(RECEIVE_SIZE)
        except OSError as error:
            raise NetlinkError(f"the kernel gave no answer: {error}") from error


def _check_end(flags: int, body: bytes) -> None:
    """Both ends of a dump say how it went, by the same number."""
    answer = _answer(flags, body)
    if answer.errno:
        raise NetlinkError(f"the kernel refused to list: {answer}", answer.errno)


def _answer(flags: int, body: bytes) -> Answer:
    (error,) = _ERROR.unpack_from(body)
    detail = ""
    if flags & NLM_F_ACK_TLVS:
        text = attributes(body[20:]).get(NLMSGERR_ATTR_MSG, b"")
        detail = text.rstrip(b"\0").decode("ascii", "replace")
    return Answer(-error, detail)
