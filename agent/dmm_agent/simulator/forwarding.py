"""How packets would go: the data plane's policy rules (docs/dataplane.md) as a model.

It holds nothing but the routes that the functions installed, so what it says of a packet's path is
said of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from dmm_agent.functions.effects import (
    BindingRoute,
    CacheRoute,
    Delivery,
    Route,
    VisitorRoute,
    VisitorShortcut,
)
from dmm_agent.functions.prefix import HNP_LENGTH

if TYPE_CHECKING:
    from ipaddress import IPv6Address, IPv6Network

    from dmm_agent.simulator.plan import Plan, Router

HOP_LIMIT = 64


class Outcome(Enum):
    """What became of a packet."""

    DELIVERED = "delivered"
    UNREACHABLE = "unreachable"
    FILTERED = "filtered"
    LOOP = "loop"


@dataclass(slots=True)
class Tables:
    """The forwarding state of one router."""

    routes: dict[tuple[type, IPv6Network], Route] = field(default_factory=dict)
    _unclaimed: dict[tuple[type, IPv6Network], Route] = field(default_factory=dict)
    """Routes from before the agent's restart."""
    _by_number: dict[tuple[type, int], Route] = field(default_factory=dict)
    """The routes for /64s, by the number of the prefix."""

    def install(self, route: Route) -> bool:
        """Put a route in, replacing the one of its type and prefix.

        Returns:
            Whether that changes anything.
        """
        key = type(route), route.prefix
        self._unclaimed.pop(key, None)
        if self.routes.get(key) == route:
            return False
        self.routes[key] = route
        if route.prefix.prefixlen == HNP_LENGTH:
            self._by_number[type(route), _number(route.prefix.network_address)] = route
        return True

    def remove(self, route: Route) -> bool:
        """Take a route out, if it is there.

        Returns:
            Whether it was.
        """
        key = type(route), route.prefix
        self._unclaimed.pop(key, None)
        if self.routes.pop(key, None) is None:
            return False
        if route.prefix.prefixlen == HNP_LENGTH:
            del self._by_number[type(route), _number(route.prefix.network_address)]
        return True

    def adopt(self) -> None:
        """The agent starts anew: what is here is from the one before."""
        self._unclaimed = dict(self.routes)

    def unclaimed(self) -> list[Route]:
        """What the new agent has neither installed nor removed."""
        return list(self._unclaimed.values())

    def __len__(self) -> int:
        return len(self.routes)

    def exact(self, kind: type, address: IPv6Address) -> Route | None:
        """The route of a kind for the /64 around an address."""
        return self._by_number.get((kind, _number(address)))

    def delivers(self, address: IPv6Address, link: str) -> bool:
        """Whether packets for the address go to a link, so that packets from it are admitted."""
        route = self.exact(Delivery, address)
        return isinstance(route, Delivery) and route.link == link

    def longest(self, kind: type, address: IPv6Address) -> Route | None:
        """The most specific route of a kind that covers an address."""
        matching = [r for (k, p), r in self.routes.items() if k is kind and address in p]
        return max(matching, key=lambda r: r.prefix.prefixlen, default=None)


def _number(address: IPv6Address) -> int:
    """What tells the /64 around an address from others."""
    return int(address) >> (128 - HNP_LENGTH)


@dataclass(frozen=True, slots=True)
class Trace:
    """The routers a packet passed, and its end."""

    path: tuple[str, ...]
    outcome: Outcome


class Forwarding:
    """Follows single packets through everybody's tables as they are now."""

    def __init__(self, plan: Plan, tables: dict[str, Tables]) -> None:
        self._plan = plan
        self._tables = tables
        self._known: dict[tuple[str, IPv6Address, IPv6Address], Trace] = {}

    def trace(self, start: str, source: IPv6Address, destination: IPv6Address) -> Trace:
        """The path of a packet that a host below router `start` sends.

        It follows from the tables alone, so it is remembered until one of them changes.
        """
        key = start, source, destination
        trace = self._known.get(key)
        if trace is None:
            trace = self._known[key] = self._follow(start, source, destination)
        return trace

    def tables_changed(self) -> None:
        """A route was installed or removed somewhere."""
        self._known.clear()

    def _follow(self, start: str, source: IPv6Address, destination: IPv6Address) -> Trace:
        path: list[str] = []
        at, tunnelled, from_uplink = self._plan.routers[start], False, False
        while len(path) < HOP_LIMIT:
            path.append(at.name)
            step = self._step(at, source, destination, tunnelled=tunnelled, from_uplink=from_uplink)
            if isinstance(step, Outcome):
                return Trace(tuple(path), step)
            at, tunnelled, from_uplink = step
        return Trace(tuple(path), Outcome.LOOP)

    def _step(
        self,
        at: Router,
        source: IPv6Address,
        destination: IPv6Address,
        *,
        tunnelled: bool,
        from_uplink: bool,
    ) -> Outcome | tuple[Router, bool, bool]:
        tables = self._tables[at.name]
        if tables.exact(Delivery, destination) is not None:
            return Outcome.DELIVERED
        bound = tables.exact(BindingRoute, destination)
        if isinstance(bound, BindingRoute):
            return self._tunnel(bound.endpoint)
        home = self._plan.directory.home_of(destination)
        foreign = home is not None and home.network != at.network
        if tunnelled and (foreign or (home is not None and at.gateway is not None)):
            return Outcome.UNREACHABLE
        if not tunnelled:
            cached = tables.exact(CacheRoute, destination)
            if isinstance(cached, CacheRoute):
                return self._tunnel(cached.endpoint)
            visitor = tables.exact(VisitorRoute, source)
            if isinstance(visitor, VisitorRoute) and not self._inside(at, destination):
                shortcut = tables.longest(VisitorShortcut, destination)
                way = shortcut if isinstance(shortcut, VisitorShortcut) else visitor
                return self._tunnel(way.endpoint)
        return self._plain(at, source, destination, from_uplink=from_uplink)

    def _inside(self, at: Router, destination: IPv6Address) -> bool:
        owner = self._plan.directory.owner_of(destination)
        return owner is not None and owner.network == at.network

    def _tunnel(self, endpoint: IPv6Address) -> tuple[Router, bool, bool]:
        return self._plan.by_address[endpoint], True, True

    def _plain(
        self, at: Router, source: IPv6Address, destination: IPv6Address, *, from_uplink: bool
    ) -> Outcome | tuple[Router, bool, bool]:
        """The underlay: access router - gateway - core, with a source filter at the core."""
        if at.gateway is not None:
            if at.block is not None and destination in at.block and from_uplink:
                return Outcome.UNREACHABLE
            if destination == at.correspondent:
                return Outcome.DELIVERED
            return self._plan.routers[at.gateway], False, False
        if self._inside(at, destination):
            below = self._plan.below(at.name, destination)
            return Outcome.UNREACHABLE if below is None else (below, False, True)
        came_from = self._plan.directory.owner_of(source)
        if came_from is None or came_from.network != at.network:
            # A tunnel's far end may send its own network's packets on; nobody else's.
            return Outcome.FILTERED
        owner = self._plan.directory.owner_of(destination)
        if owner is None:
            return Outcome.UNREACHABLE
        return self._plan.gateway_of(owner.network), False, True
