"""The disk of a router: what its agent remembers, as `dmm_agent.store` keeps it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum

from dmm_agent.functions.effects import Forget, Remember


class CrashPoint(Enum):
    """Where in its work on an event an agent dies; routes are in the kernel by then."""

    BEFORE_WRITE = "before what the event has remembered is on the disk"
    BEFORE_SENDS = "when it is, and nothing has left the host"
    AFTER = "when all is done"


@dataclass(frozen=True, slots=True)
class Crash:
    """An agent dies at this point of the next event that has something remembered."""

    point: CrashPoint
    down_s: float
    """Until it is started again."""


class Disk:
    """Rows by owner, table and key; they stay when the agent dies."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str, str], str] = {}
        self.newest_s = 0.0
        """The agent's time at the last commit; the next agent's does not begin before."""

    def __len__(self) -> int:
        return len(self._rows)

    def write(self, effects: list[Remember | Forget], now: float) -> None:
        """Commit what an event has to be remembered."""
        if effects:
            self.newest_s = now
        for effect in effects:
            at = (effect.owner, effect.table, effect.key)
            if isinstance(effect, Remember):
                self._rows[at] = json.dumps(dict(effect.fields))
            else:
                self._rows.pop(at, None)

    def read(self) -> tuple[Remember, ...]:
        """All rows, in order."""
        rows = sorted(self._rows.items())
        return tuple(Remember(*at, fields=json.loads(fields)) for at, fields in rows)
