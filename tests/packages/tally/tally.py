"""A mobility function of somebody else's: counts the nodes that come to an access router."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from dmm_agent.functions.base import Context, Function, Options
from dmm_agent.functions.effects import Effect, Record
from dmm_agent.functions.events import Attached, Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_NODES = 10_000


class TallyOptions(Options):
    """Options of `tally`."""

    tally_every: int = Field(1, ge=1)
    """Write an event for every so many new nodes."""


class Tally(Function[TallyOptions]):
    """Counts mobile nodes by their link-layer address; needs the proxy beside it."""

    name: ClassVar[str] = "tally"
    options_class: ClassVar[type[Options]] = TallyOptions
    requires: ClassVar[frozenset[str]] = frozenset({"proxy"})

    def __init__(self, context: Context, options: TallyOptions) -> None:
        super().__init__(context, options)
        self._seen: set[str] = set()

    def handle(self, event: Event, now: float) -> Iterable[Effect]:
        """Count a node when it attaches for the first time."""
        del now
        if not isinstance(event, Attached) or event.link_layer in self._seen:
            return
        if len(self._seen) < MAX_NODES:
            self._seen.add(event.link_layer)
        if len(self._seen) % self.options.tally_every == 0:
            yield Record("tally", {"nodes": len(self._seen)})

    def snapshot(self, now: float) -> Mapping[str, list[dict[str, Any]]]:
        """One row, how many nodes there were."""
        del now
        return {"tally": [{"host": self.context.host, "nodes": len(self._seen)}]}
