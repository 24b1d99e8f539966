"""Packets really go where the routes say, on this kernel."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

import pytest
from tests.kernel.agent.lab import (
    ADDRESS,
    CN,
    HNP1,
    HNP2,
    LINKS,
    MN_LL,
    Lab,
    goes,
    icmp_errors,
    inside,
    ip,
    run,
    until,
)
from tests.kernel.agent.routers import Router

from dmm_agent.functions.effects import (
    BindingRoute,
    CacheRoute,
    Delivery,
    RefusingRoute,
    VisitorRoute,
    VisitorShortcut,
)
from dmm_agent.functions.events import Interception

pytestmark = [
    pytest.mark.usefixtures("data_planes"),
    pytest.mark.parametrize("data_planes", ["seg6", "ip6tnl", "mixed"], indirect=True),
]

GW1, GW2, GW3, AR1, AR3 = (
    IPv6Address(ADDRESS[host]) for host in ("gw1", "gw2", "gw3", "ar1", "ar3")
)


def at_home(lab: Lab) -> Router:
    """The mobile node is at ar1 and its prefix is delivered there."""
    ar1 = Router("ar1")
    lab.attach("ar1")
    ar1.install(Delivery(HNP1, "mn", MN_LL))
    return ar1


def visiting(lab: Lab) -> dict[str, Router]:
    """The mobile node of network 1 is at ar3; gw1 knows gw3, gw3 knows ar3."""
    routers = {host: Router(host) for host in ("gw1", "gw2", "gw3", "ar1", "ar3")}
    lab.attach("ar3")
    routers["ar3"].install(Delivery(HNP1, "mn", MN_LL))
    routers["gw3"].install(BindingRoute(HNP1, AR3), VisitorRoute(HNP1, GW1))
    routers["gw1"].install(BindingRoute(HNP1, GW3))
    return routers


def test_a_node_at_home_is_served_by_plain_routing(lab: Lab) -> None:
    at_home(lab)
    mn, cn = lab.udp("mn", lab.give_address(HNP1)), lab.udp("cn", CN)
    core = lab.sniff("core", "gw1")

    assert goes(mn, cn)
    assert goes(cn, mn)
    assert core.tunnelled() == []


def test_packets_to_a_visiting_node_are_tunnelled_home_to_visited_to_access_router(
    lab: Lab,
) -> None:
    visiting(lab)
    mn, cn = lab.udp("mn", lab.give_address(HNP1)), lab.udp("cn", CN)
    core, ar3 = lab.sniff("core", "gw1"), lab.sniff("ar3", "gw3")

    assert goes(cn, mn)
    assert core.tunnelled() == [(str(GW1), str(GW3))]
    assert ar3.tunnelled() == [(str(GW3), str(AR3))]


def test_packets_from_a_visiting_node_go_through_its_home_until_a_shortcut_is_known(
    lab: Lab,
) -> None:
    routers = visiting(lab)
    mn, cn = lab.udp("mn", lab.give_address(HNP1)), lab.udp("cn", CN)
    core = lab.sniff("core", "gw3")

    assert goes(mn, cn)
    assert core.tunnelled() == [(str(GW3), str(GW1))]

    routers["gw3"].install(VisitorShortcut(IPv6Network("2001:db8:2::/49"), GW2))
    assert goes(mn, cn)
    assert core.tunnelled() == [(str(GW3), str(GW2))]

    routers["gw3"].remove(VisitorShortcut(IPv6Network("2001:db8:2::/49"), GW2))
    assert goes(mn, cn)
    assert core.tunnelled() == [(str(GW3), str(GW1))]


def test_a_cached_location_takes_packets_straight_to_the_visited_network(lab: Lab) -> None:
    routers = visiting(lab)
    mn, cn = lab.udp("mn", lab.give_address(HNP1)), lab.udp("cn", CN)
    routers["gw2"].install(CacheRoute(HNP1, GW3))
    to_home, to_visited = lab.sniff("core", "gw1"), lab.sniff("core", "gw3")

    assert goes(cn, mn)
    assert to_visited.tunnelled() == [(str(GW2), str(GW3))]
    assert to_home.tunnelled() == []


def test_the_nearest_mr_sends_on_to_the_home_what_plain_routing_brings_no_further(
    lab: Lab,
) -> None:
    at_home(lab)
    Router("gw1")
    gw2 = Router("gw2", Interception.NEAREST)
    mn, cn = lab.udp("mn", lab.give_address(HNP1)), lab.udp("cn", CN)
    core = lab.sniff("core", "gw2")

    assert goes(cn, mn)
    assert core.tunnelled() == [(str(GW2), str(GW1))]
    gw2.install(CacheRoute(HNP1, GW3))
    assert not goes(cn, mn, deadline_s=0.3), "where a location is known, it goes there"
    assert core.tunnelled()[0] == (str(GW2), str(GW3))


def test_full_size_packets_of_an_access_link_fit_the_tunnel(lab: Lab) -> None:
    visiting(lab)
    mn, cn = lab.udp("mn", lab.give_address(HNP1)), lab.udp("cn", CN)

    assert goes(cn, mn, bytes(1500 - 48))
    assert goes(mn, cn, bytes(1500 - 48))


def test_full_size_packets_fit_uplinks_that_have_room_for_just_the_outer_header(lab: Lab) -> None:
    for one, other, _ in LINKS[:3]:
        for host, link in ((one, other), (other, one)):
            ip(host, f"link set {link} mtu 1540")
    visiting(lab)
    mn, cn = lab.udp("mn", lab.give_address(HNP1)), lab.udp("cn", CN)

    assert goes(cn, mn, bytes(1500 - 48))


def test_packets_to_a_prefix_that_nobody_has_are_refused_to_their_sender(lab: Lab) -> None:
    gw2 = Router("gw2")
    gw2.install(RefusingRoute(HNP1))
    sender = lab.udp("cn", CN)
    core = lab.sniff("core", "gw2")
    before = icmp_errors("cn")

    sender.sendto(b"is anybody there", (str(HNP1[5]), 9))
    assert until(lambda: icmp_errors("cn") > before), "gw2 must answer: unreachable"
    assert core.plain_udp() == []

    gw2.remove(RefusingRoute(HNP1))
    sender.sendto(b"and now", (str(HNP1[5]), 9))
    assert until(lambda: bool(core.plain_udp())), "without the route it goes by the home network"


def test_a_packet_that_comes_to_the_old_place_goes_on_by_the_home(lab: Lab) -> None:
    at_home(lab)
    routers = {host: Router(host) for host in ("gw1", "gw2", "gw3")}
    routers["gw2"].install(CacheRoute(HNP1, GW3))
    mn, cn = lab.udp("mn", lab.give_address(HNP1)), lab.udp("cn", CN)
    to_old, to_home = lab.sniff("core", "gw3"), lab.sniff("core", "gw1")

    assert goes(cn, mn)
    assert to_old.tunnelled()[0] == (str(GW2), str(GW3))
    assert to_home.tunnelled() == [(str(GW3), str(GW1))]


def test_what_home_sends_to_a_place_that_lost_the_node_does_not_come_back(lab: Lab) -> None:
    Router("gw1").install(BindingRoute(HNP1, GW3))
    Router("gw3")
    sender = lab.udp("cn", CN)
    core = lab.sniff("core", "gw1")
    before = icmp_errors("cn")

    sender.sendto(b"is it there", (str(HNP1[5]), 9))

    assert until(lambda: icmp_errors("cn") > before), "gw3 must answer: unreachable"
    assert core.tunnelled() == [(str(GW1), str(GW3))]


def test_two_caches_that_point_at_each_other_make_no_loop(lab: Lab) -> None:
    """Of a node that is away from home without anybody's knowing: gw2, gw3, home and no further."""
    routers = {host: Router(host) for host in ("gw1", "gw2", "gw3", "ar1")}
    routers["gw2"].install(CacheRoute(HNP1, GW3))
    routers["gw3"].install(CacheRoute(HNP1, GW2))
    sender = lab.udp("cn", CN)
    core = lab.sniff("core", "gw3")
    before = icmp_errors("cn")

    sender.sendto(b"where are you", (str(HNP1[5]), 9))

    assert until(lambda: icmp_errors("cn") > before), "ar1 must answer: unreachable"
    assert core.tunnelled() == [(str(GW2), str(GW3)), (str(GW3), str(GW1))]


