"""The data plane of one host: carries out `Install` and `Remove`, adopts, sweeps, takes down."""

from __future__ import annotations

import errno
import socket
from dataclasses import asdict, dataclass, replace
from ipaddress import IPv6Network
from typing import TYPE_CHECKING, Any

from dmm_agent.dataplane import layout as places
from dmm_agent.dataplane.netlink import NetlinkError
from dmm_agent.dataplane.node_tunnels import NodeTunnels
from dmm_agent.dataplane.rtnetlink import (
    DEFAULT_METRIC,
    PROTOCOL,
    RTM_DELROUTE,
    RTM_DELRULE,
    RTM_GETROUTE,
    RTM_GETRULE,
    KernelRoute,
    Pass,
    Refuse,
    Rule,
    Target,
    Via,
    add_rule,
    decode_route,
    decode_rule,
    delete_route,
    delete_rule,
    put_route,
    route_dump_header,
    rule_dump_header,
)
from dmm_agent.dataplane.tunnels import DataplaneError
from dmm_agent.functions.effects import (
    BindingRoute,
    CacheRoute,
    Delivery,
    InsideRoute,
    Install,
    NodeTunnel,
    PassingRoute,
    RefusingRoute,
    Remove,
    Route,
    VisitorRoute,
    VisitorShortcut,
    Withdrawal,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from ipaddress import IPv6Address

    from dmm_agent.dataplane.netlink import Netlink, Request
    from dmm_agent.dataplane.steering import Steering

DEFAULT = IPv6Network("::/0")

TOLERATED_ON_ADD = {errno.EEXIST}
TOLERATED_ON_DELETE = {errno.ESRCH, errno.ENOENT, errno.ENODEV}

_PLACES: dict[type[Route], tuple[int, int]] = {
    Delivery: (places.TABLE_BOUND, places.METRIC_DELIVERY),
    BindingRoute: (places.TABLE_BOUND, places.METRIC_BINDING),
    CacheRoute: (places.TABLE_CACHE, places.METRIC_BINDING),
    RefusingRoute: (places.TABLE_CACHE, places.METRIC_REFUSAL),
    PassingRoute: (places.TABLE_HOLD, places.METRIC_BINDING),
    Withdrawal: (places.TABLE_WITHDRAWN, places.METRIC_DELIVERY),
    VisitorShortcut: (places.TABLE_SHORTCUT, places.METRIC_BINDING),
    InsideRoute: (places.TABLE_INSIDE, places.METRIC_BINDING),
}
"""Table and metric of the routes that are one kernel route each."""

Identity = tuple[type[Route], IPv6Network]


@dataclass(frozen=True, slots=True)
class Failure:
    """An effect the kernel would not take, and why."""

    effect: Install | Remove
    reason: str


class Forwarding:
    """Forwarding state in the kernel, addressed as the functions see it.

    What is in the kernel when the agent starts is adopted: it forwards on, and `stale` later says
    what no function has asked for again.
    """

    def __init__(
        self,
        netlink: Netlink,
        own_prefix: IPv6Network | None,
        steering: Steering,
        node_tunnels: NodeTunnels | None = None,
    ) -> None:
        self._netlink = netlink
        self._own_prefix = own_prefix
        self._steering = steering
        self._node_tunnels = node_tunnels or NodeTunnels()
        self._visitors: dict[IPv6Network, VisitorRoute] = {}
        self._visitor_tables: dict[IPv6Address, int] = {}
        self._adopted: dict[Identity, Route] = {}

    def adopt(self) -> int:
        """Take over what an earlier agent left in the kernel; returns how many routes.

        Those that tunnel in another way than this agent does, because the host's data plane has
        been changed, are replaced one by one, and go on to the same endpoints.

        Raises:
            NetlinkError: the kernel does not list its routes or rules.
        """
        routes, rules = own_routes(self._netlink), own_rules(self._netlink)
        self._netlink.transact([*map(put_route, self._tunnelled_as_we_do(routes))])
        for route in routes:
            endpoint = self._steering.endpoint(route.target)
            if _is_visitor_default(route) and endpoint is not None:
                self._visitor_tables[endpoint] = route.table
        for found in self._as_functions_see(routes, rules):
            self._adopted[type(found), found.prefix] = found
            if isinstance(found, VisitorRoute):
                self._adopt_visitor(found)
        for let_in in self._node_tunnels:
            self._adopted[NodeTunnel, let_in.prefix] = let_in
        return len(self._adopted)

    def _tunnelled_as_we_do(self, routes: Iterable[KernelRoute]) -> Iterator[KernelRoute]:
        for route in routes:
            endpoint = self._steering.endpoint(route.target)
            if endpoint is not None:
                anywhere = _is_visitor_default(route) or route.table == places.TABLE_HOMES
                way = self._steering.to_anywhere if anywhere else self._steering.to
                if route.target != way(endpoint):
                    yield replace(route, target=way(endpoint))

    def _adopt_visitor(self, found: VisitorRoute) -> None:
        """Of two rules for one prefix the later is the newer: an agent died changing them."""
        before = self._visitors.get(found.prefix)
        self._visitors[found.prefix] = found
        if before is not None:
            self._netlink.transact(list(self._leave_table(found.prefix, before.endpoint)))

    def stale(self) -> list[Remove]:
        """What would take out all that was adopted and not asked for since."""
        return [Remove(route) for route in self._adopted.values()]

    def apply(self, effects: Sequence[Install | Remove]) -> list[Failure]:
        """Carry the effects out in order, in one exchange with the kernel."""
        requests: list[tuple[Request, Install | Remove]] = []
        failures: list[Failure] = []
        let_in = [effect for effect in effects if isinstance(effect.route, NodeTunnel)]
        for effect in effects:
            self._adopted.pop((type(effect.route), effect.route.prefix), None)
            try:
                requests += [(request, effect) for request in self._requests(effect)]
            except (OSError, DataplaneError, _NoTableLeftError) as error:
                failures.append(Failure(effect, str(error)))
        if problem := self._node_tunnels.apply(let_in):
            failures += [Failure(effect, problem) for effect in let_in]
        try:
            answers = self._netlink.transact([request for request, _ in requests])
        except NetlinkError as error:
            return failures + [Failure(effect, str(error)) for effect in effects]
        for (request, effect), answer in zip(requests, answers, strict=True):
            deletes = request.type in (RTM_DELROUTE, RTM_DELRULE)
            tolerated = TOLERATED_ON_DELETE if deletes else TOLERATED_ON_ADD
            if answer.errno and answer.errno not in tolerated:
                failures.append(Failure(effect, str(answer)))
        return failures

    def _requests(self, effect: Install | Remove) -> Iterable[Request]:
        route = effect.route
        if isinstance(route, VisitorRoute):
            if isinstance(effect, Install):
                return self._install_visitor(route)
            return self._remove_visitor(route.prefix)
        if isinstance(route, NodeTunnel):
            return []
        table, metric = _PLACES[type(route)]
        if isinstance(effect, Remove):
            return [delete_route(table, route.prefix, metric)]
        return [put_route(KernelRoute(table, route.prefix, self._target(route), metric))]

    def _target(
        self,
        route: Delivery
        | BindingRoute
        | CacheRoute
        | RefusingRoute
        | PassingRoute
        | Withdrawal
        | VisitorShortcut
        | InsideRoute,
    ) -> Target:
        match route:
            case Delivery(_, link, link_local) | Withdrawal(_, link, link_local):
                return Via(_interface_index(link), link_local)
            case RefusingRoute() | InsideRoute():
                return Refuse()
            case PassingRoute():
                return Pass()
            case _:
                return self._steering.to(route.endpoint)

    def _install_visitor(self, route: VisitorRoute) -> Iterator[Request]:
        table = self._visitor_tables.get(route.endpoint)
        if table is None:
            table = self._visitor_tables[route.endpoint] = self._free_table()
        if self._own_prefix is not None:
            yield put_route(KernelRoute(table, self._own_prefix, Pass()))
        if route.source is not None:
            self._steering.tunnel.use_source(route.source)
        anywhere = self._steering.to_anywhere(route.endpoint, route.source)
        yield put_route(KernelRoute(table, DEFAULT, anywhere))
        for prefix in self._steering.known:
            yield put_route(KernelRoute(table, prefix, self._steering.to(route.endpoint)))
        yield add_rule(_visitor_rule(route.prefix, table))
        before = self._visitors.get(route.prefix)
        self._visitors[route.prefix] = route
        if before is not None and before.endpoint != route.endpoint:
            yield from self._leave_table(route.prefix, before.endpoint)

    def _remove_visitor(self, prefix: IPv6Network) -> Iterator[Request]:
        visitor = self._visitors.pop(prefix, None)
        if visitor is not None:
            yield from self._leave_table(prefix, visitor.endpoint)

    def _leave_table(self, prefix: IPv6Network, endpoint: IPv6Address) -> Iterator[Request]:
        table = self._visitor_tables[endpoint]
        yield delete_rule(_visitor_rule(prefix, table))
        if all(visitor.endpoint != endpoint for visitor in self._visitors.values()):
            del self._visitor_tables[endpoint]
            own = () if self._own_prefix is None else (self._own_prefix,)
            for leftover in (DEFAULT, *own, *self._steering.known):
                yield delete_route(table, leftover, DEFAULT_METRIC)

    def _free_table(self) -> int:
        used = set(self._visitor_tables.values())
        for table in range(places.FIRST_VISITOR_TABLE, places.LAST_VISITOR_TABLE + 1):
            if table not in used:
                return table
        raise _NoTableLeftError(f"all {len(used)} tables for visitors' home networks are in use")

    def rows(self) -> list[dict[str, Any]]:
        """What is in the kernel, one row a route, for `dmmctl routes`.

        Raises:
            NetlinkError: the kernel does not list its routes or rules.
        """
        found = self._as_functions_see(own_routes(self._netlink), own_rules(self._netlink))
        found += self._node_tunnels
        rows = [
            {"kind": type(route).__name__}
            | {key: str(value) for key, value in asdict(route).items()}
            | {"adopted": (type(route), route.prefix) in self._adopted}
            for route in found
        ]
        return sorted(rows, key=lambda row: (row["kind"], row["prefix"]))

    def _as_functions_see(
        self, routes: Iterable[KernelRoute], rules: Iterable[Rule]
    ) -> list[Route]:
        """Turn kernel state back into the routes that functions installed."""
        seen: list[Route] = []
        homes: dict[int, IPv6Address] = {}
        for route in routes:
            endpoint = self._steering.endpoint(route.target)
            if endpoint is not None and _is_visitor_default(route):
                homes[route.table] = endpoint
            elif endpoint is not None:
                seen += [
                    kind(route.prefix, endpoint)
                    for kind in (BindingRoute, CacheRoute, VisitorShortcut)
                    if _PLACES[kind] == (route.table, route.metric)
                ]
            else:
                seen += _without_endpoint(route)
        for rule in rules:
            if rule.priority == places.RULE_VISITOR and rule.source and rule.table in homes:
                seen.append(VisitorRoute(rule.source, homes[rule.table]))
        return seen


def _without_endpoint(route: KernelRoute) -> Iterator[Route]:
    match route.target:
        case Via(interface, gateway) if route.table == places.TABLE_BOUND:
            yield Delivery(route.prefix, _interface_name(interface), gateway)
        case Via(interface, gateway) if route.table == places.TABLE_WITHDRAWN:
            yield Withdrawal(route.prefix, _interface_name(interface), gateway)
        case Refuse() if route.table == places.TABLE_CACHE:
            yield RefusingRoute(route.prefix)
        case Refuse() if route.table == places.TABLE_INSIDE:
            yield InsideRoute(route.prefix)
        case Pass() if route.table == places.TABLE_HOLD:
            yield PassingRoute(route.prefix)


class _NoTableLeftError(Exception):
    """Visitors from more home networks than there are tables."""


def _visitor_rule(prefix: IPv6Network, table: int) -> Rule:
    return Rule(places.RULE_VISITOR, table=table, source=prefix, mark_mask=places.MARK_MASK)


def _is_visitor_default(route: KernelRoute) -> bool:
    visitor_tables = range(places.FIRST_VISITOR_TABLE, places.LAST_VISITOR_TABLE + 1)
    return route.table in visitor_tables and route.prefix == DEFAULT


def _interface_index(name: str) -> int:
    try:
        return socket.if_nametoindex(name)
    except OSError:
        raise OSError(f"there is no interface {name} on this host") from None


def own_routes(netlink: Netlink) -> list[KernelRoute]:
    """Every route of our protocol in any table."""
    bodies = netlink.dump(RTM_GETROUTE, route_dump_header())
    return [route for route in map(decode_route, bodies) if route is not None]


def own_rules(netlink: Netlink) -> list[Rule]:
    """Every rule of our protocol."""
    rules = map(decode_rule, netlink.dump(RTM_GETRULE, rule_dump_header()))
    return [rule for rule in rules if rule.protocol == PROTOCOL]


def _interface_name(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:
        return f"if{index}"
