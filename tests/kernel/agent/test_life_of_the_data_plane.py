"""Set-up, adoption, replacement and removal leave the host as promised."""

from __future__ import annotations

import json
from ipaddress import IPv6Address, IPv6Network
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from tests.kernel.agent.lab import ADDRESS, CN, HNP1, HNP2, MN_LL, Stream, goes, inside, run
from tests.kernel.agent.routers import Router

from dmm_agent.dataplane.nftables import TABLE
from dmm_agent.functions.effects import (
    BindingRoute,
    CacheRoute,
    Delivery,
    InsideRoute,
    Install,
    PassingRoute,
    RefusingRoute,
    Remove,
    VisitorRoute,
    VisitorShortcut,
    Withdrawal,
)
from dmm_agent.functions.events import Interception
from dmm_testbed.verify.forwarding import Route, by_kernel, missing, strangers
from dmm_testbed.verify.kernel_routes import read_routes

if TYPE_CHECKING:
    from tests.kernel.agent.lab import Lab

    from dmm_agent.functions import effects

pytestmark = [
    pytest.mark.usefixtures("lab", "data_planes"),
    pytest.mark.parametrize("data_planes", ["seg6", "ip6tnl"], indirect=True),
]

GW1, GW2, GW3 = (IPv6Address(ADDRESS[host]) for host in ("gw1", "gw2", "gw3"))
ROUTES = (
    BindingRoute(HNP1, GW3),
    CacheRoute(HNP2, GW3),
    RefusingRoute(IPv6Network("2001:db8:2:81ff::/64")),
    VisitorRoute(HNP2, GW2),
    VisitorShortcut(IPv6Network("2001:db8:3::/49"), GW3),
    Delivery(IPv6Network("2001:db8:3:8100::/64"), "ar1", MN_LL),
    Withdrawal(IPv6Network("2001:db8:3:8101::/64"), "ar1", MN_LL),
    InsideRoute(IPv6Network("2001:db8:1:8001::/64")),
)


def state(host: str) -> str:
    """Rules, routes, links and nftables of a host as text."""
    with inside(host):
        return "\n".join(
            run(*command.split())
            for command in (
                "ip -6 rule",
                "ip -6 route show table all",
                "ip -br link",
                "nft list ruleset",
            )
        )


def rules_of(host: str) -> dict[str, int]:
    """What rules nftables has, and what the kernel calls each; a new one has another handle."""
    with inside(host):
        listed = json.loads(run("nft", "--json", "list", "table", "ip6", TABLE))["nftables"]
    rules = (entry["rule"] for entry in listed if "rule" in entry)
    return {f"{rule['chain']}: {json.dumps(rule['expr'])}": rule["handle"] for rule in rules}


def leads_to(route: effects.Route) -> str:
    """What verification says of a route's end."""
    match route:
        case Delivery(link=link) | Withdrawal(link=link):
            return link
        case RefusingRoute() | PassingRoute() | InsideRoute():
            return ""
        case _:
            return str(route.endpoint)


def test_flush_leaves_a_host_exactly_as_it_was() -> None:
    before = state("gw1")
    gw1 = Router("gw1")
    gw1.install(*ROUTES)
    assert state("gw1") != before

    gw1.flush()

    assert state("gw1") == before


def test_bringing_up_twice_changes_nothing() -> None:
    gw1 = Router("gw1")
    gw1.install(*ROUTES)
    once = state("gw1")

    Router("gw1")

    assert state("gw1") == once


def test_the_same_rules_are_left_alone_and_others_replace_all_of_them() -> None:
    Router("gw1")
    at_first = rules_of("gw1")

    Router("gw1")
    assert rules_of("gw1") == at_first

    Router("gw1", Interception.OUTBOUND)
    others = rules_of("gw1")
    Router("gw1")
    assert rules_of("gw1").keys() == at_first.keys()
    assert others.keys() != at_first.keys()
    assert set(others.values()).isdisjoint(at_first.values())


def test_every_route_is_listed_as_it_was_installed_and_gone_when_removed() -> None:
    gw1 = Router("gw1")
    empty = state("gw1")
    gw1.install(*ROUTES)

    with inside("gw1"):
        rows = gw1.forwarding.rows()
    assert {(row["kind"], row["prefix"]) for row in rows} == {
        (type(route).__name__, str(route.prefix)) for route in ROUTES
    }

    gw1.remove(*ROUTES)
    gw1.remove(*ROUTES)
    assert state("gw1") == empty


