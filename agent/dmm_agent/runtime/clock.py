"""The agent's one clock."""

from __future__ import annotations

import time


class Clock:
    """Seconds since 1970 that never jump: wall clock at the start plus monotonic time since."""

    def __init__(self) -> None:
        self._started_at = time.time()
        self._started = time.monotonic()

    @property
    def started_at(self) -> float:
        """When the agent started."""
        return self._started_at

    def now(self) -> float:
        """The time to give to functions."""
        return self._started_at + self.uptime_s()

    def uptime_s(self) -> float:
        """How long the agent has been running."""
        return time.monotonic() - self._started

    def not_before(self, then: float) -> float:
        """Go on from a time that has been before, if it is later; says by how many seconds.

        So nothing lasts longer than it was granted because the host has lost the time, and the
        order of what happened stays what it was.
        """
        behind_s = max(0.0, then - self.now())
        self._started_at += behind_s
        return behind_s
