"""What happened, kept in a ring for `dmmctl events` and written to the log."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)

KEPT_EVENTS = 1000
FOLLOWER_BACKLOG = 1000
"""A follower that falls this far behind is cut off."""

Row = dict[str, Any]


class Journal:
    """A bounded ring of events with followers."""

    def __init__(self, kept: int = KEPT_EVENTS) -> None:
        self._ring: deque[Row] = deque(maxlen=kept)
        self._followers: set[asyncio.Queue[Row | None]] = set()
        self._count = 0

    def record(
        self, at_s: float, name: str, fields: dict[str, Any], *, warning: bool = False
    ) -> None:
        """Keep one event, log it, pass it to the followers."""
        self._count += 1
        row: Row = {"sequence": self._count, "at_s": at_s, "event": name, **fields}
        self._ring.append(row)
        log.log(logging.WARNING if warning else logging.INFO, name, extra={"fields": fields})
        for queue in tuple(self._followers):
            self._pass_on(queue, row)

    def _pass_on(self, queue: asyncio.Queue[Row | None], row: Row) -> None:
        if queue.qsize() >= FOLLOWER_BACKLOG:
            self._followers.discard(queue)
            queue.put_nowait(None)
        else:
            queue.put_nowait(row)

    def rows(self) -> list[Row]:
        """The events still kept, oldest first."""
        return list(self._ring)

    @contextmanager
    def followed(self) -> Iterator[asyncio.Queue[Row | None]]:
        """A queue of the events from now on; None in it means that the reader was too slow."""
        queue: asyncio.Queue[Row | None] = asyncio.Queue()
        self._followers.add(queue)
        try:
            yield queue
        finally:
            self._followers.discard(queue)
