"""The packet-gap plot: moves marked, the longest silence named, lasting silence shown."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmm_testbed.report.gap_figure import ceiling, draw_gaps
from dmm_testbed.results import GapPlot, GapPoint, Results


def drawn(results: Results, number: int) -> str:
    step = results.steps[number]
    figure = draw_gaps(results.gaps[number == 6], step, step.at_ms + step.duration_ms)
    assert figure is not None
    return ET.tostring(figure, encoding="unicode")


def test_the_longest_silence_of_each_direction_is_named(results: Results) -> None:
    figure = drawn(results, 1)
    assert "longest 31.4\u00a0ms" in figure
    assert "longest 18.8\u00a0ms" in figure


def test_every_move_is_marked(results: Results) -> None:
    assert drawn(results, 1).count("move-mark") == 1
    assert drawn(results, 2).count("move-mark") == 0
    assert drawn(results, 6).count("move-mark") == 2


def test_silence_that_never_ended_is_shown_as_such(results: Results) -> None:
    assert drawn(results, 5).count("nothing arrives") == 2
    assert "nothing arrives" not in drawn(results, 1)


def test_a_step_without_a_single_probe_has_no_plot(results: Results) -> None:
    plot = GapPlot(mobile_node="mn11", correspondent="cn2", bin_ms=50)
    assert draw_gaps(plot, results.steps[0], 10_000) is None


def test_a_direction_without_probes_does_not_stop_the_other(results: Results) -> None:
    plot = GapPlot(
        mobile_node="mn11", correspondent="cn2", bin_ms=50,
        forward=(GapPoint(at_ms=100, gap_ms=5),),
    )  # fmt: skip
    figure = draw_gaps(plot, results.steps[0], 10_000)
    assert figure is not None
    assert len(figure.findall("circle")) == 1


@pytest.mark.parametrize(
    ("value", "end"), [(10, 10), (10.5, 15), (31.4, 40), (99, 100), (801, 1000)]
)
def test_axes_end_at_round_numbers(value: float, end: float) -> None:
    assert ceiling(value) == pytest.approx(end)


@given(st.floats(0.001, 1e9))
def test_an_axis_always_has_room_for_the_value_and_wastes_little(value: float) -> None:
    assert 0.999 * value <= ceiling(value) <= 1.7 * value
