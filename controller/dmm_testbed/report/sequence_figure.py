"""The message sequence chart: a lifeline for each machine that took part, arrows in time order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmm_testbed.report.drawing import add, arrow_head, canvas, polyline, shorten, text_width
from dmm_testbed.report.scene import box_width, label
from dmm_testbed.report.sequence import Row
from dmm_testbed.report.words import duration, moment, move_in_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from xml.etree.ElementTree import Element

    from dmm_testbed.report.sequence import Chart
    from dmm_testbed.results import Move

_ROW_PX = 27.0
_PAUSE_PX = 22.0
_BELOW_MOVE_PX = 7.0
_HEADS_PX = 44.0
_TIME_PX = 108.0
"""Room for the time axis on the left."""
_CHART_PX = 1150.0
"""Width to fill, as long as lifelines are neither too near nor too far from each other."""
_LANE_PX = (76.0, 124.0)
_MAX_LABEL = 34
_MAX_DETAIL = 64
_DETAIL_CHARACTER_PX = 6.8
_LONG_CHART = 14
"""Rows from which the names of machines are repeated below."""
_LEAST_ZOOM = 0.75
"""How far a narrow screen may shrink the chart before it scrolls."""
_LAST = (float("inf"), 0.0)
_PAUSE_MS = 100.0
"""A silence this long is drawn as a pause."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A row of the chart: an arrow or a move, how far down it is, and the silence before it."""

    what: Row | Move
    at_ms: float
    y: float
    pause_ms: float


def draw_sequence(
    chart: Chart, moves: Sequence[Move], places: Mapping[str, tuple[float, float]], zero_ms: float
) -> Element:
    """Returns the drawing of a chart.

    Args:
        chart: what to draw.
        moves: the step's moves, drawn as rules across the chart.
        places: an order for the lifelines, by machine.
        zero_ms: the instant that the time axis calls zero, in milliseconds of the run.
    """
    longest = max((len(_detail(row)) for row in chart.rows), default=0)
    details_px = longest * _DETAIL_CHARACTER_PX
    machines = sorted(chart.machines, key=lambda name: places.get(name, _LAST))
    lanes = _lanes(machines, _CHART_PX - _TIME_PX - details_px)
    entries = _entries(chart, moves)
    bottom = (entries[-1].y if entries else _HEADS_PX) + 14
    right = max(lanes.values(), default=_TIME_PX + 150) + _LANE_PX[0] / 2
    width = right + (details_px + 12 if details_px else 0)
    repeat_names = len(entries) >= _LONG_CHART
    height = bottom + 26 * repeat_names + 24 * bool(chart.rest)
    root = canvas(width, height, _description(chart))
    root.set("style", f"min-width: {width * _LEAST_ZOOM:.0f}px")
    add(root, "text", "ms", x=_TIME_PX - 22, y=24, class_="time")
    for name, x in lanes.items():
        add(root, "path", d=polyline([(x, 30), (x, bottom)]), class_="lifeline")
        for y in (19, bottom + 11) if repeat_names else (19,):
            _draw_name(root, name, x, y)
    for entry in entries:
        _draw_time(root, entry, zero_ms)
        if isinstance(entry.what, Row):
            _draw_arrow(root, entry.what, lanes, entry.y, zero_ms)
            add(root, "text", _detail(entry.what), x=right, y=entry.y + 4, class_="detail")
        else:
            _draw_move(root, entry.what, entry.y, right)
    if chart.rest:
        add(root, "text", _rest(chart, zero_ms), x=8, y=height - 7, class_="rest")
    return root


def _description(chart: Chart) -> str:
    messages = sum(row.count for row in chart.rows)
    return f"Message sequence chart of {messages} messages in {len(chart.rows)} arrows"


def _lanes(machines: Sequence[str], room_px: float) -> dict[str, float]:
    least, most = _LANE_PX
    lane = max(least, min(most, room_px / max(len(machines), 1)))
    lane = max(lane, *(box_width(name) + 12 for name in machines), 0.0)
    return {name: _TIME_PX + lane / 2 + place * lane for place, name in enumerate(machines)}


