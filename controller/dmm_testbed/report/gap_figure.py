"""The packet-gap plot: silence between received probes against time, with the moves marked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmm_testbed.report.drawing import add, canvas, polyline, text_width
from dmm_testbed.report.scene import DIRECTIONS
from dmm_testbed.report.words import duration, move_in_words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from xml.etree.ElementTree import Element

    from dmm_testbed.report.scene import Direction
    from dmm_testbed.results import GapPlot, GapPoint, Step

_LEFT_PX, _RIGHT_PX = 46.0, 590.0
_STRIP_PX = 80.0
_BETWEEN_PX = 34.0
_TOP_PX = 62.0
_AXIS_PX = 40.0
_LEAST_STICK_PX = 1.2
_LEAST_SCALE_MS = 10.0
_SILENT_SHARE = 0.05
"""A strip whose last probe came this much of the step before its end is shown as silent."""


@dataclass(frozen=True, slots=True)
class _Axis:
    """The time axis: from one instant of the run to another, counted from a third."""

    begin_ms: float
    end_ms: float
    zero_ms: float

    def x(self, at_ms: float) -> float:
        share = (at_ms - self.begin_ms) / (self.end_ms - self.begin_ms)
        return _LEFT_PX + min(max(share, 0), 1) * (_RIGHT_PX - _LEFT_PX)


def draw_gaps(plot: GapPlot, step: Step, end_ms: float) -> Element | None:
    """Returns the plot of one step, a strip for each direction, or None if nothing arrived.

    Args:
        plot: silences over the whole run.
        step: the step to show.
        end_ms: when it ended, in milliseconds of the run.
    """
    strips: dict[Direction, list[GapPoint]] = {
        direction: [p for p in getattr(plot, direction) if step.at_ms <= p.at_ms < end_ms]
        for direction in DIRECTIONS
    }
    gaps_ms = [point.gap_ms for strip in strips.values() for point in strip]
    if not gaps_ms:
        return None
    zero_ms = step.moves[0].at_ms if step.moves else step.at_ms
    axis = _Axis(step.at_ms, max(end_ms, step.at_ms + 1), zero_ms)
    scale_ms = ceiling(max(_LEAST_SCALE_MS, *gaps_ms))
    bottom = _TOP_PX + 2 * _STRIP_PX + _BETWEEN_PX
    root = canvas(
        _RIGHT_PX + 20, bottom + _AXIS_PX, f"Silence between received probes in step {step.name}"
    )
    _draw_moves(root, step, axis, bottom)
    for base, (direction, strip) in zip((_TOP_PX + _STRIP_PX, bottom), strips.items(), strict=True):
        ends = (plot.correspondent, plot.mobile_node)
        sender, receiver = ends if direction == "forward" else ends[::-1]
        _draw_scale(root, base, scale_ms, f"{sender} to {receiver}, silence in ms")
        _draw_strip(root, strip, axis, base, scale_ms, direction, plot.bin_ms)
    _draw_time(root, axis, bottom)
    return root


def ceiling(value: float) -> float:
    """Returns the next of 1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten: an axis ends there."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(
        step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * power >= value * 0.999
    )


def _draw_scale(root: Element, base: float, scale_ms: float, title: str) -> None:
    add(root, "text", title, x=_LEFT_PX, y=base - _STRIP_PX - 8, class_="strip-title")
    for share in (0.0, 0.5, 1.0):
        y = base - share * _STRIP_PX
        add(root, "path", d=polyline([(_LEFT_PX, y), (_RIGHT_PX, y)]),
            class_="axis" if share == 0 else "grid")  # fmt: skip
        add(root, "text", f"{share * scale_ms:g}", x=_LEFT_PX - 7, y=y + 4, class_="end")


def _draw_strip(
    root: Element, strip: Sequence[GapPoint], axis: _Axis, base: float, scale_ms: float,
    direction: Direction,
    bin_ms: float,
) -> None:  # fmt: skip
    """Draws a stick for each pixel column that has a silence, as long as the longest there."""
    columns: dict[int, GapPoint] = {}
    for point in strip:
        column = round(axis.x(point.at_ms))
        if column not in columns or columns[column].gap_ms < point.gap_ms:
            columns[column] = point
    sticks = " ".join(
        polyline([(x, base), (x, base - point.gap_ms / scale_ms * _STRIP_PX)])
        for x, point in sorted(columns.items())
    )
    if sticks:
        width = max(_LEAST_STICK_PX, axis.x(axis.begin_ms + bin_ms) - _LEFT_PX)
        add(root, "path", d=sticks, stroke_width=width, class_=f"sticks {direction}")
    last_ms = max((point.at_ms for point in strip), default=axis.begin_ms)
    if axis.end_ms - last_ms > _SILENT_SHARE * (axis.end_ms - axis.begin_ms):
        _draw_silence(root, axis.x(last_ms) + 2, base)
    if strip:
        _draw_longest(
            root, max(strip, key=lambda point: point.gap_ms), axis, base, scale_ms, direction
        )


def _draw_silence(root: Element, x: float, base: float) -> None:
    add(
        root, "rect", x=x, y=base - _STRIP_PX, width=_RIGHT_PX - x, height=_STRIP_PX,
        class_="silent",
    )  # fmt: skip
    if _RIGHT_PX - x > 140:
        middle = (x + _RIGHT_PX) / 2
        add(root, "text", "nothing arrives", x=middle, y=base - _STRIP_PX / 2 + 4, class_="middle")


def _draw_longest(
    root: Element, point: GapPoint, axis: _Axis, base: float, scale_ms: float, direction: Direction
) -> None:
    x, y = axis.x(point.at_ms), base - point.gap_ms / scale_ms * _STRIP_PX
    add(root, "circle", cx=x, cy=y, r=3, class_=f"peak {direction}")
    text = f"longest {duration(point.gap_ms)}"
    add(root, "text", text, x=_RIGHT_PX, y=base - _STRIP_PX - 8, class_="longest")


def _draw_moves(root: Element, step: Step, axis: _Axis, bottom: float) -> None:
    """Marks each move over all strips; a label that would run into its neighbour goes below it."""
    taken_until = [0.0, 0.0]
    for move in step.moves:
        x, text = axis.x(move.at_ms), move_in_words(move)
        width = text_width(text)
        left = min(x, _RIGHT_PX + 20 - width)
        line = 0 if left >= taken_until[0] else 1
        taken_until[line] = left + width + 12
        y = 12 + 14 * line
        add(root, "path", d=polyline([(x, y + 4), (x, bottom)]), class_="move-mark")
        add(root, "text", text, x=left, y=y, class_="move-name")


def _draw_time(root: Element, axis: _Axis, bottom: float) -> None:
    """Draws about eight round instants, counted from the first move."""
    step_ms = ceiling((axis.end_ms - axis.begin_ms) / 8)
    first = math.ceil((axis.begin_ms - axis.zero_ms) / step_ms)
    last = math.floor((axis.end_ms - axis.zero_ms) / step_ms)
    in_seconds = step_ms >= 100
    for number in range(first, last + 1):
        x = axis.x(axis.zero_ms + number * step_ms)
        value = number * step_ms / (1000 if in_seconds else 1)
        text = f"{value:g}".replace("-", "\u2212")
        add(root, "path", d=polyline([(x, bottom), (x, bottom + 4)]), class_="axis")
        add(root, "text", text, x=x, y=bottom + 17, class_="middle")
    unit = "s" if in_seconds else "ms"
    add(root, "text", f"time, {unit}", x=_LEFT_PX - 7, y=bottom + 34, class_="strip-title")
