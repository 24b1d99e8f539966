"""How packets would go: the data plane's policy rules (docs/dataplane.md) as a model.

It holds nothing but the routes that the functions installed, so what it says of a packet's path is
said of them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from dmm_agent.functions.effects import (
    BindingRoute,
    CacheRoute,
    Delivery,
    PassingRoute,
    RefusingRoute,
    Route,
    VisitorRoute,
    VisitorShortcut,
    Withdrawal,
)
from dmm_agent.functions.prefix import HNP_LENGTH

if TYPE_CHECKING:
    from ipaddress import IPv6Address, IPv6Network

    from dmm_agent.simulator.plan import Plan, Router

HOP_LIMIT = 64

_Flow = tuple[str, "IPv6Address", "IPv6Address"]
"""First router, source, destination."""


class Outcome(Enum):
    """What became of a packet."""

    DELIVERED = "delivered"
    UNREACHABLE = "unreachable"
    FILTERED = "filtered"
    LOOP = "loop"
    HELD = "held"
    """Waiting at the last router of its path until that knows a way."""


@dataclass(slots=True)
class Tables:
    """The forwarding state of one router."""

    attended: bool = True
    """Whether an agent runs, whose device packets can wait in: it goes when the agent dies."""
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

    def rejects(self, address: IPv6Address, link: str) -> bool:
        """Whether packets from the address that come up a link are answered by an error."""
        route = self.exact(Withdrawal, address)
        return isinstance(route, Withdrawal) and route.link == link

    def longest(self, kind: type, address: IPv6Address) -> Route | None:
        """The most specific route of a kind that covers an address."""
        matching = [r for (k, p), r in self.routes.items() if k is kind and address in p]
        return max(matching, key=lambda r: r.prefix.prefixlen, default=None)


def _passes_gateway(start: Router, end: Router) -> bool:
    """Whether a tunnel leads out of an access router's network, by its gateway."""
    return start.gateway is not None and start.network != end.network


def _number(address: IPv6Address) -> int:
    """What tells the /64 around an address from others."""
    return int(address) >> (128 - HNP_LENGTH)


