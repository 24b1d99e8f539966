"""What the agent counts, bounded whatever peers send."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

KEYS_PER_GROUP = 256
OTHERS = "(others)"


class Counters:
    """Counts by group and key; keys beyond a bound are counted together."""

    def __init__(self) -> None:
        self._groups: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def count(self, group: str, key: str, amount: int = 1) -> None:
        """Add to one count."""
        counts = self._groups[group]
        if key not in counts and len(counts) >= KEYS_PER_GROUP:
            key = OTHERS
        counts[key] += amount

    def rows(self) -> list[dict[str, Any]]:
        """One row a count, for `dmmctl counters`."""
        return [
            {"group": group, "key": key, "count": count}
            for group, counts in sorted(self._groups.items())
            for key, count in sorted(counts.items())
        ]
