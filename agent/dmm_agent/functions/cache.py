"""The locations that an MR has learnt: a bounded cache of answers, and the routes they stand for.

An entry lapses with the answer's lifetime; the least recently used goes first when there is no room
(draft, 7: RS2).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dmm_agent.functions.effects import (
    CacheRoute,
    CancelTimer,
    Effect,
    Install,
    PassingRoute,
    RefusingRoute,
    Remove,
    SetTimer,
    VisitorShortcut,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from ipaddress import IPv6Address, IPv6Network

    from dmm_agent.functions.effects import Route
    from dmm_agent.wire import AnswerStatus

IN_USE_S = 3.0
"""A location counts as in use for this long after its last sampled packet."""
REFRESH_AHEAD_S = 1.0
"""A location in use is asked for again this long before it lapses, or halfway, which is later for
answers that hold for a moment only: the last ones about a binding that runs out."""

LearntRoute = CacheRoute | RefusingRoute | PassingRoute | VisitorShortcut
"""What an answer can put into the data plane."""


@dataclass(slots=True)
class Entry:
    """One cached answer."""

    prefix: IPv6Network
    status: AnswerStatus
    endpoint: IPv6Address | None
    routes: tuple[LearntRoute, ...]
    """What the answer put into the data plane."""
    expires_at: float
    learnt_at: float
    used_at: float = field(init=False)

    def __post_init__(self) -> None:
        """What has been asked for is in use."""
        self.used_at = self.learnt_at

    @property
    def refresh_at(self) -> float:
        """When to ask for it again, if it is in use."""
        return max(self.expires_at - REFRESH_AHEAD_S, (self.learnt_at + self.expires_at) / 2)

    @property
    def leads_elsewhere(self) -> bool:
        """Whether packets go to `endpoint`, and not where plain routing takes them."""
        return any(isinstance(route, CacheRoute | VisitorShortcut) for route in self.routes)

    def is_in_use(self, now: float) -> bool:
        """Whether packets for it have been seen a moment ago."""
        return now - self.used_at <= IN_USE_S


class Cache:
    """Answers by prefix. Its timers have the key ``("lapse", prefix)``."""

    def __init__(self, owner: str, limit: int) -> None:
        self._owner = owner
        self._limit = limit
        self._entries: OrderedDict[IPv6Network, Entry] = OrderedDict()
        self._inherited: dict[IPv6Network, tuple[LearntRoute, ...]] = {}
        """What answers to an earlier run left in the data plane."""

    def inherit(self, routes: Iterable[Route]) -> None:
        """Take over routes whose answers are lost: they go when they would have gone with those.

        The first packet asks anew, and the answer takes their place.
        """
        for route in routes:
            if isinstance(route, LearntRoute):
                others = self._inherited.get(route.prefix, ())
                self._inherited[route.prefix] = (*others, route)

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._entries.values()))

    def get(self, prefix: IPv6Network) -> Entry | None:
        """The entry of a prefix."""
        return self._entries.get(prefix)

    def use(self, prefix: IPv6Network, now: float) -> bool:
        """Note that a packet for the prefix passed; says whether there is an entry for it."""
        entry = self._entries.get(prefix)
        if entry is None:
            return False
        entry.used_at = now
        self._entries.move_to_end(prefix)
        return True

    def put(self, entry: Entry) -> Iterator[Effect]:
        """Add or replace an entry and its route; the least recently used one may have to go."""
        old = self._entries.get(entry.prefix)
        before: tuple[LearntRoute, ...] = ()
        if old is not None:
            entry.used_at = old.used_at
            before = old.routes
        kinds = {type(route) for route in entry.routes}
        outdated = (*before, *self._inherited.pop(entry.prefix, ()))
        yield from (Remove(route) for route in outdated if type(route) not in kinds)
        yield from (Install(route) for route in entry.routes if route not in before)
        self._entries[entry.prefix] = entry
        self._entries.move_to_end(entry.prefix)
        yield self._lapse_timer(entry)
        while len(self._entries) > self._limit:
            yield from self.forget(next(iter(self._entries)))

    def steer(self, entry: Entry, route: LearntRoute) -> Iterator[Effect]:
        """Let an entry steer packets that it has not steered so far."""
        entry.routes = (*entry.routes, route)
        yield Install(route)
        yield self._lapse_timer(entry)

    def unsteer(self, entry: Entry, route: LearntRoute) -> Iterator[Effect]:
        """Let an entry not steer them any more."""
        entry.routes = tuple(r for r in entry.routes if r != route)
        yield Remove(route)

    def _lapse_timer(self, entry: Entry) -> SetTimer:
        at = entry.refresh_at if entry.routes else entry.expires_at
        return SetTimer(self._owner, ("lapse", entry.prefix), at)

    def last_timer(self, entry: Entry) -> SetTimer:
        """Wakes the owner when an entry that was asked for again has not been renewed."""
        return SetTimer(self._owner, ("lapse", entry.prefix), entry.expires_at)

    def forget(self, prefix: IPv6Network) -> Iterator[Effect]:
        """Drop an entry and its routes, if there are any; those of an earlier run, too."""
        yield from map(Remove, self._inherited.pop(prefix, ()))
        entry = self._entries.pop(prefix, None)
        if entry is None:
            return
        yield CancelTimer(self._owner, ("lapse", prefix))
        yield from map(Remove, entry.routes)

    def forget_inherited_shortcuts(self) -> Iterator[Effect]:
        """Drop shortcuts of an earlier run: there are no visitors any more."""
        for prefix, routes in self._inherited.items():
            shortcuts = [route for route in routes if isinstance(route, VisitorShortcut)]
            yield from map(Remove, shortcuts)
            self._inherited[prefix] = tuple(route for route in routes if route not in shortcuts)

    def rows(self, now: float) -> list[dict[str, Any]]:
        """The entries, for `dmmctl`."""
        return [
            {
                "prefix": str(entry.prefix),
                "status": entry.status.name.lower(),
                "location": str(entry.endpoint) if entry.leads_elsewhere else None,
                "remaining_s": round(entry.expires_at - now, 3),
                "used_s_ago": round(now - entry.used_at, 3),
            }
            for entry in self._entries.values()
        ]
