"""How far the clocks of machines are ahead of this computer's: no further than can be told.

A machine that is asked for its time answers somewhere within the round trip, so its offset is known
to lie within bounds as far apart as the round trip took: half a second on a slow VM. Clocks that
may all be the same clock, or are kept in step among themselves, are therefore given one offset, the
one that fits most of them. Corrected one by one they would be put out of step, and a message would
seem to arrive before it was sent.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from dmm_testbed.measure.errors import MeasuringError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dmm_testbed.measure.runner import Runner

_RESOLUTION_S = 0.001


class Bounds(NamedTuple):
    """The least and the most that a clock can be ahead, in seconds."""

    least_s: float
    most_s: float


def bounds(runner: Runner, host: str) -> Bounds:
    """Ask a machine for its time.

    Raises:
        MeasuringError: it does not say.
    """
    asked_s = time.time()
    answer = runner.run(host, ["date", "+%s%N"])
    answered_s = time.time()
    if not answer.stdout.strip().isdigit():
        raise MeasuringError(f"{host}: date: {answer.stderr.strip() or answer.stdout.strip()}")
    said_s = int(answer.stdout) / 1e9
    return Bounds(said_s - answered_s - _RESOLUTION_S, said_s - asked_s + _RESOLUTION_S)


def offsets_s(found: Mapping[str, Bounds]) -> dict[str, float]:
    """How far each clock is taken to be ahead; 0 for all that may well be this computer's clock."""
    common = _common(found.values()) if found else Bounds(0.0, 0.0)
    return {host: _within(common if _overlap(own, common) else own) for host, own in found.items()}


def _common(found: Iterable[Bounds]) -> Bounds:
    """The span within the bounds of most clocks; of several such spans the one nearest to zero."""
    most, best = 0, Bounds(0.0, 0.0)
    every = list(found)
    for start in every:
        fitting = [one for one in every if one.least_s <= start.least_s <= one.most_s]
        span = Bounds(start.least_s, min(one.most_s for one in fitting))
        if (len(fitting), -abs(_within(span))) > (most, -abs(_within(best))):
            most, best = len(fitting), span
    return best


def _overlap(one: Bounds, other: Bounds) -> bool:
    return one.least_s <= other.most_s and other.least_s <= one.most_s


def _within(span: Bounds) -> float:
    """Zero if the span has it, else its middle."""
    if span.least_s <= 0.0 <= span.most_s:
        return 0.0
    return (span.least_s + span.most_s) / 2
