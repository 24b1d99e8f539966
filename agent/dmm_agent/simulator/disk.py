"""The disk of a router: what its agent remembers, as `dmm_agent.store` keeps it."""

from __future__ import annotations

import json

from dmm_agent.functions.effects import Forget, Remember


class Disk:
    """Rows by owner, table and key; they stay when the agent dies."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str, str], str] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def write(self, effects: list[Remember | Forget]) -> None:
        """Commit what an event has to be remembered."""
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
