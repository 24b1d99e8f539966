"""Packets that wait for an answer: from when to when, in `while_resolving: hold` (draft, 7: RS2).

The data plane keeps the packets themselves, in a bounded buffer. Here is decided when it lets them
go: when the answer is there, or when it took too long. Then packets go the ordinary way by the home
network until the question is answered or given up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmm_agent.functions.effects import (
    CancelTimer,
    Effect,
    Install,
    PassingRoute,
    Record,
    Release,
    Remove,
    SetTimer,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv6Network


class Holding:
    """The destinations whose packets an MR holds. Its timers have the key ``("hold", prefix)``.

    Bounded by the questions that are open: each destination has one.
    """

    def __init__(self, owner: str, hold_s: float) -> None:
        self._owner = owner
        self._hold_s = hold_s
        self._waiting: set[IPv6Network] = set()
        self._overdue: set[IPv6Network] = set()

    def begin(self, prefix: IPv6Network, now: float) -> Iterator[Effect]:
        """Packets wait for the answer to an open question from now on."""
        if prefix not in self._overdue and prefix not in self._waiting:
            self._waiting.add(prefix)
            yield SetTimer(self._owner, ("hold", prefix), now + self._hold_s)

    def overdue(self, prefix: IPv6Network) -> Iterator[Effect]:
        """The answer takes too long: late is better than never."""
        if prefix in self._waiting:
            self._waiting.remove(prefix)
            self._overdue.add(prefix)
            yield Record("held_too_long", {"prefix": str(prefix)})
            yield Install(PassingRoute(prefix))
            yield Release(prefix)

    def end(self, prefix: IPv6Network, *, passing: bool = False) -> Iterator[Effect]:
        """The question is answered or nobody's any more: packets go where routes say.

        Args:
            prefix: what was asked for.
            passing: whether the answer itself is to let packets pass.
        """
        if prefix in self._waiting:
            self._waiting.remove(prefix)
            yield CancelTimer(self._owner, ("hold", prefix))
            yield Release(prefix)
        elif prefix in self._overdue:
            self._overdue.remove(prefix)
            if not passing:
                yield Remove(PassingRoute(prefix))
