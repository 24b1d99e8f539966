"""Which messages only make last what is there already: they come with time, whoever moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dmm_agent import wire

if TYPE_CHECKING:
    from ipaddress import IPv6Network

SLACK_S = 1.0
"""By how much clocks and travel may make a renewal come early or late."""


class _Question(NamedTuple):
    asker: str
    asked: str
    prefix: IPv6Network


class Renewals:
    """Tells renewals from other messages. Has to be shown all messages, in order of time.

    Of an update and its answer the handoff indicator says it (RFC 5213, 8.4: not changed). A query
    is one if its asker holds an answer of which at least half the time is over.
    """

    def __init__(self) -> None:
        self._asked: dict[tuple[str, str, int], tuple[_Question, bool]] = {}
        self._answered: dict[_Question, tuple[float, int]] = {}

    def include(
        self, at_s: float, sender: str, receiver: str, message: wire.Message | None
    ) -> bool:
        """Whether this message is one."""
        match message:
            case wire.BindingUpdate() | wire.BindingAcknowledgement():
                indicator = message.first(wire.HandoffIndicator)
                return indicator is not None and indicator.value == wire.Handoff.UNCHANGED
            case wire.LocationQuery(sequence=sequence):
                named = message.first(wire.HomeNetworkPrefix)
                if named is None:
                    return False
                question = _Question(sender, receiver, named.prefix)
                renewal = self._is_due(question, at_s)
                self._asked[sender, receiver, sequence] = question, renewal
                return renewal
            case wire.LocationAnswer(sequence=sequence, lifetime_s=lifetime_s):
                if (asked := self._asked.get((receiver, sender, sequence))) is None:
                    return False
                question, renewal = asked
                if (valid_for := message.first(wire.HomeNetworkPrefix)) is not None:
                    # It may be wider than what was asked, and is what is asked for from then on.
                    question = question._replace(prefix=valid_for.prefix)
                self._answered[question] = at_s, lifetime_s
                return renewal
            case _:
                return False

    def _is_due(self, question: _Question, at_s: float) -> bool:
        if question not in self._answered:
            return False
        answered_at_s, lifetime_s = self._answered[question]
        passed_s = at_s - answered_at_s
        return lifetime_s / 2 - SLACK_S <= passed_s <= lifetime_s + SLACK_S