def test_verification_sees_in_the_kernel_what_was_installed() -> None:
    gw1 = Router("gw1")
    gw1.install(*ROUTES)

    with inside("gw1"):
        shown = run("ip", "-json", "-6", "route", "show", "table", "all", "proto", "77")
        rules = json.loads(run("ip", "-json", "-6", "rule", "show"))
    own = [rule for rule in rules if rule.get("protocol") == "77"]
    view: Any = SimpleNamespace(kernel_routes=read_routes(shown), kernel_rules=own)

    assert by_kernel(view) == {Route(type(r).__name__, r.prefix, leads_to(r)) for r in ROUTES}
    assert list(strangers(view, gw1.config)) == []
    assert list(missing(view, gw1.config)) == []


def test_a_restarted_agent_adopts_and_removes_only_what_nobody_asks_for_again() -> None:
    Router("gw1").install(*ROUTES)

    restarted = Router("gw1")
    asked_again = ROUTES[:2]
    restarted.install(*asked_again)
    stale = restarted.forwarding.stale()

    assert set(stale) == {Remove(route) for route in ROUTES[2:]}
    with inside("gw1"):
        assert restarted.forwarding.apply(stale) == []
        left = restarted.forwarding.rows()
    assert {row["prefix"] for row in left} == {str(route.prefix) for route in asked_again}


def test_a_visitor_that_moves_on_to_another_home_leaves_nothing_behind() -> None:
    gw1 = Router("gw1")
    empty = state("gw1")

    gw1.install(VisitorRoute(HNP2, GW2))
    gw1.install(VisitorRoute(HNP2, GW3))
    with inside("gw1"):
        assert [row["endpoint"] for row in gw1.forwarding.rows()] == [str(GW3)]
        assert run("ip", "-6", "rule").count("lookup 640") == 0
    gw1.remove(VisitorRoute(HNP2, GW3))

    assert state("gw1") == empty


def test_a_rule_left_by_an_agent_that_died_half_way_is_cleaned_up() -> None:
    gw1 = Router("gw1")
    gw1.install(VisitorRoute(HNP1, GW2), VisitorRoute(HNP2, GW3))
    with inside("gw1"):
        run("ip", "-6", "rule", "add", "pref", "300", "from", str(HNP1), "fwmark", "0/0xff",
            "lookup", "641", "proto", "77")  # fmt: skip

    restarted = Router("gw1")

    with inside("gw1"):
        rules = run("ip", "-6", "rule")
    assert [rule for rule in rules.splitlines() if f"from {HNP1}" in rule] == [
        f"300:\tfrom {HNP1} fwmark 0/0xff lookup 641 proto 77"
    ]
    restarted.flush()


def test_one_refused_route_does_not_stop_the_others() -> None:
    gw1 = Router("gw1")
    wrong = Install(Delivery(HNP1, "nowhere", MN_LL))
    with inside("gw1"):
        failures = gw1.forwarding.apply([wrong, Install(BindingRoute(HNP2, GW2))])
        rows = gw1.forwarding.rows()

    assert [failure.effect for failure in failures] == [wrong]
    assert "nowhere" in failures[0].reason
    assert [row["prefix"] for row in rows] == [str(HNP2)]


def test_no_packet_is_lost_while_routes_are_replaced_and_the_data_plane_is_brought_up_again(
    lab: Lab,
) -> None:
    ar1, gw1 = Router("ar1"), Router("gw1")
    lab.attach("ar1")
    ar1.install(Delivery(HNP1, "mn", MN_LL))
    gw1.install(BindingRoute(HNP1, IPv6Address(ADDRESS["ar1"])))
    mn, cn = lab.udp("mn", lab.give_address(HNP1)), lab.udp("cn", CN)
    assert goes(cn, mn)
    stream = Stream(cn, mn)
    for _ in range(5):
        Router("gw1")
        Router("ar1")
        for _ in range(20):
            gw1.install(BindingRoute(HNP1, IPv6Address(ADDRESS["ar1"])))
            ar1.install(Delivery(HNP1, "mn", MN_LL))
    received = stream.finish()

    assert stream.sent > 100
    assert received == list(range(stream.sent))