@dataclass(frozen=True, slots=True)
class Trace:
    """The routers a packet passed, and its end."""

    path: tuple[str, ...]
    outcome: Outcome
    plain: tuple[str, ...]
    """Those it came to as it was sent, not in a tunnel: the ones that show it to their agent."""
    tunnelled: tuple[tuple[str, str], ...]
    """Those it came to in a tunnel, with the router that had put it there."""


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A packet at a router."""

    at: Router
    tunnelled_by: Router | None
    """Who tunnelled it here, if one did; its network is the mark that survives decapsulation."""
    from_uplink: bool


class Forwarding:
    """Follows single packets through everybody's tables as they are now."""

    def __init__(self, plan: Plan, tables: dict[str, Tables]) -> None:
        self._plan = plan
        self._tables = tables
        self._known: dict[_Flow, Trace] = {}
        self._flows: defaultdict[int, set[_Flow]] = defaultdict(set)
        """Those of `_known` by the number of either end's /64."""

    def trace(self, start: str, source: IPv6Address, destination: IPv6Address) -> Trace:
        """The path of a packet that a host below router `start` sends.

        It follows from the tables alone, so it is remembered, and the same, until one of them
        changes that matters to it.
        """
        flow = start, source, destination
        trace = self._known.get(flow)
        if trace is None:
            trace = self._known[flow] = self._follow(start, source, destination)
            self._flows[_number(source)].add(flow)
            self._flows[_number(destination)].add(flow)
        return trace

    def route_changed(self, route: Route) -> None:
        """A route was installed or removed somewhere; it matters to who has its prefix."""
        if route.prefix.prefixlen != HNP_LENGTH:
            self.agents_changed()
            return
        for flow in self._flows.pop(_number(route.prefix.network_address), ()):
            self._known.pop(flow, None)

    def agents_changed(self) -> None:
        """An agent has died or started somewhere: that may matter to all."""
        self._known.clear()
        self._flows.clear()

    def _follow(self, start: str, source: IPv6Address, destination: IPv6Address) -> Trace:
        path: list[str] = []
        plain: list[str] = []
        tunnelled: list[tuple[str, str]] = []
        step: _Arrival | Outcome = _Arrival(self._plan.routers[start], None, from_uplink=False)
        while isinstance(step, _Arrival):
            if len(path) == HOP_LIMIT:
                step = Outcome.LOOP
                break
            path.append(step.at.name)
            if step.tunnelled_by is None:
                plain.append(step.at.name)
            else:
                tunnelled.append((step.at.name, step.tunnelled_by.name))
            here, step = step.at, self._step(step, source, destination)
            if isinstance(step, _Arrival) and _passes_gateway(here, step.at):
                path.append(str(here.gateway))
        return Trace(tuple(path), step, tuple(plain), tuple(tunnelled))

    def _step(
        self, here: _Arrival, source: IPv6Address, destination: IPv6Address
    ) -> _Arrival | Outcome:
        """The rules in their order: bound, then one set for tunnelled packets, one for plain."""
        tables = self._tables[here.at.name]
        if tables.exact(Delivery, destination) is not None:
            return Outcome.DELIVERED
        bound = tables.exact(BindingRoute, destination)
        if isinstance(bound, BindingRoute):
            return self._tunnel(here.at, bound.endpoint)
        if here.tunnelled_by is None:
            if tables.exact(RefusingRoute, destination) is not None:
                return Outcome.UNREACHABLE
            endpoint = self._better_way(here.at, tables, source, destination)
            if endpoint is not None:
                return self._tunnel(here.at, endpoint)
            if self._is_held(here.at, tables, source, destination):
                return Outcome.HELD
        elif elsewhere := self._misdirected(here, source, destination):
            return elsewhere
        return self._plain(here, source, destination)

    def _better_way(
        self, at: Router, tables: Tables, source: IPv6Address, destination: IPv6Address
    ) -> IPv6Address | None:
        """Cache, shortcuts and visitors' tables: for packets that arrived plain."""
        cached = tables.exact(CacheRoute, destination)
        if isinstance(cached, CacheRoute):
            return cached.endpoint
        home = self._plan.directory.home_of(source)
        if home is None or home.network == at.network or self._inside(at, destination):
            return None
        shortcut = tables.longest(VisitorShortcut, destination)
        if isinstance(shortcut, VisitorShortcut):
            return shortcut.endpoint
        visitor = tables.exact(VisitorRoute, source)
        return visitor.endpoint if isinstance(visitor, VisitorRoute) else None

    def _is_held(
        self, at: Router, tables: Tables, source: IPv6Address, destination: IPv6Address
    ) -> bool:
        """Whether a packet waits here because nothing is known of its destination yet."""
        directory = self._plan.directory
        home, own = directory.home_of(destination), directory.named(at.network)
        if not (self._plan.hold and tables.attended) or home is None or home is own:
            return False
        below_an_mr = source in own.mobile_pool or own.mr_of(source) != own.mr
        if at.gateway is None:
            intercepts = not (own.access_mrs and below_an_mr)
        else:
            intercepts = bool(own.access_mrs)
        passing = tables.exact(PassingRoute, destination) is not None
        return intercepts and not passing and (self._plan.anycast or source in own.prefix)

    def _misdirected(
        self, here: _Arrival, source: IPv6Address, destination: IPv6Address
    ) -> _Arrival | Outcome | None:
        """Where a packet goes that came out of a tunnel although its node is not here.

        A gateway sends it on to the node's home, unless that tunnelled it here, and lets through
        what its own nodes send home in a tunnel from where they visit.
        """
        at, home = here.at, self._plan.directory.home_of(destination)
        if home is None:
            return None
        if at.gateway is not None:
            return Outcome.UNREACHABLE
        if home.network == at.network:
            return None
        if here.tunnelled_by is not None and home.network == here.tunnelled_by.network:
            return Outcome.UNREACHABLE
        sender = self._plan.directory.home_of(source)
        reverse = sender is not None and sender.network == at.network
        return None if reverse else self._tunnel(at, home.mr)

    def _inside(self, at: Router, destination: IPv6Address) -> bool:
        owner = self._plan.directory.owner_of(destination)
        return owner is not None and owner.network == at.network

    def _tunnel(self, at: Router, endpoint: IPv6Address) -> _Arrival:
        return _Arrival(self._plan.by_address[endpoint], at, from_uplink=True)

    def _plain(
        self, here: _Arrival, source: IPv6Address, destination: IPv6Address
    ) -> _Arrival | Outcome:
        """The underlay: access router - gateway - core, with a source filter at the core."""
        at = here.at
        if at.gateway is not None:
            blocks = (at.block, at.plain_block)
            mine = any(block is not None and destination in block for block in blocks)
            if mine and here.from_uplink:
                return Outcome.UNREACHABLE
            if destination == at.correspondent:
                return Outcome.DELIVERED
            return _Arrival(self._plan.routers[at.gateway], None, from_uplink=False)
        if self._inside(at, destination):
            below = self._plan.below(at.name, destination)
            return Outcome.UNREACHABLE if below is None else _Arrival(below, None, from_uplink=True)
        home = self._plan.directory.home_of(destination)
        if self._plan.anycast and home is not None:
            return self._tunnel(at, home.mr)  # it announces the prefix itself
        came_from = self._plan.directory.owner_of(source)
        if came_from is None or came_from.network != at.network:
            # A tunnel's far end may send its own network's packets on; nobody else's.
            return Outcome.FILTERED
        owner = self._plan.directory.owner_of(destination)
        if owner is None:
            return Outcome.UNREACHABLE
        return _Arrival(self._plan.gateway_of(owner.network), None, from_uplink=True)
