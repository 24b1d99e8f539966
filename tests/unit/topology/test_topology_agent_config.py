"""A profile on a topology gives each host the configuration of its agent."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from dmm_agent.config import AgentConfig, load
from dmm_testbed.topology.agent_config import agent_config, directory
from dmm_testbed.topology.check import load_checked
from dmm_testbed.topology.functions import InstalledFunctions
from dmm_testbed.topology.placement import data_planes
from dmm_testbed.topology.profile import load_profile
from dmm_testbed.topology.sentences import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from dmm_agent.functions.base import Function
    from dmm_testbed.topology import Topology
    from dmm_testbed.topology.profile import Profile

Functions = dict[str, type["Function[Any]"]]

CENTRAL = """
name: central
description: one anchor for all networks
placement:
  anchor: [allocator, lm, mr]
  access_router: [proxy]
"""


@pytest.fixture
def distributed(inventory: Path, functions: Functions) -> tuple[Topology, Profile]:
    profile = inventory / "profiles" / "gateway-query.yml"
    return load_checked(inventory / "three-networks.yml", profile, functions)


def parsed(
    pair: tuple[Topology, Profile], host: str, functions: Functions, path: Path
) -> AgentConfig:
    """What the agent on a host reads from the file that is made of its configuration."""
    config = agent_config(*pair, host, functions)
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return load(path)


def test_a_gateway_serves_its_network(
    distributed: tuple[Topology, Profile], functions: Functions, tmp_path: Path
) -> None:
    config = parsed(distributed, "gw1", functions, tmp_path / "agent.yml")

    assert list(config.functions) == ["allocator", "lm", "mr"]
    assert (config.host, config.network) == ("gw1", "net1")
    assert config.address == IPv6Address("2001:db8:1::1")
    assert config.uplinks == ("core",)
    assert config.access_links == ()
    assert config.home_block is None


def test_networks_have_locators_where_packets_are_rewritten_and_only_there(
    distributed: tuple[Topology, Profile], inventory: Path, functions: Functions, tmp_path: Path
) -> None:
    rewriting = load_profile(inventory / "profiles" / "gateway-query-rewrite.yml")
    with_them = parsed((distributed[0], rewriting), "gw1", functions, tmp_path / "agent.yml")
    assert with_them.directory.named("net1").locators == IPv6Network("3fff:1::/32")

    without = parsed(distributed, "gw1", functions, tmp_path / "agent.yml")
    assert without.directory.named("net1").locators is None


def test_an_access_router_knows_its_links_and_its_block(
    distributed: tuple[Topology, Profile], functions: Functions, tmp_path: Path
) -> None:
    config = parsed(distributed, "ar21", functions, tmp_path / "agent.yml")

    assert list(config.functions) == ["proxy"]
    assert config.uplinks == ("gw2",)
    assert config.access_links == ("mn11", "mn21")
    assert config.home_block == IPv6Network("2001:db8:2:8100::/56")
    node = config.mobile_nodes.by_link_layer("02:00:00:00:01:01")
    assert node is not None
    assert node.id == "mn11@dmm.example"


def test_every_agent_has_the_same_directory_of_the_networks_that_are_served(
    distributed: tuple[Topology, Profile], functions: Functions, tmp_path: Path
) -> None:
    config = parsed(distributed, "ar32", functions, tmp_path / "agent.yml")

    assert [entry.network for entry in config.directory.networks] == ["net1", "net2", "net3"]
    net3 = config.directory.named("net3")
    assert net3.lm == net3.mr == IPv6Address("2001:db8:3::1")
    assert net3.mobile_pool == IPv6Network("2001:db8:3:8000::/49")


def test_hosts_without_functions_have_no_configuration(
    distributed: tuple[Topology, Profile], functions: Functions
) -> None:
    for host in ("core", "anchor", "cn2", "mn11"):
        assert agent_config(*distributed, host, functions) is None


def test_options_reach_the_functions_that_have_them_and_no_other(
    distributed: tuple[Topology, Profile], functions: Functions
) -> None:
    gateway = agent_config(*distributed, "gw1", functions)
    access_router = agent_config(*distributed, "ar11", functions)

    assert gateway is not None
    assert access_router is not None
    assert gateway["functions"]["mr"] == {
        "interception": "gateway",
        "resolution": "query",
        "while_resolving": "triangle",
        "resolve_after_s": 0.05,
        "forwarding": "encapsulate",
    }
    assert gateway["functions"]["lm"]["binding_lifetime_s"] == 120
    assert access_router["functions"]["proxy"]["binding_lifetime_s"] == 120


def test_the_allocator_gets_the_pool_and_the_blocks_of_its_network(
    distributed: tuple[Topology, Profile], functions: Functions
) -> None:
    config = agent_config(*distributed, "gw3", functions)

    assert config is not None
    assert config["functions"]["allocator"] == {
        "lease_lifetime_s": 86400,
        "pool": "2001:db8:3:8000::/49",
        "blocks": [
            {"access_router": "2001:db8:3::2", "prefix": "2001:db8:3:8100::/56"},
            {"access_router": "2001:db8:3::3", "prefix": "2001:db8:3:8200::/56"},
        ],
    }


def profile_with(more: str, inventory: Path, tmp_path: Path) -> Path:
    """The profile that comes with the testbed, with lines added."""
    shipped = (inventory / "profiles" / "gateway-query.yml").read_text(encoding="utf-8")
    file = tmp_path / "profile.yml"
    file.write_text(shipped + more, encoding="utf-8")
    return file


def test_a_section_of_a_function_wins_over_the_common_options(
    inventory: Path, functions: Functions, tmp_path: Path
) -> None:
    file = profile_with("functions:\n  lm: {binding_lifetime_s: 600}\n", inventory, tmp_path)
    pair = load_checked(inventory / "small.yml", file, functions)

    gateway = agent_config(*pair, "gw1", functions)
    access_router = agent_config(*pair, "ar11", functions)

    assert gateway is not None
    assert access_router is not None
    assert gateway["functions"]["lm"]["binding_lifetime_s"] == 600
    assert access_router["functions"]["proxy"]["binding_lifetime_s"] == 120


def test_a_central_placement_serves_every_network_where_mobile_nodes_attach(
    inventory: Path, functions: Functions, tmp_path: Path
) -> None:
    file = tmp_path / "central.yml"
    file.write_text(CENTRAL, encoding="utf-8")
    pair = load_checked(inventory / "three-networks.yml", file, functions)

    served = {entry["network"]: str(entry["lm"]) for entry in directory(*pair)}

    anchor = "2001:db8:f::1"
    assert served == {"net1": anchor, "net2": anchor, "net3": anchor, "central": anchor}


def test_location_management_can_be_at_home_and_mobility_routing_elsewhere(
    inventory: Path, functions: Functions, tmp_path: Path
) -> None:
    file = tmp_path / "split.yml"
    file.write_text(
        "name: split\n"
        "description: routing in each network, one database\n"
        "placement: {anchor: [allocator, lm, mr], gateway: [mr]}\n",
        encoding="utf-8",
    )
    pair = load_checked(inventory / "three-networks.yml", file, functions)

    net2 = next(entry for entry in directory(*pair) if entry["network"] == "net2")

    assert str(net2["lm"]) == "2001:db8:f::1"
    assert str(net2["mr"]) == "2001:db8:2::1"


def test_the_gateway_serves_its_network_where_access_routers_route_too(
    inventory: Path, functions: Functions, tmp_path: Path
) -> None:
    file = tmp_path / "everywhere.yml"
    file.write_text(
        "name: everywhere\n"
        "description: mobility routing at every router\n"
        "placement: {gateway: [allocator, lm, mr], access_router: [mr]}\n"
        "options: {interception: access}\n",
        encoding="utf-8",
    )
    pair = load_checked(inventory / "three-networks.yml", file, functions)

    served = {entry["network"]: entry for entry in directory(*pair)}

    assert str(served["net1"]["mr"]) == "2001:db8:1::1"
    (below,) = served["net2"]["access_mrs"]
    assert str(below["mr"]) == str(pair[0].machines["ar21"].loopback)
    assert list(map(str, below["prefixes"])) == ["2001:db8:2:2::/64", "2001:db8:2:4100::/56"], (
        "where cn2 is, and where nodes without mobility are"
    )


def test_a_host_that_does_not_exist_is_an_error(
    distributed: tuple[Topology, Profile], functions: Functions
) -> None:
    with pytest.raises(KeyError, match="gw9"):
        agent_config(*distributed, "gw9", functions)


def test_a_host_tunnels_as_the_topology_says_of_it_else_as_the_profile_says(
    inventory: Path, functions: Functions, tmp_path: Path
) -> None:
    profile = profile_with("dataplane: ip6tnl\n", inventory, tmp_path)
    hosts = (inventory / "small.yml").read_text(encoding="utf-8")
    topology = tmp_path / "small.yml"
    topology.write_text(
        hosts.replace("gw2: {network: net2,", "gw2: {dataplane: seg6, network: net2,"),
        encoding="utf-8",
    )
    pair = load_checked(topology, profile, functions)

    said = {host: parsed(pair, host, functions, tmp_path / "agent.yml").dataplane
            for host in ("gw1", "ar11", "gw2", "ar21")}  # fmt: skip

    assert said == {"gw1": "ip6tnl", "ar11": "ip6tnl", "gw2": "seg6", "ar21": "ip6tnl"}
    assert data_planes(*pair) == {"seg6", "ip6tnl"}


def test_hosts_tunnel_by_routes_where_nothing_is_said(
    distributed: tuple[Topology, Profile],
) -> None:
    assert data_planes(*distributed) == {"seg6"}


def register(folder: Path, module: str, source: str) -> None:
    """Install a package with one function, as pip would leave it, in a folder."""
    (folder / f"{module}.py").write_text(source, encoding="utf-8")
    metadata = folder / f"{module}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n", encoding="utf-8"
    )
    (metadata / "entry_points.txt").write_text(
        f"[dmm_agent.functions]\n{module} = {module}:Beacon\n", encoding="utf-8"
    )


def test_a_function_of_another_package_is_found_and_its_options_are_known(
    inventory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(
        tmp_path,
        "beacon",
        "from dmm_agent.functions.base import Function, Options\n"
        "class BeaconOptions(Options):\n    interval_s: int = 1\n"
        "class Beacon(Function[BeaconOptions]):\n"
        "    name = 'beacon'\n    options_class = BeaconOptions\n"
        "    def handle(self, event, now): return ()\n",
    )
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "with-beacon.yml"
    file.write_text(
        "name: with-beacon\ndescription: a function of another package\n"
        "placement: {router: [beacon]}\noptions: {interval_s: 5}\n",
        encoding="utf-8",
    )

    pair = load_checked(inventory / "three-networks.yml", file)
    config = agent_config(*pair, "core")

    assert config is not None
    assert config["functions"] == {"beacon": {"interval_s": 5}}


def test_a_function_that_cannot_be_loaded_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(tmp_path, "broken", "import a_package_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(InputError, match=r"broken:Beacon cannot be loaded: No module"):
        InstalledFunctions()["broken"]


SIGNALLED = """
name: signalled
description: mobile nodes report their sessions
placement:
  gateway: [allocator, lm, mr]
  access_router: [proxy]
  mobile_node: [sessions]
