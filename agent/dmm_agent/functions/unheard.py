"""What an LM has told others that they have yet to acknowledge.

Each is remembered on the disk before it leaves, so that an LM which is restarted says it again: who
has not heard that a location is no longer true would send packets there for as long as it holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING

from dmm_agent.functions.effects import Effect, Forget, Remember
from dmm_agent.wire import Timestamp

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from dmm_agent.functions.events import Restored
    from dmm_agent.functions.requests import Requests

MAX_UNHEARD = 4096
"""Most that wait to be acknowledged; above it the oldest is said no more."""


@dataclass(frozen=True, slots=True)
class Word:
    """One thing to be told: to whom, about whose prefix, and until when it matters."""

    table: str
    """Of the store; it says what kind of word it is."""
    peer: IPv6Address
    hnp: IPv6Network
    mn_id: str
    time: Timestamp
    until: float

    @property
    def row(self) -> tuple[str, str]:
        """Table and key: a later word of the kind takes the place of an earlier one."""
        return self.table, f"{self.hnp} {self.peer}"


class Unheard:
    """Words that are on their way, by the request that carries each."""

    def __init__(self, owner: str, requests: Requests) -> None:
        self._owner = owner
        self._requests = requests
        self._words: dict[Hashable, Word] = {}
        self._carriers: dict[tuple[str, str], Hashable] = {}
        """The other way round, by row."""

    def add(self, request: Hashable, word: Word) -> Iterator[Effect]:
        """This request is about to carry the word."""
        if word.row in self._carriers:
            yield from self.heard(self._carriers[word.row])
        elif len(self._words) >= MAX_UNHEARD:
            yield from self.heard(next(iter(self._words)))
        self._words[request] = word
        self._carriers[word.row] = request
        fields = {"mn_id": word.mn_id, "time_units": word.time.units, "until_s": word.until}
        yield Remember(self._owner, *word.row, fields)

    def heard(self, request: Hashable) -> Iterator[Effect]:
        """It was acknowledged, or need not be said any more."""
        yield from self._requests.finish(request)
        yield from self._drop(request)

    def again(self, request: Hashable, now: float) -> Iterator[Effect]:
        """An acknowledgement is overdue."""
        yield from self._requests.again(request, now)
        if request not in self._requests:
            yield from self._drop(request)

    def _drop(self, request: Hashable) -> Iterator[Effect]:
        word = self._words.pop(request, None)
        if word is not None:
            del self._carriers[word.row]
            yield Forget(self._owner, *word.row)


def words_of(memory: Restored, owner: str, table: str) -> Iterator[Word]:
    """What an earlier run had yet to be acknowledged."""
    for key, fields in memory.of(owner, table):
        hnp, peer = key.split()
        yield Word(
            table,
            IPv6Address(peer),
            IPv6Network(hnp),
            fields["mn_id"],
            Timestamp(fields["time_units"]),
            fields["until_s"],
        )
