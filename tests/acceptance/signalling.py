"""The signalling of a scenario's step, from its results."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dmm_testbed.results import ChartMessage, Results, Step

KEPT_FOR_S = 30.0
"""Answers hold for longer. Who asks again so late does so because of the time that slow machines
need for a scenario, not because of a move."""


def messages_in(results: Results, step: Step) -> list[ChartMessage]:
    """All of it, as it was sent."""
    end_ms = step.at_ms + step.duration_ms
    return [m for m in results.messages if m.signalling and step.at_ms <= m.at_ms < end_ms]


def messages_since_move(results: Results, step: Step) -> list[ChartMessage]:
    """Those from the step's first move on."""
    return [m for m in messages_in(results, step) if m.at_ms >= step.moves[0].at_ms]


def messages_of_move(results: Results, step: Step) -> Counter[str]:
    """What the step's move costs: messages by type, each once however often it was sent.

    Nothing else is said in such a step, unless machines are slow.
    """
    if results.machines != "namespace":
        return _said_by_slow_machines(results, step)
    sent = {(_ends(m), m.detail.split(",")[0]) for m in messages_in(results, step)}
    return Counter(label for (_, _, label), _ in sent)


def _said_by_slow_machines(results: Results, step: Step) -> Counter[str]:
    """Each since the move once however often it had to be said, without those that come with time.

    One that is late or refused for its time is said again under another sequence number, and
    whoever passes it on does the same.
    """
    since = messages_since_move(results, step)
    said = {(_ends(m), _prefixes(m)) for m in since if not _comes_with_time(m, results)}
    return Counter(label for (_, _, label), _ in said)


def _comes_with_time(message: ChartMessage, results: Results) -> bool:
    """Whether the same was asked or answered long before, and nobody has told that it changed."""
    if message.label not in ("Query", "Answer"):
        return False
    about = _prefixes(message)
    before = [m for m in results.messages if m.at_ms < message.at_ms and _prefixes(m) == about]
    same = [m.at_ms for m in before if _ends(m) == _ends(message)]
    changed = [m.at_ms for m in before if m.label == "UPN"]
    return bool(same) and message.at_ms - max([same[0], *changed]) >= KEPT_FOR_S * 1000


def _ends(message: ChartMessage) -> tuple[str, str, str]:
    """From where to where it goes, and its type."""
    return message.sender, message.receiver, message.label


def _prefixes(message: ChartMessage) -> tuple[str, ...]:
    return tuple(fact for fact in message.detail.split(", ") if "/" in fact)
