"""Timers of the functions: one heap, no clock."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from dmm_agent.functions.effects import CancelTimer, SetTimer

Identity = tuple[str, "Hashable"]

MIN_GARBAGE = 64
"""Cancelled entries are left in the heap until there are this many and more than live ones."""


class Timers:
    """A set of timers by owner and key."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Identity]] = []
        self._live: dict[Identity, int] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._live)

    def set(self, effect: SetTimer) -> None:
        """Set a timer, replacing an earlier one of the same owner and key."""
        identity = (effect.owner, effect.key)
        self._count += 1
        self._live[identity] = self._count
        heapq.heappush(self._heap, (effect.at_s, self._count, identity))
        if len(self._heap) > 2 * len(self._live) + MIN_GARBAGE:
            self._heap = [e for e in self._heap if self._live.get(e[2]) == e[1]]
            heapq.heapify(self._heap)

    def cancel(self, effect: CancelTimer) -> None:
        """Forget a timer, if it is set."""
        self._live.pop((effect.owner, effect.key), None)

    def next_at(self) -> float | None:
        """When the earliest timer is due, None without timers."""
        while self._heap:
            at_s, count, identity = self._heap[0]
            if self._live.get(identity) == count:
                return at_s
            heapq.heappop(self._heap)
        return None

    def due(self, now: float) -> Iterator[Identity]:
        """Take out, earliest first, the timers due by `now`.

        A timer that is set while this runs, and is due as well, waits for the next call: a
        function that keeps setting timers for the past cannot hold up everything else.
        """
        newest = self._count
        later: list[tuple[float, int, Identity]] = []
        while (at_s := self.next_at()) is not None and at_s <= now:
            entry = heapq.heappop(self._heap)
            if entry[1] > newest:
                later.append(entry)
                continue
            del self._live[entry[2]]
            yield entry[2]
        for entry in later:
            heapq.heappush(self._heap, entry)
