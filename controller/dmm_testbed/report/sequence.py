"""Which messages a sequence chart shows: retransmissions folded, rows bounded, nothing lost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dmm_testbed.results import ChartMessage, Results

MAX_ROWS = 48
"""Arrows in a chart."""
MAX_MACHINES = 14
"""Lifelines in a chart; messages of further machines are counted with the rest."""


@dataclass(slots=True)
class Row:
    """One arrow of a chart, with the retransmissions folded into it."""

    message: ChartMessage
    repeated_at_ms: list[float] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many messages the arrow stands for."""
        return 1 + len(self.repeated_at_ms)


@dataclass(frozen=True, slots=True)
class Chart:
    """What a chart draws, and what it only counts."""

    rows: tuple[Row, ...]
    machines: tuple[str, ...]
    """Those that took part, in order of appearance."""
    rest: Counter[str]
    """Messages that are not drawn, by label."""
    rest_until_ms: float = 0.0
    """When the last of those was sent."""


def messages_of_steps(results: Results) -> list[list[ChartMessage]]:
    """Returns the messages of each step, in order of time.

    A message belongs to the last step that had begun, so that each is in exactly one of them.
    """
    ordered = sorted(results.messages, key=lambda message: message.at_ms)
    begins = [step.at_ms for step in results.steps]
    found: list[list[ChartMessage]] = [[] for _ in begins]
    for message in ordered if found else []:
        begun = sum(begin <= message.at_ms for begin in begins)
        found[max(begun - 1, 0)].append(message)
    return found


def chart_of(messages: Sequence[ChartMessage]) -> Chart:
    """Returns what to draw of a step's messages, which come in order of time."""
    rows = fold(messages)
    machines = list(dict.fromkeys(chain(*((r.message.sender, r.message.receiver) for r in rows))))
    machines = machines[:MAX_MACHINES]
    fitting = [row for row in rows if {row.message.sender, row.message.receiver} <= {*machines}]
    drawn = fitting[:MAX_ROWS]
    kept = {id(row) for row in drawn}
    rest = [row for row in rows if id(row) not in kept]
    counted: Counter[str] = Counter()
    for row in rest:
        counted[row.message.label] += row.count
    last_ms = max((at_ms for row in rest for at_ms in _times(row)), default=0.0)
    taking_part = {name for row in drawn for name in (row.message.sender, row.message.receiver)}
    return Chart(
        tuple(drawn), tuple(name for name in machines if name in taking_part), counted, last_ms
    )


def fold(messages: Sequence[ChartMessage]) -> list[Row]:
    """Returns one row for a message and its retransmissions.

    A message is taken for a retransmission if the same sender said the same to the same receiver
    before, and the receiver has said nothing to it since. The sequence number may differ, as it
    does when a Binding Update is sent again (RFC 6275, 11.8).
    """
    rows: list[Row] = []
    unanswered: dict[tuple[str, str], dict[tuple[str, ...], Row]] = {}
    for message in messages:
        pair = (message.sender, message.receiver)
        open_rows = unanswered.setdefault(pair, {})
        unanswered.pop(pair[::-1], None)
        meaning = _meaning(message)
        if meaning in open_rows:
            open_rows[meaning].repeated_at_ms.append(message.at_ms)
            continue
        row = Row(message)
        rows.append(row)
        open_rows[meaning] = row
    return rows


def _meaning(message: ChartMessage) -> tuple[str, ...]:
    facts = message.detail.split(", ")
    return (message.label, *(fact for fact in facts if not fact.startswith("seq ")))


def _times(row: Row) -> list[float]:
    return [row.message.at_ms, *row.repeated_at_ms]
