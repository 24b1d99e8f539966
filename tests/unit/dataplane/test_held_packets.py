"""The buffer of packets that wait: in order, and never more than it may be."""

from __future__ import annotations

from ipaddress import IPv6Network

import pytest

from dmm_agent.dataplane.held_packets import ORPHANED_AFTER_S, HeldPackets
from dmm_agent.functions.base import HoldLimits

ONE, OTHER = IPv6Network("2001:db8:1:8100::/64"), IPv6Network("2001:db8:2:8100::/64")
LIMITS = HoldLimits(packets=4, octets=100, time_s=1.0)
DROPPED_AFTER_S = LIMITS.time_s + ORPHANED_AFTER_S


@pytest.fixture
def held() -> HeldPackets:
    return HeldPackets(LIMITS)


def test_packets_leave_in_the_order_in_which_they_came(held: HeldPackets) -> None:
    for packet in (b"1", b"2", b"3"):
        assert held.keep(ONE, packet, 0.0)
    assert list(held.take(ONE)) == [b"1", b"2", b"3"]
    assert list(held.take(ONE)) == []


def test_those_for_others_stay(held: HeldPackets) -> None:
    held.keep(ONE, b"1", 0.0)
    held.keep(OTHER, b"2", 0.0)
    held.take(ONE)
    assert ONE not in held
    assert OTHER in held


def test_no_more_packets_than_the_limit_and_room_again_after_that(held: HeldPackets) -> None:
    assert [held.keep(prefix, b"1", 0.0) for prefix in (ONE, OTHER) * 3] == [True] * 4 + [False] * 2
    held.take(ONE)
    assert [held.keep(OTHER, b"1", 0.0) for _ in range(3)] == [True, True, False]


def test_no_more_octets_than_the_limit_and_room_again_after_that(held: HeldPackets) -> None:
    assert held.keep(ONE, bytes(60), 0.0)
    assert not held.keep(OTHER, bytes(41), 0.0)
    assert held.keep(OTHER, bytes(40), 0.0)
    held.take(ONE)
    assert held.keep(OTHER, bytes(60), 0.0)


def test_what_nobody_releases_goes_once_its_time_is_long_over(held: HeldPackets) -> None:
    held.keep(ONE, b"1", 0.0)
    held.keep(OTHER, b"2", 0.5)
    held.keep(ONE, b"3", 0.9)
    assert held.expire(DROPPED_AFTER_S - 0.01) == 0
    assert held.expire(DROPPED_AFTER_S) == 2
    assert len(held) == 1
    assert held.expire(DROPPED_AFTER_S + 0.5) == 1
    assert len(held) == 0
