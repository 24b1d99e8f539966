"""A mobile node can have a network behind it (RFC 3963); what follows for everybody else."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING

import pytest

from dmm_testbed.topology import InputError, Role, Topology, load_topology, shortest_path
from dmm_testbed.topology.agent_config import agent_config
from dmm_testbed.topology.check import load_checked
from dmm_testbed.topology.underlay import HomeOfNetwork, underlay

if TYPE_CHECKING:
    from pathlib import Path

    from dmm_testbed.topology.profile import Profile

PREFIX = IPv6Network("2001:db8:1:8002::/64")
HOME = IPv6Address("2001:db8:1:4101:0:ff:fe00:102")


@pytest.fixture
def checked(inventory: Path) -> tuple[Topology, Profile]:
    return load_checked(inventory / "mobile-network.yml", inventory / "profiles/host-gateway.yml")


def test_a_network_has_a_prefix_of_its_home_gateway_and_ordinary_hosts(inventory: Path) -> None:
    topology = load_topology(inventory / "mobile-network.yml")
    router, host = topology.machines["mn12"], topology.machines["mn12-1"]
    assert router.mobile is not None
    assert router.mobile.behind is not None
    assert router.mobile.behind.prefix == PREFIX
    block = topology.machines["gw1"].block
    assert block is not None
    assert PREFIX.subnet_of(block)
    assert host.role is Role.FIXED_NODE
    assert [i.name for i in host.interfaces] == ["mn12"]
    assert host.interfaces[0].mtu == 1460, "what comes from there fits into the tunnel"
    assert shortest_path(topology, "cn3", "mn12-1") == (
        "cn3",
        "gw3",
        "gw1",
        "ar11",
        "mn12",
        "mn12-1",
    )


def test_policy_says_to_routers_and_to_itself_what_is_behind_a_mobile_router(
    checked: tuple[Topology, Profile],
) -> None:
    for name in ("gw1", "mn12"):
        config = agent_config(*checked, name)
        assert config is not None
        (entry,) = (n for n in config["mobile_nodes"]["nodes"] if n["id"].startswith("mn12"))
        assert entry["mobile_networks"] == [str(PREFIX)]
        assert entry["home_address"] == str(HOME)


def test_at_home_a_network_is_reached_by_the_access_router_of_its_router(
    checked: tuple[Topology, Profile],
) -> None:
    routing = underlay(*checked)
    home = HomeOfNetwork(PREFIX, IPv6Address("fe80::ff:fe00:102"), "mn12")
    assert {
        name: part.mobile_networks for name, part in routing.items() if part.mobile_networks
    } == {"ar11": (home,)}
    assert all(PREFIX in part.routes for part in routing.values())


def test_a_profile_without_a_client_on_the_router_does_not_fit(inventory: Path) -> None:
    with pytest.raises(InputError, match=r"expected client .* mn12 .* has a mobile network"):
        load_checked(inventory / "mobile-network.yml", inventory / "profiles/gateway-query.yml")
