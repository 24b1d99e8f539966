"""What the two ways to tunnel have the kernel do; golden octets are iproute2's, by strace."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network
from typing import get_args

import pytest

from dmm_agent.config import AgentConfig, DataPlane
from dmm_agent.dataplane import layout as places
from dmm_agent.dataplane.netlink import attributes
from dmm_agent.dataplane.nftables import ruleset
from dmm_agent.dataplane.rtnetlink import (
    IFLA_AF_SPEC,
    IFLA_IFNAME,
    IFLA_INFO_DATA,
    IFLA_INFO_KIND,
    IFLA_LINKINFO,
    LWTUNNEL_ENCAP_IP6,
    RTA_ENCAP,
    RTA_ENCAP_TYPE,
    RTA_GATEWAY,
    TABLE_MAIN,
    KernelRoute,
    put_route,
    set_link_unnumbered,
)
from dmm_agent.dataplane.tunnels import TUNNELS

IP6TNL = TUNNELS["ip6tnl"]
OWN, PEER = IPv6Address("2001:db8:1::1"), IPv6Address("2001:db8:3::1")
HNP = IPv6Network("2001:db8:1:8100::/64")
LINK_HEADER, ROUTE_HEADER = 16, 12

GATEWAY = {
    "schema": 1,
    "host": "gw1",
    "network": "net1",
    "address": OWN,
    "uplinks": ["core"],
    "directory": {
        "networks": [
            {
                "network": "net1",
                "prefix": "2001:db8:1::/48",
                "mobile_pool": "2001:db8:1:8000::/49",
                "lm": OWN,
                "mr": OWN,
            }
        ]
    },
    "functions": {},
}
"""A configuration that does not say how to tunnel."""


def test_a_route_through_the_tunnel_device_is_said_as_iproute2_says_it() -> None:
    """`ip -6 route add HNP encap ip6 dst PEER src OWN hoplimit 64 via fe80::1 dev ...`."""
    route = KernelRoute(600, HNP, IP6TNL.encapsulate(PEER, OWN, 7), metric=20)

    said = attributes(put_route(route).body[ROUTE_HEADER:])

    assert said[RTA_ENCAP_TYPE] == LWTUNNEL_ENCAP_IP6.to_bytes(2, "little")
    assert said[RTA_ENCAP].hex(" ", -4) == (
        "14000200 20010db8 00030000 00000000 00000001 "
        "14000300 20010db8 00010000 00000000 00000001 "
        "05000400 40000000"
    )
    assert said[RTA_GATEWAY] == IPv6Address("fe80::1").packed


def test_the_tunnel_device_is_asked_for_as_iproute2_asks_for_it() -> None:
    """`ip link add dmm-tnl0 type ip6tnl external mode ip6ip6`."""
    said = attributes(IP6TNL.create_device().body[LINK_HEADER:])
    info = attributes(said[IFLA_LINKINFO])

    assert said[IFLA_IFNAME] == b"dmm-tnl0\0"
    assert info[IFLA_INFO_KIND] == b"ip6tnl"
    assert info[IFLA_INFO_DATA].hex(" ", -4) == "05000900 29000000 04001300"


def test_the_tunnel_device_gets_no_link_local_address() -> None:
    """`ip link set ... addrgenmode none`; iproute2 leaves out the flag of nested attributes."""
    said = attributes(set_link_unnumbered(7).body[LINK_HEADER:])

    assert attributes(said[IFLA_AF_SPEC])[10] == bytes.fromhex("05000800 01000000")


def test_a_packet_that_just_fits_an_uplink_with_its_outer_header_fits_the_device() -> None:
    assert IP6TNL.device_mtu(1540) == 1500
    assert IP6TNL.device_mtu(1300) == 1280  # less than any IPv6 link has: fragments


def test_each_data_plane_that_a_configuration_may_ask_for_is_there() -> None:
    assert set(TUNNELS) == set(get_args(DataPlane))
    assert AgentConfig.model_validate(GATEWAY).dataplane == "seg6"
    assert len({tunnel.device for tunnel in TUNNELS.values()}) == len(TUNNELS)


def test_with_a_tunnel_device_tunnelled_packets_are_delivered_like_others() -> None:
    config = AgentConfig.model_validate(GATEWAY | {"dataplane": "ip6tnl"})
    by_routes, by_device = (places.layout(config, TUNNELS[n], 7) for n in ("seg6", "ip6tnl"))

    assert {r.priority for r in by_routes.rules} - {r.priority for r in by_device.rules} == {5}
    assert [r for r in by_routes.routes if r not in by_device.routes] == [
        route for route in by_routes.routes if route.table == places.TABLE_DECAPSULATE
    ]


def test_a_mobile_router_leads_what_is_for_its_network_inside_before_any_tunnel() -> None:
    inside = IPv6Network("2001:db8:1:8001::/64")
    node = {"id": "mn1@example.net", "link_layer": "02:00:00:00:00:01", "home_address": OWN}
    policy = {"nodes": [node | {"mobile_networks": [inside]}]}
    router = {"radio": "radio0", "uplinks": [], "mobile_nodes": policy}
    plain = {key: value for key, value in GATEWAY.items() if key != "address"}
    config = AgentConfig.model_validate(plain | router)

    (rule,) = [r for r in places.layout(config, TUNNELS["seg6"], 7).rules if r.destination]

    assert (rule.destination, rule.table) == (inside, TABLE_MAIN)
    assert places.RULE_LOCAL < rule.priority < places.RULE_VISITOR


def test_only_marked_packets_are_decapsulated_by_route() -> None:
    (rule,) = TUNNELS["seg6"].decapsulating_rules(OWN)

    assert (rule.mark, rule.mark_mask) == (places.MARK_TUNNELLED, places.MARK_MASK)


@pytest.mark.parametrize("name", TUNNELS)
def test_guards_come_after_the_marks_that_they_look_at(name: str) -> None:
    text = ruleset(AgentConfig.model_validate(GATEWAY), TUNNELS[name], frozenset()).content
    marked = text.index("meta mark set")

    for guard in TUNNELS[name].guards(OWN):
        assert text.index(guard) > marked