options: {report_interval_s: 2}
"""


def test_a_mobile_node_has_a_radio_where_routers_have_an_address(
    inventory: Path, functions: Functions, tmp_path: Path
) -> None:
    profile = tmp_path / "signalled.yml"
    profile.write_text(SIGNALLED, encoding="utf-8")
    pair = load_checked(inventory / "three-networks.yml", profile, functions)

    config = parsed(pair, "mn11", functions, tmp_path / "agent.yml")

    assert (config.radio, config.address) == ("radio0", IPv6Address("::"))
    assert (config.uplinks, config.access_links, config.home_block) == ((), (), None)
    assert [node.id for node in config.mobile_nodes.nodes] == ["mn11@dmm.example"]
    assert config.functions == {"sessions": {"report_interval_s": 2}}
    assert parsed(pair, "gw1", functions, tmp_path / "gw1.yml").radio is None


def test_a_mobile_node_on_which_nothing_is_placed_is_left_as_it_is(
    distributed: tuple[Topology, Profile], functions: Functions
) -> None:
    assert agent_config(*distributed, "mn11", functions) is None


def test_a_node_that_mobility_is_declined_to_runs_nothing_and_routers_know_of_it(
    inventory: Path,
) -> None:
    profile = inventory / "profiles" / "host-gateway.yml"
    pair = load_checked(inventory / "five-networks.yml", profile)

    assert agent_config(*pair, "mn12") is None
    assert agent_config(*pair, "mn11") is not None
    config = agent_config(*pair, "gw1")
    assert config is not None
    policy = config["mobile_nodes"]
    assert [(n["id"], n["mobility"]) for n in policy["nodes"]] == [
        ("mn11@dmm.example", "offered"),
        ("mn12@dmm.example", "declined"),
    ]
    assert policy["declined_flows"] == [{"protocol": "udp", "port": 53}]
