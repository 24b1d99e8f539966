"""The forwarding state of a host three times over: by its entries, by dmmctl, by its kernel."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Network
from random import Random
from typing import TYPE_CHECKING, Any

from dmm_agent.dataplane import layout as places
from dmm_agent.dataplane.rtnetlink import TABLE_LOCAL, TABLE_MAIN
from dmm_agent.dataplane.tunnels import TUNNELS
from dmm_agent.functions.node import build_node

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmm_agent.config import AgentConfig
    from dmm_testbed.verify.running import AgentView

VISITOR_TABLES = range(places.FIRST_VISITOR_TABLE, places.LAST_VISITOR_TABLE + 1)
ENCAPSULATING = {
    places.TABLE_BOUND: "BindingRoute",
    places.TABLE_CACHE: "CacheRoute",
    places.TABLE_SHORTCUT: "VisitorShortcut",
}
REFUSING = {places.TABLE_CACHE: "RefusingRoute", places.TABLE_INSIDE: "InsideRoute"}
ANY_DEVICE = 1
LEARNED = ("CacheRoute", "RefusingRoute", "VisitorShortcut")


@dataclass(frozen=True, order=True)
class Route:
    """One piece of forwarding state; `to` is a link, a tunnel endpoint, or empty: refused."""

    kind: str
    prefix: IPv6Network
    to: str

    def __str__(self) -> str:
        return f"{self.kind} {self.prefix} to {self.to}"


def by_dmmctl(view: AgentView) -> set[Route]:
    """What the agent says is in the kernel."""
    return {_row(row) for row in view.rows("routes")}


def adopted(view: AgentView) -> set[Route]:
    """Routes left by an earlier run of the agent, which keep traffic going until all is relearnt.

    The agent takes out what nothing asked for a while after its start.
    """
    return {_row(row) for row in view.rows("routes") if row["adopted"]}


def _row(row: dict[str, Any]) -> Route:
    return Route(
        row["kind"], IPv6Network(row["prefix"]), row.get("link") or row.get("endpoint", "")
    )


def by_kernel(view: AgentView) -> set[Route]:
    """What `ip -6 route` and `ip -6 rule` show of the agent's, standing routes left out."""
    homes = {
        _table(row): row["endpoint"]
        for row in view.kernel_routes
        if _table(row) in VISITOR_TABLES and "endpoint" in row
    }
    found = set()
    for row in view.kernel_routes:
        table, prefix = _table(row), _network(row["dst"])
        if "endpoint" in row and table in ENCAPSULATING:
            found.add(Route(ENCAPSULATING[table], prefix, row["endpoint"]))
        elif table == places.TABLE_BOUND and "gateway" in row:
            found.add(Route("Delivery", prefix, row["dev"]))
        elif table == places.TABLE_WITHDRAWN and "gateway" in row:
            found.add(Route("Withdrawal", prefix, row["dev"]))
        elif table in REFUSING and row.get("type") == "unreachable":
            found.add(Route(REFUSING[table], prefix, ""))
        elif table == places.TABLE_HOLD and row.get("type") == "throw":
            found.add(Route("PassingRoute", prefix, ""))
    for rule in view.kernel_rules:
        table = _table(rule)
        if rule["priority"] == places.RULE_VISITOR and table in homes:
            found.add(Route("VisitorRoute", _network(rule["src"], rule["srclen"]), homes[table]))
    return found


def by_entries(view: AgentView, config: AgentConfig) -> set[Route]:
    """What must be there by bindings, attachments and policy; for cached answers see `learned`."""
    wanted = {
        Route("Delivery", IPv6Network(prefix), row["link"])
        for row in view.rows("attachments")
        for prefix in row["prefixes"]
    } | {
        Route("Withdrawal", IPv6Network(prefix), row["link"])
        for row in view.rows("attachments")
        for prefix in row["withdrawn"]
    }
    if config.radio is not None:
        # Unless somebody refused them, which is amiss.
        behind = (p for node in config.mobile_nodes.nodes for p in node.mobile_networks)
        wanted |= {Route("InsideRoute", prefix, "") for prefix in behind}
    if "mr" not in config.functions:
        return wanted
    for row in view.rows("bindings"):
        hnp = IPv6Network(row["hnp"])
        if not row["leaving"]:
            wanted.add(Route("BindingRoute", hnp, row["location"]))
        home = config.directory.home_of(hnp)
        if row["visiting"] and home is not None:
            wanted.add(Route("VisitorRoute", hnp, str(home.mr)))
            wanted |= _ways_to_homes(config)
    return wanted


