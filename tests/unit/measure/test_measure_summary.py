"""Before, during and after a move, out of the paths of many probes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dmm_testbed import results
from dmm_testbed.measure.packets import FORWARD
from dmm_testbed.measure.path import Flow, trace
from dmm_testbed.measure.summary import PathSummary, larger, summarise

if TYPE_CHECKING:
    from tests.unit.measure.conftest import Internet

HOME = "cn2 ar21 gw2 core gw1 ar11 mn11"
LOST = "cn2 ar21 gw2 core gw1 ar11 mn11!"
TRIANGLE = ("cn2 ar21 gw2 core gw1", "(gw1 core gw3)", "gw3 ar31 mn11")
DIRECT = ("cn2 ar21 gw2", "(gw2 core gw3)", "gw3 ar31 mn11")
DIRECT_HOSTS = ("cn2", "ar21", "gw2", "core", "gw3", "ar31", "mn11")


def summary(internet: Internet, moved_sequence: int | None) -> PathSummary:
    traces = trace(internet.sightings, internet.wiring, Flow(7, FORWARD, "cn2", "mn11"))
    return summarise(traces, moved_sequence, started_at_s=0.0)


def test_a_move_with_a_triangle(internet: Internet) -> None:
    internet.send_many(50, HOME)
    internet.send_many(10, LOST)
    internet.send_many(30, *TRIANGLE)
    internet.send_many(60, *DIRECT)
    found = summary(internet, moved_sequence=50)
    assert found.path.before == tuple(HOME.split())
    assert found.path.during == ("cn2", "ar21", "gw2", "core", "gw1", "core", "gw3", "ar31", "mn11")
    assert found.path.after == DIRECT_HOSTS
    assert found.path.settled
    assert found.stretch.before == 1.0
    assert found.stretch.during == pytest.approx(8 / 6)
    assert found.stretch.after == 1.0
    assert found.direct_at_s == pytest.approx(90 * 0.005, abs=0.001)


def test_every_distinct_path_is_listed_in_order(internet: Internet) -> None:
    internet.send_many(2, HOME)
    internet.send_many(3, LOST)
    internet.send_many(4, *TRIANGLE)
    internet.send_many(20, *DIRECT)
    observed = summary(internet, moved_sequence=2).path.observed
    assert [(path.probes, path.delivered) for path in observed] == [
        (2, True),
        (3, False),
        (4, True),
        (20, True),
    ]
    assert observed[2].tunnels == (results.Segment(start="gw1", end="gw3"),)
    assert observed[1].first_ms == pytest.approx(10, abs=1)
    assert observed[1].last_ms == pytest.approx(20, abs=1)


def test_without_a_move_the_path_is_the_same_throughout(internet: Internet) -> None:
    internet.send_many(30, HOME)
    found = summary(internet, moved_sequence=None)
    assert found.path.before == found.path.during == found.path.after == tuple(HOME.split())


def test_a_move_without_a_detour_has_no_transitional_path(internet: Internet) -> None:
    internet.send_many(30, HOME)
    internet.send_many(30, *DIRECT)
    found = summary(internet, moved_sequence=30)
    assert found.path.during == found.path.after


def test_probes_on_the_old_path_just_after_the_move_are_no_detour(internet: Internet) -> None:
    internet.send_many(40, HOME)
    internet.send_many(30, *DIRECT)
    assert summary(internet, moved_sequence=30).path.during == DIRECT_HOSTS


def test_a_path_that_still_changes_is_not_settled(internet: Internet) -> None:
    internet.send_many(30, HOME)
    internet.send_many(30, *TRIANGLE)
    internet.send_many(5, *DIRECT)
    assert not summary(internet, moved_sequence=30).path.settled


def test_a_node_that_vanished_has_no_path_after(internet: Internet) -> None:
    internet.send_many(30, HOME)
    internet.send_many(30, LOST)
    found = summary(internet, moved_sequence=30)
    assert found.path.before == tuple(HOME.split())
    assert found.path.after == ()
    assert found.stretch.after is None
    assert found.direct_at_s is None


def test_nothing_sent_is_nothing_seen(internet: Internet) -> None:
    found = summary(internet, moved_sequence=None)
    assert found.path == results.DirectionPath()


def test_the_larger_stretch_of_both_directions_counts() -> None:
    both = larger(results.Stretch(before=1, during=1.5), results.Stretch(before=1.2, after=1))
    assert (both.before, both.during, both.after) == (1.2, 1.5, 1.0)
    assert both.forward.after is None
