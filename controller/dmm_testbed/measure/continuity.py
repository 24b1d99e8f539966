"""Continuity of sessions in a step: what was lost, and the longest silence."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from dmm_testbed import results
from dmm_testbed.measure.errors import MeasuringError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dmm_testbed.measure.traffic import Journals, Mark, StreamJournal

_Way = Literal["forward", "reverse"]
_OPPOSITE: dict[_Way, _Way] = {"forward": "reverse", "reverse": "forward"}

GAP_BIN_MS = 50.0
"""Width of a bin of the gap plot."""


def udp_between(journals: Journals, start: Mark, end: Mark) -> results.Udp:
    """The UDP stream between two marks, both directions.

    The packets of a step are those whose numbers were given out between the marks, so no clocks
    are compared; collect the journals a moment after the end, so that none is still on its way.

    Raises:
        MeasuringError: an end is missing, or its journal does not reach back to the start.
    """
    forward = _udp_one_way(journals, start, end, "forward")
    reverse = _udp_one_way(journals, start, end, "reverse")
    return results.Udp(
        sent=forward.sent + reverse.sent,
        lost=forward.lost + reverse.lost,
        duplicated=forward.duplicated + reverse.duplicated,
        reordered=forward.reordered + reverse.reordered,
        refused=forward.refused + reverse.refused,
        longest_gap_ms=max(forward.longest_gap_ms, reverse.longest_gap_ms),
        longest_pause_ms=max(forward.longest_pause_ms, reverse.longest_pause_ms),
        forward=forward,
        reverse=reverse,
    )


def tcp_between(journals: Journals, start: Mark, end: Mark) -> results.Tcp:
    """The TCP session between two marks, both directions.

    Raises:
        MeasuringError: an end is missing, or its journal does not reach back to the start.
    """
    forward = _tcp_one_way(journals, start, end, "forward")
    reverse = _tcp_one_way(journals, start, end, "reverse")
    return results.Tcp(
        bytes=forward.bytes + reverse.bytes,
        intact=forward.intact and reverse.intact,
        longest_gap_ms=max(forward.longest_gap_ms, reverse.longest_gap_ms),
        survived=all(report.open for report in end.tcp.values()),
        forward=forward,
        reverse=reverse,
    )


def gap_plot(
    journals: Journals,
    mobile_node: str,
    correspondent: str,
    started_at_s: float,
    clock_offset_s: Mapping[str, float],
) -> results.GapPlot:
    """Silence between received probes over a run, the longest of each bin.

    Args:
        journals: of the session's ends, each by its own clock.
        mobile_node: one end.
        correspondent: the other.
        started_at_s: when the run began, by the controller's clock.
        clock_offset_s: how far each machine's clock is ahead of that.
    """
    at_node_s = started_at_s + clock_offset_s[mobile_node]
    at_correspondent_s = started_at_s + clock_offset_s[correspondent]
    return results.GapPlot(
        mobile_node=mobile_node,
        correspondent=correspondent,
        bin_ms=GAP_BIN_MS,
        forward=_gaps(journals.udp.get("reverse"), at_node_s),
        reverse=_gaps(journals.udp.get("forward"), at_correspondent_s),
    )


def longest_gap_ms(times_ns: Sequence[int], start_ns: int, end_ns: int) -> float:
    """The longest silence that reached into a span: begun earlier, or still lasting at its end.

    Args:
        times_ns: when something arrived, ascending.
        start_ns: begin of the span, by the same clock.
        end_ns: its end.
    """
    first = bisect_left(times_ns, start_ns)
    last = bisect_right(times_ns, end_ns)
    edge = times_ns[first - 1] if first else start_ns
    points = [edge, *times_ns[first:last], max(end_ns, edge)]
    return max(later - earlier for earlier, later in pairwise(points)) / 1e6


def _udp_one_way(journals: Journals, start: Mark, end: Mark, way: _Way) -> results.UdpDirection:
    back = _OPPOSITE[way]
    try:
        sender, receiver = journals.udp[way], journals.udp[back]
        began, ended = start.udp[way], end.udp[way]
        heard_before, heard = start.udp[back], end.udp[back]
    except KeyError as error:
        raise MeasuringError(f"no UDP stream at the end that sends {error}") from None
    span = (start.now_ns[back], end.now_ns[back])
    _refuse_forgotten(sender, start.now_ns[way])
    _refuse_forgotten(receiver, span[0])
    arrived = {sequence for sequence, _ in receiver.received}
    sent_ns = [at_ns for _, at_ns in sender.sent]
    return results.UdpDirection(
        sent=ended.sent - began.sent,
        lost=sum(sequence not in arrived for sequence in range(began.sent, ended.sent)),
        duplicated=heard.duplicated - heard_before.duplicated,
        reordered=heard.reordered - heard_before.reordered,
        refused=ended.refused - began.refused,
        longest_gap_ms=longest_gap_ms(_times(receiver), *span),
        longest_pause_ms=longest_gap_ms(sent_ns, start.now_ns[way], end.now_ns[way]),
    )


def _tcp_one_way(journals: Journals, start: Mark, end: Mark, way: _Way) -> results.TcpDirection:
    back = _OPPOSITE[way]
    try:
        receiver, before, after = journals.tcp[back], start.tcp[back], end.tcp[back]
    except KeyError as error:
        raise MeasuringError(f"no TCP session at the end that sends {error}") from None
    span = (start.now_ns[back], end.now_ns[back])
    _refuse_forgotten(receiver, span[0])
    return results.TcpDirection(
        bytes=after.received_bytes - before.received_bytes,
        intact=after.corrupt_bytes == before.corrupt_bytes,
        longest_gap_ms=longest_gap_ms(_times(receiver), *span),
    )


def _times(journal: StreamJournal) -> list[int]:
    """Arrival times in order; the kernel's stamps of reordered packets may not be."""
    return sorted(at_ns for _, at_ns in journal.received)


def _refuse_forgotten(journal: StreamJournal, start_ns: int) -> None:
    if not journal.forgotten:
        return
    oldest_ns = max(
        min((at for _, at in rows), default=0) for rows in (journal.sent, journal.received)
    )
    if oldest_ns > start_ns:
        raise MeasuringError(
            f"the {journal.kind} journal of stream {journal.stream} has forgotten the first "
            f"{(oldest_ns - start_ns) / 1e9:.1f} s of the step; collect journals more often or "
            "lower the rate"
        )


def _gaps(receiver: StreamJournal | None, started_at_s: float) -> tuple[results.GapPoint, ...]:
    times_ns = _times(receiver) if receiver else []
    longest: dict[int, results.GapPoint] = {}
    for earlier, later in pairwise(times_ns):
        at_ms = later / 1e6 - started_at_s * 1000
        point = results.GapPoint(at_ms=at_ms, gap_ms=(later - earlier) / 1e6)
        number = int(at_ms // GAP_BIN_MS)
        if number not in longest or longest[number].gap_ms < point.gap_ms:
            longest[number] = point
    return tuple(longest[number] for number in sorted(longest))
