"""Routers whose clocks differ by more than an LM takes: told so, and heard all the same.

RFC 5213, 5.5, 6.9.1.2 and 8.8: status 156 with the LM's own clock.
"""

from __future__ import annotations

import pytest
from access_router import Ar
from steps import (
    BINDING_S,
    HNP1,
    HNP3,
    Steps,
    attached,
    message,
    one,
    prefixes,
    recorded,
    revocation,
    sent,
    verdict,
)

from dmm_agent.functions.clock_offsets import LEARN_PAUSE_S
from dmm_agent.functions.effects import Advertise, Effect, Record
from dmm_agent.functions.proxy_messages import acknowledge
from dmm_agent.wire import (
    BindingRevocationAcknowledgement,
    BindingStatus,
    BindingUpdate,
    Handoff,
    RevocationStatus,
    Timestamp,
)

MISMATCH = BindingStatus.TIMESTAMP_MISMATCH
ON_THE_WAY_S = 0.02
YEARS_S = 50 * 365 * 86400.0


def seconds(of: BindingUpdate | BindingRevocationAcknowledgement) -> float:
    time = of.first(Timestamp)
    assert time is not None
    return time.seconds


class SkewedAr(Ar):
    """An access router whose LM's clock is ahead."""

    def refuses(self, asked: BindingUpdate, ahead_s: float, after_s: float) -> list[Effect]:
        self.now += after_s
        clock = self.now - after_s / 2 + ahead_s
        refusal = acknowledge(asked, status=MISMATCH, lifetime_s=0, hnps=prefixes(asked), now=clock)
        return self.receive(self.lm, refusal)


@pytest.mark.parametrize("ahead_s", [5.0, -5.0, 3600.0, YEARS_S, -YEARS_S])
def test_a_refused_access_router_speaks_its_lms_time_and_registers_at_once(ahead_s: float) -> None:
    ar = SkewedAr()
    asked = message(ar(attached()), BindingUpdate)
    effects = ar.refuses(asked, ahead_s, ON_THE_WAY_S)
    again = message(effects, BindingUpdate)
    assert seconds(again) - ar.now == pytest.approx(ahead_s, abs=ON_THE_WAY_S)
    said = one(effects, Record)
    assert (said.name, said.warning) == ("clock_off", True)
    ar.lm_answers(again, HNP3, after_s=ON_THE_WAY_S)
    assert ar.served() == [str(HNP3)]


def test_lifetimes_count_by_its_own_clock() -> None:
    ar = SkewedAr()
    asked = message(ar(attached()), BindingUpdate)
    again = message(ar.refuses(asked, -1000.0, ON_THE_WAY_S), BindingUpdate)
    advertised = one(ar.lm_answers(again, HNP3), Advertise)
    assert advertised.prefixes[0].valid_s >= ar.leased_s - 1


def test_an_update_that_was_long_on_its_way_says_nothing_of_the_clock() -> None:
    ar = SkewedAr()
    asked = message(ar(attached()), BindingUpdate)
    effects = ar.refuses(asked, 0.0, after_s=0.8)
    assert (sent(effects), recorded(effects)) == ([], [])


def test_however_its_lms_clock_jumps_it_asks_no_more_often() -> None:
    ar = SkewedAr()
    asked = message(ar(attached()), BindingUpdate)
    again = message(ar.refuses(asked, 5.0, ON_THE_WAY_S), BindingUpdate)
    assert sent(ar.refuses(again, 50.0, ON_THE_WAY_S)) == []
    ar.now += LEARN_PAUSE_S
    assert sent(ar.refuses(again, 50.0, ON_THE_WAY_S)) == [("BindingUpdate", "gw3")]


def test_only_its_lm_can_tell_it_the_time() -> None:
    ar = SkewedAr()
    asked = message(ar(attached()), BindingUpdate)
    ar.lm = "gw1"
    assert ar.refuses(asked, 5.0, ON_THE_WAY_S) == []


class TestVisitedLm:
    """Its access router is in step with it, and the home LM ten seconds ahead of both."""

    AHEAD_S = 10.0

    @pytest.fixture
    def lm(self) -> Steps:
        return Steps("gw3", ["allocator", "lm", "mr"])

    def visit(self, lm: Steps) -> BindingUpdate:
        """What the home LM accepts, after it has refused the first."""
        update = lm.update(HNP1)
        return self.refused(lm, message(lm.receive("ar31", update), BindingUpdate))

    def refused(self, lm: Steps, asked: BindingUpdate) -> BindingUpdate:
        """What it says when the home LM has told it the time."""
        lm.now += ON_THE_WAY_S
        clock = lm.now + self.AHEAD_S
        refusal = acknowledge(asked, status=MISMATCH, lifetime_s=0, hnps=[HNP1], now=clock)
        effects = lm.receive("gw1", refusal)
        assert recorded(effects) == ["clock_off"]
        return message(effects, BindingUpdate)

    def test_it_asks_again_at_once_in_the_home_lms_time(self, lm: Steps) -> None:
        asked = self.visit(lm)
        assert seconds(asked) - lm.now == pytest.approx(self.AHEAD_S, abs=2 * ON_THE_WAY_S)
        granted = acknowledge(asked, status=0, lifetime_s=BINDING_S, hnps=[HNP1], now=0.0)
        assert verdict(lm.receive("gw1", granted)) == (0, BINDING_S, [HNP1])
        assert lm.locations() == {str(HNP1): "ar31"}

    def test_that_sessions_have_ended_is_said_again_too(self, lm: Steps) -> None:
        """An LM that was restarted knows no clock but its own any more."""
        granted = acknowledge(self.visit(lm), status=0, lifetime_s=60, hnps=[HNP1], now=0.0)
        lm.receive("gw1", granted)
        lm.restart()
        ended = lm.update(HNP1, after_s=1, handoff=Handoff.UNCHANGED, lifetime_s=0)
        again = self.refused(lm, message(lm.receive("ar31", ended), BindingUpdate))
        assert seconds(again) - lm.now == pytest.approx(self.AHEAD_S, abs=2 * ON_THE_WAY_S)
        heard = acknowledge(again, status=0, lifetime_s=0, hnps=[HNP1], now=0.0)
        assert verdict(lm.receive("gw1", heard)) == (BindingStatus.ACCEPTED, 0, [HNP1])

    @pytest.mark.parametrize(
        ("later_s", "status"),
        [
            (0.5, RevocationStatus.SUCCESS),
            (-0.5, RevocationStatus.REVOCATION_FAILED_MN_IS_ATTACHED),
        ],
    )
    def test_which_of_two_was_first_is_told_by_one_clock(
        self, lm: Steps, later_s: float, status: RevocationStatus
    ) -> None:
        asked = self.visit(lm)
        granted = acknowledge(asked, status=0, lifetime_s=BINDING_S, hnps=[HNP1], now=0.0)
        lm.receive("gw1", granted)
        effects = lm.receive("gw1", revocation(seconds(asked) + later_s))
        answer = message(effects, BindingRevocationAcknowledgement)
        assert answer.status == status
        if status != RevocationStatus.SUCCESS:
            assert seconds(answer) == pytest.approx(seconds(asked)), "in the home LM's time"
