"""Kernel state to and from netlink octets, and what is computed from the configuration."""

from __future__ import annotations

import struct
from ipaddress import IPv6Address, IPv6Network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmm_agent.attachment.links import decode_link
from dmm_agent.config import AgentConfig
from dmm_agent.dataplane import layout as places
from dmm_agent.dataplane.netlink import attribute, attributes, messages
from dmm_agent.dataplane.nflog import parse as parse_sample
from dmm_agent.dataplane.nftables import ruleset
from dmm_agent.dataplane.rtnetlink import (
    Decapsulate,
    Encapsulate,
    KernelRoute,
    Pass,
    Refuse,
    Rule,
    Target,
    Via,
    add_rule,
    decode_route,
    decode_rule,
    put_route,
)
from dmm_agent.dataplane.tunnels import TUNNELS
from dmm_agent.functions.events import Interception

networks = st.builds(
    lambda bits, length: IPv6Network((bits >> (128 - length) << (128 - length), length)),
    st.integers(0, (1 << 128) - 1),
    st.integers(1, 128),
)
addresses = st.builds(IPv6Address, st.integers(1, (1 << 128) - 1))
indexes = st.integers(1, 1 << 20)
targets = st.one_of(
    st.builds(Via, indexes, addresses),
    st.builds(Encapsulate, addresses, indexes, st.none() | addresses),
    st.builds(Decapsulate, indexes),
    st.just(Refuse()),
    st.just(Pass()),
)


@given(st.builds(KernelRoute, st.integers(256, 1 << 31), networks, targets, indexes))
def test_routes_survive_the_way_to_the_kernel_and_back(route: KernelRoute) -> None:
    assert decode_route(put_route(route).body) == route


@given(
    st.builds(
        Rule,
        priority=st.integers(0, 32_000),
        table=st.integers(0, 1 << 31),
        source=st.none() | networks,
        destination=st.none() | networks,
        incoming=st.sampled_from(["", "gw1"]),
        mark=st.integers(0, 0xFFFF),
        mark_mask=st.integers(1, 0xFFFF),
        ip_protocol=st.integers(0, 255),
    )
)
def test_rules_survive_the_way_to_the_kernel_and_back(rule: Rule) -> None:
    assert decode_rule(add_rule(rule).body) == rule


@given(st.binary(max_size=200))
def test_broken_netlink_messages_are_read_without_a_fault(data: bytes) -> None:
    for kind, _flags, _sequence, body in messages(data):
        parse_sample(kind, body)
        decode_link(kind, body)
    attributes(data)
    parse_sample(0x400, data)
    decode_link(16, data)


def test_a_logged_packet_is_read() -> None:
    packet = struct.pack("!IHBB", 6 << 28, 0, 17, 64)
    packet += IPv6Address("2001:db8::1").packed + IPv6Address("2001:db8::2").packed
    body = struct.pack("!BBH", 10, 0, 5) + attribute(4, struct.pack("!I", 3))
    body += attribute(8, struct.pack("!HH8s", 6, 0, bytes.fromhex("020000000101")))
    body += attribute(9, packet)

    sample = parse_sample(0x400, body)

    assert sample is not None
    assert (sample.group, sample.interface, sample.link_layer) == (5, 3, "02:00:00:00:01:01")
    assert (str(sample.source), str(sample.destination)) == ("2001:db8::1", "2001:db8::2")
    assert parse_sample(0x400, body[:-1]) is None


def config(host: str, address: str, **changes: Any) -> AgentConfig:
    return AgentConfig.model_validate(
        {
            "schema": 1,
            "host": host,
            "network": "net1",
            "address": address,
            "directory": {
                "networks": [
                    {
                        "network": f"net{n}",
                        "prefix": f"2001:db8:{n}::/48",
                        "mobile_pool": f"2001:db8:{n}:8000::/49",
                        "lm": f"2001:db8:{n}::1",
                        "mr": f"2001:db8:{n}::1",
                    }
                    for n in (1, 2)
                ]
            },
            "functions": {},
            **changes,
        }
    )


SEG6 = TUNNELS["seg6"]
GATEWAY = config("gw1", "2001:db8:1::1", uplinks=["core"])
ACCESS = config(
    "ar1",
    "2001:db8:1::2",
    uplinks=["gw1", "gw2"],
    access_links=["mn1", "mn2"],
    home_block="2001:db8:1:8100::/56",
)


@pytest.mark.parametrize(
    ("host", "misdirected"),
    [
        (GATEWAY, {"2001:db8:2:8000::/49": Encapsulate(IPv6Address("2001:db8:2::1"), 7)}),
        (ACCESS, {"2001:db8:1:8000::/49": Refuse(), "2001:db8:2:8000::/49": Refuse()}),
    ],
)
def test_a_gateway_sends_what_is_misdirected_home_an_access_router_refuses_it(
    host: AgentConfig, misdirected: dict[str, Target]
) -> None:
    routes = places.layout(host, SEG6, 7).routes
    found = {str(r.prefix): r.target for r in routes if r.table == places.TABLE_HOMES}
    assert found == misdirected


def test_rules_are_unique_and_the_local_one_comes_right_after_decapsulation() -> None:
    for host in (GATEWAY, ACCESS):
        rules = places.layout(host, SEG6, 7).rules
        assert len(set(rules)) == len(rules)
        assert [r.priority for r in sorted(rules, key=lambda r: r.priority)[:2]] == [5, 10]


def test_an_access_router_answers_for_absent_nodes_on_every_uplink() -> None:
    absent = [r for r in places.layout(ACCESS, SEG6, 7).rules if r.priority == places.RULE_ABSENT]
    assert [r.incoming for r in absent] == ["gw1", "gw2"]
    assert {r.table for r in absent} == {0}


def test_nftables_has_only_the_rules_a_host_needs() -> None:
    assert "@observed" not in ruleset(GATEWAY, SEG6, intercepts=frozenset(Interception)).content
    assert "@intercepted" not in ruleset(ACCESS, SEG6, intercepts=frozenset()).content
    assert '"mn1", "mn2"' in ruleset(ACCESS, SEG6, intercepts=frozenset()).content
