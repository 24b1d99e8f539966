"""Renewals are told from what a move causes."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

import pytest

from dmm_agent import wire
from dmm_testbed.measure.renewals import Renewals

HNP = wire.HomeNetworkPrefix(IPv6Network("2001:db8:1:8101::/64"))
PLACE = wire.MagAddress(IPv6Address("2001:db8:2::1"))


def update(handoff: int) -> wire.BindingUpdate:
    options = (HNP, wire.HandoffIndicator(handoff))
    return wire.BindingUpdate(1, wire.BindingUpdateFlag.PROXY, 60, options)


class Asker:
    """gw3, which asks gw1 for a prefix."""

    def __init__(self) -> None:
        self.renewals = Renewals()
        self.sequence = 0

    def asks(self, at_s: float, lifetime_s: int = 120) -> bool:
        """A query and its answer; whether both are renewals, of which neither is one alone."""
        self.sequence += 1
        query = wire.LocationQuery(self.sequence, (HNP,))
        answer = wire.LocationAnswer(
            wire.AnswerStatus.AWAY, self.sequence, lifetime_s, (HNP, PLACE)
        )
        renews = self.renewals.include(at_s, "gw3", "gw1", query)
        assert self.renewals.include(at_s + 0.1, "gw1", "gw3", answer) is renews
        return renews


@pytest.mark.parametrize(
    ("handoff", "renews"),
    [(wire.Handoff.UNCHANGED, True), (wire.Handoff.BETWEEN_MAGS, False)],
)
def test_an_update_says_by_its_handoff_indicator_whether_a_node_has_moved(
    handoff: int, *, renews: bool
) -> None:
    asked = update(handoff)
    answer = wire.BindingAcknowledgement(0, wire.BindingAckFlag.PROXY, 1, 60, asked.options)
    renewals = Renewals()
    assert renewals.include(1.0, "gw2", "gw1", asked) is renews
    assert renewals.include(1.1, "gw1", "gw2", answer) is renews


def test_an_update_that_does_not_say_is_none() -> None:
    plain = wire.BindingUpdate(1, wire.BindingUpdateFlag.PROXY, 60, (HNP,))
    assert not Renewals().include(1.0, "gw2", "gw1", plain)


def test_a_query_is_one_when_half_of_the_last_answer_is_over() -> None:
    asker = Asker()
    assert not asker.asks(0.0)
    assert asker.asks(100.0, lifetime_s=60)
    assert asker.asks(131.0)


@pytest.mark.parametrize("at_s", [1.0, 50.0, 130.0])
def test_a_query_before_that_or_when_nothing_is_held_any_more_is_none(at_s: float) -> None:
    asker = Asker()
    asker.asks(0.0)
    assert not asker.asks(at_s)


def test_what_is_asked_again_is_what_the_answer_was_for() -> None:
    renewals = Renewals()
    first = wire.LocationQuery(1, (wire.HomeNetworkPrefix(IPv6Network("2001:db8:3::9/128")),))
    fixed = wire.HomeNetworkPrefix(IPv6Network("2001:db8:3::/49"))
    assert not renewals.include(0.0, "gw2", "gw3", first)
    answer = wire.LocationAnswer(wire.AnswerStatus.FIXED, 1, 120, (fixed, PLACE))
    assert not renewals.include(0.1, "gw3", "gw2", answer)
    assert renewals.include(90.0, "gw2", "gw3", wire.LocationQuery(2, (fixed,)))


def test_who_else_asks_renews_nothing() -> None:
    asker = Asker()
    asker.asks(0.0)
    assert not asker.renewals.include(100.0, "gw2", "gw1", wire.LocationQuery(1, (HNP,)))


def test_what_cannot_be_read_is_none() -> None:
    assert not Renewals().include(1.0, "gw2", "gw1", None)
