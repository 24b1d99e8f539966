"""Numbers and events as short texts, the same on the page, in the drawings and in the terminal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dmm_testbed.results import Move, Step

_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\u202a-\u202e\u2066-\u2069]"
)
"""What XML forbids, what steers a terminal, and what turns the direction of writing."""

NOTHING = "\u2013"
"""Stands for what was not seen."""


def clean(text: str) -> str:
    """Returns the text with a replacement character for each one that no reader should get."""
    return _UNPRINTABLE.sub("\ufffd", text)


def duration(ms: float) -> str:
    """Returns a length of time in the unit that suits it."""
    if ms < 100:
        return f"{ms:.1f}\u00a0ms"
    if ms < 999.5:
        return f"{ms:.0f}\u00a0ms"
    return f"{ms / 1000:.{2 if ms < 100_000 else 0}f}\u00a0s"


def moment(ms: float) -> str:
    """Returns an instant relative to a move in milliseconds, with its sign."""
    text = f"{ms:+.1f}" if abs(ms) < 1000 else f"{ms:+.0f}"
    return "0" if float(text) == 0 else text.replace("-", "\u2212")


def ratio(value: float | None) -> str:
    """Returns a stretch."""
    return NOTHING if value is None else f"{value:.2f}"


def plural(count: int, noun: str) -> str:
    """Returns a count with its noun."""
    return f"{grouped(count)} {noun}{'' if count == 1 else 's'}"


def grouped(count: int) -> str:
    """Returns a count with its thousands apart."""
    return f"{count:,}".replace(",", "\u202f")


def move_in_words(move: Move) -> str:
    """Returns what a node did, for a drawing's label."""
    if move.to_router is None:
        return f"{move.mobile_node} vanishes from {move.from_router or 'its link'}"
    if move.from_router is None:
        return f"{move.mobile_node} attaches to {move.to_router}"
    return f"{move.mobile_node} moves from {move.from_router} to {move.to_router}"


def what_moved(step: Step) -> list[str]:
    """Returns a sentence for each of the step's moves: how soon its consequences were felt."""
    return [_move_sentence(move) for move in step.moves] or ["Nobody moves in this step."]


def _move_sentence(move: Move) -> str:
    delays = [
        f"{what} after {duration(value)}"
        for what, value in (
            ("router advertisement", move.advertisement_ms),
            ("first packet to it", move.forward_ms),
            ("first packet from it", move.reverse_ms),
            ("final path", move.direct_ms),
        )
        if value is not None
    ]
    return move_in_words(move) + (f": {', '.join(delays)}." if delays else ".")


def what_to_look_for(step: Step) -> str:
    """Returns a sentence that tells a reader what this step's figures should show."""
    if any(move.to_router is None for move in step.moves):
        return "entries that run out: what the network kept for the node goes by itself."
    paths = (step.path.forward, step.path.reverse)
    if not any((*path.before, *path.during, *path.after) for path in paths):
        return "nothing arrived in this step, so there is no path to compare."
    if all(path.before == path.during == path.after for path in paths):
        return f"one path all along{_times(step.stretch.after)}."
    detour = any(path.during not in (path.before, path.after) for path in paths)
    if detour:
        return (
            f"the way round while the network learns of the move{_times(step.stretch.during)}, "
            f"and the path in the end{_times(step.stretch.after)}."
        )
    return (
        "a change from the old path to the new one with no way round between them"
        f"{_times(step.stretch.after)}."
    )


def _times(stretch: float | None) -> str:
    return "" if stretch is None else f" ({ratio(stretch)} times the shortest)"
