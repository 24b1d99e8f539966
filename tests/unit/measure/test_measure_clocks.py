"""Clocks of machines: one offset for those that are in step, and none where none can be told."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from dmm_testbed.measure.clocks import Bounds, bounds, offsets_s
from dmm_testbed.measure.errors import MeasuringError

if TYPE_CHECKING:
    from collections.abc import Sequence


def test_clocks_that_may_be_this_one_are_not_corrected() -> None:
    found = {"gw1": Bounds(-0.3, 0.1), "gw2": Bounds(-0.1, 0.4), "mn11": Bounds(-0.02, 0.01)}
    assert offsets_s(found) == {"gw1": 0.0, "gw2": 0.0, "mn11": 0.0}


def test_clocks_in_step_get_one_offset_however_slow_the_answers() -> None:
    """All are 0.8 s ahead; each answer came somewhere within a round trip of its own."""
    found = {"gw1": Bounds(0.5, 0.9), "gw2": Bounds(0.75, 1.2), "mn11": Bounds(0.7, 0.85)}
    (common,) = set(offsets_s(found).values())
    assert common == pytest.approx(0.8)


def test_a_clock_out_of_step_is_corrected_by_itself() -> None:
    found = {"gw1": Bounds(-0.2, 0.2), "gw2": Bounds(-0.1, 0.3), "mn11": Bounds(7.0, 7.2)}
    assert offsets_s(found) == {"gw1": 0.0, "gw2": 0.0, "mn11": pytest.approx(7.1)}


def test_of_two_camps_as_large_the_one_nearer_to_this_clock_is_right() -> None:
    found = {"gw1": Bounds(3.0, 3.2), "gw2": Bounds(-0.1, 0.3)}
    assert offsets_s(found) == {"gw1": pytest.approx(3.1), "gw2": 0.0}


def test_nobody_asked_is_nobody_corrected() -> None:
    assert offsets_s({}) == {}


@dataclass
class Clock:
    """A machine with a clock."""

    ahead_s: float

    def run(
        self, host: str, argv: Sequence[str], *, timeout_s: float = 30.0
    ) -> subprocess.CompletedProcess[str]:
        del host, timeout_s
        now_ns = time.time_ns() + int(self.ahead_s * 1e9)
        return subprocess.CompletedProcess(list(argv), 0, f"{now_ns}\n", "")

    def start(self, host: str, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        raise NotImplementedError

    def read_file(self, host: str, path: str) -> bytes:
        raise NotImplementedError


def test_a_machines_offset_lies_within_the_bounds_it_is_given() -> None:
    found = bounds(Clock(-5.0), "gw1")
    assert found.least_s <= -5.0 <= found.most_s
    assert found.most_s - found.least_s < 1.0


def test_a_machine_that_does_not_know_the_time_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(["date"], 1, "", "date: no clock\n")

    monkeypatch.setattr(Clock, "run", refuse)
    with pytest.raises(MeasuringError, match="gw1: date: date: no clock"):
        bounds(Clock(0.0), "gw1")