def _ways_to_homes(config: AgentConfig) -> set[Route]:
    """Where nobody is asked (RS2.push), visitors' packets go by the home of their destination."""
    if config.functions["mr"].get("resolution") != "push":
        return set()
    others = (n for n in config.directory.networks if n.network != config.network)
    return {Route("VisitorShortcut", n.prefix, str(n.mr)) for n in others}


def learned(view: AgentView) -> set[tuple[IPv6Network, str]]:
    """Cached answers that steer packets, or refuse them."""
    return {
        (IPv6Network(row["prefix"]), row["location"] or "")
        for row in view.rows("cache")
        if row["location"] or row["status"] == "unknown"
    }


def strangers(view: AgentView, config: AgentConfig) -> Iterator[str]:
    """Routes and rules of ours in the kernel that neither an entry nor the configuration explains.

    `by_kernel` covers those that come from entries; what is left must be the standing ones.
    """
    wanted = _layout(config)
    standing = {(route.table, route.prefix) for route in wanted.routes}
    used = {_table(r) for r in view.kernel_rules if r["priority"] == places.RULE_VISITOR}
    for row in view.kernel_routes:
        table, prefix = _table(row), _network(row["dst"])
        explained = (table, prefix) in standing or table in used
        if not explained and not _from_an_entry(row):
            yield f"route {prefix} in table {row['table']}"
    priorities = {rule.priority for rule in wanted.rules}
    for rule in view.kernel_rules:
        if rule["priority"] not in {*priorities, places.RULE_VISITOR}:
            yield f"rule {rule['priority']} from {rule['src']}"


def missing(view: AgentView, config: AgentConfig) -> Iterator[str]:
    """Standing routes and rules that should be there and are not."""
    wanted = _layout(config)
    there = {(_table(row), _network(row["dst"])) for row in view.kernel_routes}
    for route in wanted.routes:
        if (route.table, route.prefix) not in there:
            yield f"route {route.prefix} in table {route.table}"
    for priority in {rule.priority for rule in wanted.rules}:
        expected = sum(rule.priority == priority for rule in wanted.rules)
        shown = sum(rule["priority"] == priority for rule in view.kernel_rules)
        if shown != expected:
            yield f"{expected} rules of priority {priority}, got {shown}"


def _layout(config: AgentConfig) -> places.Layout:
    node = build_node(config, Random(0))
    entrance = ANY_DEVICE if node.rewrites else 0
    tunnel = TUNNELS[config.dataplane]
    return places.layout(config, tunnel, ANY_DEVICE, node.intercepts, ANY_DEVICE, entrance)


def _from_an_entry(row: dict[str, Any]) -> bool:
    table = _table(row)
    delivers = table in (places.TABLE_BOUND, places.TABLE_WITHDRAWN) and "gateway" in row
    refuses = table in REFUSING and row.get("type") == "unreachable"
    passes = table == places.TABLE_HOLD and row.get("type") == "throw"
    return delivers or refuses or passes or ("endpoint" in row and table in ENCAPSULATING)


def _table(row: dict[str, Any]) -> int:
    named = {"main": TABLE_MAIN, "local": TABLE_LOCAL}
    name = row.get("table", "0")
    return named.get(name) or int(name)


def _network(prefix: str, length: int | None = None) -> IPv6Network:
    if prefix == "default":
        return IPv6Network("::/0")
    return IPv6Network((prefix, length)) if length else IPv6Network(prefix)
