"""What machines of a lab hold just now: tables of agents, routes of kernels, addresses of nodes."""

from __future__ import annotations

import json
from ipaddress import IPv6Address, IPv6Interface, IPv6Network
from typing import TYPE_CHECKING, Any

from dmm_agent.dataplane.layout import TABLE_HOMES
from dmm_testbed.verify.kernel_routes import read_routes

if TYPE_CHECKING:
    from cast import Cast
    from labs import Lab

AGENT_PROTOCOL = "77"


def table(lab: Lab, host: str, name: str) -> list[dict[str, Any]]:
    return list(json.loads(lab.host(host).check_output(f"dmmctl {name} --json")))


def bindings(lab: Lab, host: str) -> dict[str, str]:
    return {row["hnp"]: row["location"] for row in table(lab, host, "bindings")}


def addresses(lab: Lab, cast: Cast, pool: IPv6Network) -> list[dict[str, Any]]:
    """The mobile node's addresses out of a pool, as its kernel describes them."""
    return addresses_of(lab, cast.mobile_node, pool)


def addresses_of(lab: Lab, node: str, pool: IPv6Network) -> list[dict[str, Any]]:
    """The same of any mobile node."""
    shown = lab.host(node).check_output("ip -json -6 address show dev radio0")
    return [
        info
        for entry in json.loads(shown)
        for info in entry.get("addr_info", [])
        if info and IPv6Address(info["local"]) in pool
    ]


def home_prefix(lab: Lab, cast: Cast) -> str:
    """That of the address that is preferred for longest; those of ended leases are not at all."""
    known = addresses(lab, cast, cast.home_pool)
    address = max(known, key=lambda info: info["preferred_life_time"])["local"]
    return str(IPv6Interface(f"{address}/64").network)


def events(lab: Lab, host: str, name: str) -> list[dict[str, Any]]:
    """What happened at a host of that name, oldest first."""
    lines = lab.host(host).check_output("dmmctl events --json").splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == name]


def tunnels(lab: Lab, host: str) -> dict[str, str]:
    """Prefixes that a machine's kernel encapsulates because of some node, and where to."""
    routes = read_routes(
        lab.host(host).check_output(f"ip -json -6 route show table all proto {AGENT_PROTOCOL}")
    )
    return {
        route["dst"]: route["endpoint"]
        for route in routes
        if "endpoint" in route and route["table"] != str(TABLE_HOMES)
    }


def of_foreign_source(lab: Lab, router: str) -> int:
    """Packets that a router dropped for their source."""
    shown = lab.host(router).check_output(
        "nft --json list counter ip6 source_filter foreign_source"
    )
    return int(json.loads(shown)["nftables"][1]["counter"]["packets"])
