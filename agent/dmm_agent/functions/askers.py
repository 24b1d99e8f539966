"""Who holds an answer of an LM that may become untrue, and until when (draft, 7).

Remembered on the disk before the answer is given: an LM that forgot them when it was restarted
could not tell them of the next move, and they would send packets to the old place for as long as
the answer holds.
"""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING

from dmm_agent.functions.effects import Effect, Forget, Remember

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from dmm_agent.functions.events import Restored

MAX_ASKERS = 256
"""Most MRs that are remembered for one prefix; above it the oldest must ask again."""
TABLE = "askers"


class Askers:
    """The holders of answers, by prefix."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._until: dict[IPv6Network, dict[IPv6Address, float]] = {}

    def add(
        self, hnp: IPv6Network, asker: IPv6Address, until: float, now: float
    ) -> Iterator[Effect]:
        """The asker holds an answer about this prefix until then."""
        askers = self._until.setdefault(hnp, {})
        askers.pop(asker, None)
        over = [a for a, ends_at in askers.items() if ends_at <= now]
        if len(askers) - len(over) >= MAX_ASKERS:
            over.append(next(a for a in askers if a not in over))
        for other in over:
            del askers[other]
            yield Forget(self._owner, TABLE, _key(hnp, other))
        askers[asker] = until
        yield Remember(self._owner, TABLE, _key(hnp, asker), {"until_s": until})

    def take(self, hnp: IPv6Network) -> Generator[Effect, None, dict[IPv6Address, float]]:
        """Who held an answer about the prefix, and until when; nobody holds one any more."""
        askers = self._until.pop(hnp, {})
        for asker in askers:
            yield Forget(self._owner, TABLE, _key(hnp, asker))
        return askers

    def restore(self, memory: Restored, now: float) -> Iterator[Effect]:
        """Go on from what an earlier run remembered."""
        rows = sorted((fields["until_s"], key) for key, fields in memory.of(self._owner, TABLE))
        for until, key in rows:
            hnp, asker = key.split()
            if until > now:
                self._until.setdefault(IPv6Network(hnp), {})[IPv6Address(asker)] = until
            else:
                yield Forget(self._owner, TABLE, key)


def _key(hnp: IPv6Network, asker: IPv6Address) -> str:
    return f"{hnp} {asker}"
