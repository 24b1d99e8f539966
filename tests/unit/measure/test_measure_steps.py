"""Moves are noted by the clock of the node that moved."""

from __future__ import annotations

from dmm_testbed.measure.steps import MoveRecord, StepRecord
from dmm_testbed.measure.traffic import Mark

QUIET = Mark(at_s=100.0, now_ns={})


def test_moves_are_told_by_the_controllers_clock_and_marks_left_as_they_are() -> None:
    moves = tuple(MoveRecord(node, "ar11", "ar21", QUIET, 105.0) for node in ("mn11", "mn21"))
    record = StepRecord("away", "", QUIET, QUIET, moves)
    found = record.by_our_clock({"mn11": 4.0, "mn21": -1.0, "gw1": 9.0})
    assert [move.at_s for move in found.moves] == [101.0, 106.0]
    assert (found.start, found.end, found.moves[0].before) == (QUIET, QUIET, QUIET)