def _entries(chart: Chart, moves: Sequence[Move]) -> list[_Entry]:
    timed: list[tuple[float, Row | Move]] = [(move.at_ms, move) for move in moves]
    timed += [(row.message.at_ms, row) for row in chart.rows]
    timed.sort(key=lambda entry: entry[0])  # stable: a move comes before what it causes
    entries: list[_Entry] = []
    y, before_ms = _HEADS_PX, timed[0][0] if timed else 0.0
    for at_ms, what in timed:
        pause_ms = at_ms - before_ms if at_ms - before_ms >= _PAUSE_MS else 0.0
        y += _ROW_PX + (_PAUSE_PX if pause_ms else 0)
        entries.append(_Entry(what, at_ms, y, pause_ms))
        before_ms = at_ms
        if not isinstance(what, Row):
            y += _BELOW_MOVE_PX
    return entries


def _draw_name(root: Element, name: str, x: float, y: float) -> None:
    group = add(root, "g", class_="lifeline-name")
    add(group, "title", name)
    width = box_width(name)
    add(group, "rect", x=x - width / 2, y=y - 11, width=width, height=22, rx=4)
    add(group, "text", label(name), x=x, y=y + 4)


def _draw_time(root: Element, entry: _Entry, zero_ms: float) -> None:
    if entry.pause_ms:
        y = entry.y - _ROW_PX - 4
        add(root, "path", d=polyline([(_TIME_PX - 14, y - 9), (_TIME_PX - 14, y + 7)]),
            class_="pause")  # fmt: skip
        text = f"{duration(entry.pause_ms)} later"
        add(root, "text", text, x=_TIME_PX - 22, y=y + 3, class_="time pause")
    time = moment(entry.at_ms - zero_ms)
    add(root, "text", time, x=_TIME_PX - 22, y=entry.y + 4, class_="time")


def _draw_move(root: Element, move: Move, y: float, right: float) -> None:
    group = add(root, "g", class_="move")
    add(group, "path", d=polyline([(_TIME_PX - 14, y), (right - 6, y)]))
    text = move_in_words(move)
    width = text_width(text) + 20
    left = _TIME_PX + 14  # on the left, where a narrow screen shows it
    add(group, "rect", x=left, y=y - 10, width=width, height=20, rx=10)
    add(group, "text", text, x=left + width / 2, y=y + 4)


def _draw_arrow(
    root: Element, row: Row, lanes: Mapping[str, float], y: float, zero_ms: float
) -> None:
    message = row.message
    start, end = lanes[message.sender], lanes[message.receiver]
    kind = "signalling" if message.signalling else "discovery"
    group = add(root, "g", class_=f"message {kind}")
    group.set("data-count", str(row.count))
    add(
        group, "title",
        f"{message.label}, {message.sender} to {message.receiver}, "
        f"{moment(message.at_ms - zero_ms)} ms, {message.bytes} bytes: {message.detail}",
    )  # fmt: skip
    if start == end:
        loop = [(start, y - 6), (start + 26, y - 6), (start + 26, y + 4), (start + 5, y + 4)]
        add(group, "path", d=polyline(loop), class_="shaft")
        add(group, "path", d=arrow_head((start, y + 4), (-1, 0), 8), class_="tip")
    else:
        towards = 1 if end > start else -1
        add(group, "path", d=polyline([(start, y), (end - 6 * towards, y)]), class_="shaft")
        add(group, "path", d=arrow_head((end - towards, y), (towards, 0), 9), class_="tip")
    text = _label(row, zero_ms)
    half, rightmost = text_width(text) / 2, max(lanes.values()) + _LANE_PX[0] / 2
    centre = min(max((start + end) / 2, _TIME_PX - 8 + half), max(rightmost - half, half))
    add(group, "text", text, x=centre, y=y - 5)


def _label(row: Row, zero_ms: float) -> str:
    text = shorten(row.message.label, _MAX_LABEL)
    if row.count == 1:
        return text
    return f"{text} \u00d7{row.count}, last {moment(row.repeated_at_ms[-1] - zero_ms)}"


def _detail(row: Row) -> str:
    return shorten(row.message.detail, _MAX_DETAIL)


def _rest(chart: Chart, zero_ms: float) -> str:
    by_label = ", ".join(
        f"{count} {shorten(name, _MAX_LABEL)}" for name, count in chart.rest.most_common(4)
    )
    more = ", …" if len(chart.rest) > 4 else ""
    until = moment(chart.rest_until_ms - zero_ms)
    return f"and {chart.rest.total()} more until {until} ms: {by_label}{more}"
