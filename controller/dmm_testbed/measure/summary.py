"""From the paths of many probes to before, during and after a move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmm_testbed import results

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dmm_testbed.measure.path import Trace, Walk

SETTLED_PROBES = 20
"""A path is settled when this many probes in a row, the last ones, took it."""
MAX_OBSERVED = 64
"""Distinct paths kept a step and direction; there are a handful unless something loops."""


@dataclass(frozen=True, slots=True)
class PathSummary:
    """One direction of one step."""

    path: results.DirectionPath
    stretch: results.Stretch
    direct_at_s: float | None = None
    """When the first probe of the unbroken last run over the final path was sent."""


def summarise(
    traces: Sequence[Trace], moved_sequence: int | None, started_at_s: float
) -> PathSummary:
    """Summarise the probes of one direction in one step.

    Args:
        traces: the step's probes in order of sequence number.
        moved_sequence: the first probe that was sent after the move began; None without a move.
        started_at_s: when the run began, for the times of the paths.
    """
    first_moved = -1 if moved_sequence is None else moved_sequence
    earlier = [trace for trace in traces if trace.sequence < first_moved and _counts(trace)]
    later = [trace for trace in traces if trace.sequence >= first_moved and _counts(trace)]
    after = later[-1].walk if later else None
    before = after if moved_sequence is None else (earlier[-1].walk if earlier else None)
    during = after if moved_sequence is None else _transitional(later, before, after)
    path = results.DirectionPath(
        before=_hosts(before),
        during=_hosts(during),
        after=_hosts(after),
        settled=all(trace.walk == after for trace in later[-SETTLED_PROBES:]),
        observed=_observed(traces, started_at_s),
    )
    return PathSummary(
        path=path,
        stretch=results.Stretch(
            before=_stretch(before), during=_stretch(during), after=_stretch(after)
        ),
        direct_at_s=_settled_since(later),
    )


def larger(forward: results.Stretch, reverse: results.Stretch) -> results.Stretches:
    """Both directions, and the larger of them."""

    def most(one: float | None, other: float | None) -> float | None:
        return max((value for value in (one, other) if value is not None), default=None)

    return results.Stretches(
        before=most(forward.before, reverse.before),
        during=most(forward.during, reverse.during),
        after=most(forward.after, reverse.after),
        forward=forward,
        reverse=reverse,
    )


def _counts(trace: Trace) -> bool:
    return trace.walk.delivered and trace.walk.complete


def _transitional(later: Sequence[Trace], before: Walk | None, after: Walk | None) -> Walk | None:
    """The path between the two that carried most probes, the earlier of equals; else the last."""
    carried: dict[Walk, int] = {}
    for trace in later:
        if trace.walk.hosts not in (_hosts(before), _hosts(after)):
            carried[trace.walk] = carried.get(trace.walk, 0) + 1
    return max(carried, key=lambda walk: carried[walk], default=after)


def _settled_since(later: Sequence[Trace]) -> float | None:
    since = None
    for trace in reversed(later):
        if trace.walk.hosts != later[-1].walk.hosts:
            break
        since = trace.sent_at_s
    return since


def _observed(traces: Sequence[Trace], started_at_s: float) -> tuple[results.ObservedPath, ...]:
    seen: dict[Walk, list[Trace]] = {}
    for trace in traces:
        if trace.walk in seen or len(seen) < MAX_OBSERVED:
            seen.setdefault(trace.walk, []).append(trace)
    return tuple(
        results.ObservedPath(
            hosts=walk.hosts,
            delivered=walk.delivered,
            loop=walk.loop,
            probes=len(group),
            first_ms=(group[0].sent_at_s - started_at_s) * 1000,
            last_ms=(group[-1].sent_at_s - started_at_s) * 1000,
            tunnels=_segments(walk.tunnels),
            rewritten=_segments(walk.rewritten),
            stretch=walk.stretch,
        )
        for walk, group in seen.items()
        if walk.complete
    )


def _segments(ends: Sequence[tuple[str, str]]) -> tuple[results.Segment, ...]:
    return tuple(results.Segment(start=start, end=end) for start, end in ends)


def _hosts(walk: Walk | None) -> tuple[str, ...]:
    return walk.hosts if walk else ()


def _stretch(walk: Walk | None) -> float | None:
    return walk.stretch if walk else None
