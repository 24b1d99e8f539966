"""The signalling of a scenario's step, from its results."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dmm_testbed.results import ChartMessage, Results, Step


def messages_in(results: Results, step: Step) -> list[ChartMessage]:
    """All of it, as it was sent."""
    end_ms = step.at_ms + step.duration_ms
    return [m for m in results.messages if m.signalling and step.at_ms <= m.at_ms < end_ms]


def different_messages(results: Results, step: Step) -> Counter[str]:
    """The messages by type, each counted once however often it was sent."""
    sent = {
        (m.sender, m.receiver, m.label, m.detail.split(",")[0]) for m in messages_in(results, step)
    }
    return Counter(label for _, _, label, _ in sent)
