"""The parts of the traffic tool that need no network."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[3] / "roles/traffic/files/local/lib"))

from dmm_traffic import limits, streams, udp
from dmm_traffic.streams import Arrivals, Direction, Journal, Pattern, Silence, Verifier


@given(st.integers(0, 10_000), st.lists(st.integers(0, 300), max_size=5))
def test_the_pattern_is_one_sequence_however_it_is_cut(start: int, lengths: list[int]) -> None:
    pattern = Pattern(7, Direction.FORWARD)
    offset, pieces = start, b""
    for length in lengths:
        pieces += pattern.at(offset, length)
        offset += length
    assert pieces == pattern.at(start, sum(lengths))


def test_streams_and_directions_have_patterns_of_their_own() -> None:
    ways = [(1, Direction.FORWARD), (1, Direction.REVERSE), (2, Direction.FORWARD)]
    assert len({Pattern(*way).at(0, 32) for way in ways}) == 3


@given(st.integers(0, 4999), st.integers(1, 255), st.integers(1, 1000))
def test_one_wrong_bit_anywhere_is_found(position: int, flip: int, piece: int) -> None:
    pattern = Pattern(7, Direction.FORWARD)
    data = bytearray(pattern.at(0, 5000))
    data[position] ^= flip
    verifier = Verifier(pattern)
    for start in range(0, len(data), piece):
        verifier.feed(bytes(data[start : start + piece]))
    assert verifier.received_bytes == 5000
    assert verifier.corrupt_bytes == 1
    assert verifier.first_corrupt_offset == position


def test_a_missing_byte_is_found() -> None:
    pattern = Pattern(7, Direction.FORWARD)
    verifier = Verifier(pattern)
    verifier.feed(pattern.at(0, 100) + pattern.at(101, 100))
    assert verifier.first_corrupt_offset == 100


def test_arrivals_are_told_apart() -> None:
    arrivals = Arrivals()
    for sequence in (0, 1, 4, 2, 2, 0, 5):
        arrivals.count(sequence)
    assert arrivals.received == 5
    assert arrivals.duplicated == 2
    assert arrivals.reordered == 1
    assert arrivals.next_expected == 6


@given(st.permutations(range(20)))
def test_each_packet_counts_once_in_any_order(order: list[int]) -> None:
    arrivals = Arrivals()
    for sequence in [*order, *order]:
        arrivals.count(sequence)
    assert (arrivals.received, arrivals.duplicated) == (20, 20)


def test_a_leap_of_sequence_numbers_costs_bounded_memory() -> None:
    arrivals = Arrivals()
    for sequence in (0, 1 << 40, 1 << 41):
        arrivals.count(sequence)
    assert len(arrivals._missing) <= streams.MISSING_LIMIT
    assert arrivals.received == 3


def test_a_full_journal_forgets_the_oldest() -> None:
    journal = Journal(capacity=3)
    for number in range(5):
        journal.add(number, number * 10)
    assert journal.rows() == [(2, 20), (3, 30), (4, 40)]
    assert journal.forgotten == 2


def test_the_longest_silence_is_between_arrivals() -> None:
    silence = Silence()
    for at_ms in (100, 105, 300, 310):
        silence.heard(at_ms * 1_000_000)
    assert silence.longest_ms == pytest.approx(195)


@given(st.binary(max_size=80))
def test_any_datagram_is_a_packet_or_none(data: bytes) -> None:
    packet = udp.decode(data)
    assert packet is None or data.startswith(udp.MAGIC)


@pytest.mark.parametrize(
    "body", [b"", udp.offer(0, 64), udp.offer(1e9, 64), udp.offer(200, 9000), udp.offer(200, 1)]
)
def test_an_unreasonable_offer_is_not_taken(body: bytes) -> None:
    assert udp.read_offer(body) is None


def test_a_reasonable_offer_is_taken() -> None:
    assert udp.read_offer(udp.offer(200, 64) + b"padding") == (200.0, 64)


def test_not_a_number_is_no_rate() -> None:
    assert udp.read_offer(udp.offer(float("nan"), 64)) is None


def test_the_smallest_payload_holds_a_header_and_an_offer() -> None:
    assert udp.HEADER.size + len(udp.offer(200, 64)) == limits.MIN_PAYLOAD_BYTES
