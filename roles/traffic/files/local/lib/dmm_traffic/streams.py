"""What both kinds of stream share: deterministic bytes, counters, and bounded journals of times."""

from __future__ import annotations

import hashlib
from array import array
from enum import IntEnum

JOURNAL_ENTRIES = 1 << 17
"""Packets remembered a stream and direction: eleven minutes at 200 packets a second."""

MISSING_LIMIT = 1 << 16
"""Sequence numbers remembered as missing; older ones stay lost even if they still turn up."""

_BLOCK_BYTES = 64


class Direction(IntEnum):
    """Which way a stream flows, as its packets say it."""

    FORWARD = 1
    """From the server to the client."""
    REVERSE = 2
    """From the client to the server."""

    @property
    def opposite(self) -> Direction:
        """The other way."""
        return Direction.REVERSE if self is Direction.FORWARD else Direction.FORWARD


class Pattern:
    """An endless byte sequence that both ends can compute, another one for each stream and way."""

    def __init__(self, stream: int, direction: Direction) -> None:
        self._key = stream.to_bytes(8, "big") + bytes([direction])

    def at(self, offset: int, length: int) -> bytes:
        """The `length` bytes from `offset` on."""
        first, skip = divmod(offset, _BLOCK_BYTES)
        last = (offset + length + _BLOCK_BYTES - 1) // _BLOCK_BYTES
        blocks = (
            hashlib.blake2b(number.to_bytes(8, "big"), key=self._key).digest()
            for number in range(first, last)
        )
        return b"".join(blocks)[skip : skip + length]


class Verifier:
    """Compares a received byte stream with its pattern, byte for byte."""

    def __init__(self, pattern: Pattern) -> None:
        self._pattern = pattern
        self.received_bytes = 0
        self.corrupt_bytes = 0
        self.first_corrupt_offset: int | None = None

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        expected = self._pattern.at(self.received_bytes, len(data))
        if data != expected:
            wrong = [i for i, (a, b) in enumerate(zip(data, expected, strict=True)) if a != b]
            self.corrupt_bytes += len(wrong)
            if self.first_corrupt_offset is None:
                self.first_corrupt_offset = self.received_bytes + wrong[0]
        self.received_bytes += len(data)


class Journal:
    """A bounded list of (number, time in ns since 1970); when full, the oldest entries go."""

    def __init__(self, capacity: int = JOURNAL_ENTRIES) -> None:
        self._capacity = capacity
        self._numbers = array("Q")
        self._times = array("Q")
        self._oldest = 0
        self.forgotten = 0

    def add(self, number: int, time_ns: int) -> None:
        """Append an entry."""
        if len(self._numbers) < self._capacity:
            self._numbers.append(number)
            self._times.append(time_ns)
            return
        self._numbers[self._oldest] = number
        self._times[self._oldest] = time_ns
        self._oldest = (self._oldest + 1) % self._capacity
        self.forgotten += 1

    def rows(self) -> list[tuple[int, int]]:
        """All entries, oldest first."""
        rows = list(zip(self._numbers, self._times, strict=True))
        return rows[self._oldest :] + rows[: self._oldest]


class Silence:
    """The longest time between two arrivals."""

    def __init__(self) -> None:
        self.longest_ns = 0
        self._last_ns: int | None = None

    def heard(self, time_ns: int) -> None:
        """Something arrived."""
        if self._last_ns is not None:
            self.longest_ns = max(self.longest_ns, time_ns - self._last_ns)
        self._last_ns = time_ns

    @property
    def longest_ms(self) -> float:
        """The longest gap that has ended, in milliseconds."""
        return self.longest_ns / 1e6


class Arrivals:
    """Counts numbered packets: how many distinct ones arrived, came twice, or came late."""

    def __init__(self) -> None:
        self.received = 0
        self.duplicated = 0
        self.reordered = 0
        self.next_expected = 0
        self._missing: dict[int, None] = {}

    def count(self, sequence: int) -> None:
        """Take the sequence number of a packet; reordering is as RFC 4737, section 3.3."""
        if sequence >= self.next_expected:
            first = max(self.next_expected, sequence - MISSING_LIMIT)
            self._missing.update(dict.fromkeys(range(first, sequence)))
            self.next_expected = sequence + 1
        elif sequence in self._missing:
            del self._missing[sequence]
            self.reordered += 1
        else:
            self.duplicated += 1
            return
        self.received += 1
        while len(self._missing) > MISSING_LIMIT:
            del self._missing[next(iter(self._missing))]