def test_a_misdirected_packet_at_an_access_router_is_refused_not_sent_back(lab: Lab) -> None:
    gw3 = Router("gw3")
    Router("ar3")
    gw3.install(BindingRoute(HNP1, AR3))
    core = lab.sniff("ar3", "gw3")
    sender = lab.udp("gw3", ADDRESS["gw3"])
    before = icmp_errors("gw3")

    sender.sendto(b"nobody here", (str(HNP1[5]), 9))

    assert until(lambda: icmp_errors("gw3") > before)
    assert core.tunnelled() == [(str(GW3), str(AR3))]


def test_an_absent_node_of_an_access_routers_own_block_does_not_bounce(lab: Lab) -> None:
    Router("gw1")
    Router("ar1")
    sender = lab.udp("cn", CN)
    below = lab.sniff("ar1", "gw1")
    before = icmp_errors("cn")

    sender.sendto(b"anybody home", (str(HNP1[5]), 9))

    assert until(lambda: icmp_errors("cn") > before)
    assert below.plain_udp() == [(CN, str(HNP1[5]))]


def test_a_visitors_packet_to_another_networks_node_goes_on_from_its_home(lab: Lab) -> None:
    """Before any shortcut: gw3 tunnels to gw1, which sends on to gw2, where the node is at home."""
    visiting(lab)
    with inside("gw2"):
        run("ip", "-6", "addr", "add", f"{HNP2[5]}/128", "dev", "lo", "nodad")
    mn, other = lab.udp("mn", lab.give_address(HNP1)), lab.udp("gw2", HNP2[5])

    assert goes(mn, other)


def test_what_the_destinations_home_tunnels_here_is_never_sent_back_to_it(lab: Lab) -> None:
    """A stale binding at gw2 points to gw1, and the sender is a node of network 1."""
    routers = visiting(lab)
    routers["gw2"].install(BindingRoute(HNP2, GW1))
    mn = lab.udp("mn", lab.give_address(HNP1))
    to_gw2 = lab.sniff("gw2", "core")
    before = icmp_errors("mn")

    mn.sendto(b"round and round", (str(HNP2[5]), 9))

    assert until(lambda: icmp_errors("mn") > before)
    assert to_gw2.tunnelled().count((str(GW2), str(GW1))) == 1
