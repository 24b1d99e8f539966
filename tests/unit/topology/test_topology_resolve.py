"""A topology file is resolved into names, numbers and addresses by the documented rules."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dmm_testbed.topology import InterfaceKind, Topology, load_topology, shortest_path
from dmm_testbed.topology.file import TopologyFile
from dmm_testbed.topology.plain import plain_machine, plain_topology
from dmm_testbed.topology.rules import mistakes
from dmm_testbed.topology.transform import resolve

HERE = Path(__file__).parent
INVENTORY = HERE.parents[2] / "inventory"


@pytest.mark.parametrize(
    "path",
    [INVENTORY / "three-networks.yml", INVENTORY / "small.yml", HERE / "odd.yml"],
    ids=lambda path: path.stem,
)
def test_a_topology_resolves_to_its_golden_file(path: Path, update_golden: bool) -> None:
    """Regenerate with ``UPDATE_GOLDEN=1 pytest tests/unit/topology`` and read the difference."""
    golden = HERE / "golden" / f"{path.stem}.golden"
    topology = load_topology(path)
    resolved = {
        **plain_topology(topology),
        "machines": {name: plain_machine(m) for name, m in topology.machines.items()},
    }
    if update_golden:
        text = yaml.safe_dump(resolved, sort_keys=False, default_flow_style=None, width=1000)
        golden.write_text(text, encoding="utf-8")
    assert resolved == yaml.safe_load(golden.read_text(encoding="utf-8"))


def test_the_address_plan_is_the_documented_one(inventory: Path) -> None:
    topology = load_topology(inventory / "three-networks.yml")
    machines = topology.machines

    assert str(topology.networks["central"].prefix) == "2001:db8:f::/48"
    assert str(topology.networks["net1"].locator) == "3fff:1::/32"
    assert str(topology.networks["net1"].mobile_pool) == "2001:db8:1:8000::/49"
    assert str(machines["gw1"].loopback) == "2001:db8:1::1"
    assert str(machines["gw1"].block) == "2001:db8:1:8000::/56"
    assert str(machines["ar12"].loopback) == "2001:db8:1::3"
    assert str(machines["ar12"].block) == "2001:db8:1:8200::/56"
    assert str(machines["gw1"].interface("core").addresses[0]) == "2001:db8:0:1::2/64"
    assert str(machines["gw3"].interface("ar32").addresses[0]) == "2001:db8:3:2::1/64"
    assert str(machines["ar12"].plain_block) == "2001:db8:1:4200::/56"
    assert [str(a) for a in machines["ar11"].interface("mn21").addresses] == [
        "fe80::200:5eff:fe00:5213/64",
        "2001:db8:1:4101::1/64",
    ]
    assert machines["ar11"].interface("mn21").mac == "00:00:5e:00:52:13"
    assert machines["mn21"].mobile is not None
    assert machines["mn21"].mobile.mac == "02:00:00:00:02:01"
    assert machines["mn21"].mobile.id == "mn21@dmm.example"


def test_access_routers_and_correspondents_have_default_routes_and_nobody_else(
    inventory: Path,
) -> None:
    topology = load_topology(inventory / "three-networks.yml")
    routes = {m.name: m.default_route for m in topology.machines.values() if m.default_route}

    assert {name: route.interface for name, route in routes.items()} == {
        "ar11": "gw1",
        "ar12": "gw1",
        "ar21": "gw2",
        "ar31": "gw3",
        "ar32": "gw3",
        "cn2": "ar21",
    }
    assert str(routes["ar12"].via) == "2001:db8:1:2::1"
    assert str(routes["cn2"].via) == "2001:db8:2:2::1"


def test_a_mobile_node_starts_with_the_link_to_its_access_router_up_and_no_other(
    inventory: Path,
) -> None:
    node = load_topology(inventory / "three-networks.yml").machines["mn11"]

    assert [i.name for i in node.interfaces] == ["ar11", "ar12", "ar21", "ar31", "ar32"]
    assert [i.name for i in node.interfaces if i.up] == ["ar11"]


def test_a_transit_router_expects_the_sources_that_live_behind_each_neighbour() -> None:
    north = load_topology(HERE / "odd.yml").machines["north"]

    # Only the anchor's network is behind the anchor; everything else is behind each of the others.
    assert [str(p) for p in north.interface("lma").source_prefixes] == [
        "2001:db8:c8:3::/64",
        "2001:db8:ff::/48",
        "3fff:ff::/32",
    ]
    assert "2001:db8:3::/48" in map(str, north.interface("city-gw").source_prefixes)
    assert "2001:db8:ff::/48" not in map(str, north.interface("city-gw").source_prefixes)


def test_shortest_paths_follow_the_mobile_node_and_count_links(inventory: Path) -> None:
    topology = load_topology(inventory / "three-networks.yml")

    assert shortest_path(topology, "mn11", "cn2") == (
        *("mn11", "ar11", "gw1", "core", "gw2", "ar21", "cn2"),
    )
    assert shortest_path(topology, "cn2", "mn11", {"mn11": "ar31"}) == (
        *("cn2", "ar21", "gw2", "core", "gw3", "ar31", "mn11"),
    )
    assert shortest_path(topology, "mn11", "mn21", {"mn11": "ar21"}) == ("mn11", "ar21", "mn21")


def test_a_mobile_node_between_two_access_routers_forwards_nothing(inventory: Path) -> None:
    topology = load_topology(inventory / "small.yml")

    assert shortest_path(topology, "ar11", "ar21") == ("ar11", "gw1", "gw2", "ar21")


def test_asking_for_the_path_to_a_machine_that_does_not_exist_is_an_error(inventory: Path) -> None:
    topology = load_topology(inventory / "small.yml")

    with pytest.raises(KeyError, match="nowhere"):
        shortest_path(topology, "cn2", "nowhere")


@st.composite
def topology_files(draw: st.DrawFn) -> TopologyFile:
    """Trees of networks, each with access routers, correspondents and mobile nodes."""
    numbers = draw(st.lists(st.integers(0, 255), min_size=1, max_size=5, unique=True))
    hosts: dict[str, Any] = {}
    links: list[dict[str, Any]] = []
    nodes: list[dict[str, Any]] = []
    for index, _ in enumerate(numbers):
        network, gateway = f"n{index}", f"g{index}"
        hosts[gateway] = {"network": network, "role": "gateway"}
        if index:
            links.append({"ends": [f"g{draw(st.integers(0, index - 1))}", gateway]})
        for number in range(draw(st.integers(0, 3))):
            name = f"a{index}-{number}"
            hosts[name] = {"network": network, "role": "access_router", "gateway": gateway}
            links.append({"ends": draw(st.permutations([gateway, name]))})
            nodes += [{"attach": name, "count": draw(st.integers(1, 3))}] * draw(st.integers(0, 1))
        if draw(st.booleans()):
            hosts[f"c{index}"] = {"network": network, "role": "correspondent"}
            links.append({"ends": [f"c{index}", gateway]})
    return TopologyFile.model_validate(
        {
            "plugin": "dmm_topology",
            "schema": 1,
            "name": "drawn",
            "networks": {f"n{i}": {"number": number} for i, number in enumerate(numbers)},
            "hosts": hosts,
            "links": draw(st.permutations(links)),
            "mobile_nodes": nodes,
        }
    )


@given(topology_files())
@settings(max_examples=50, deadline=None)
def test_no_two_things_ever_share_an_address_a_name_or_a_prefix(file: TopologyFile) -> None:
    if mistakes(file):  # numbers like 1 and 11 can give two mobile nodes one name
        return
    topology = resolve(file)
    machines = topology.machines.values()

    fixed = [
        address.ip
        for machine in machines
        for interface in machine.interfaces
        for address in interface.addresses
        if not address.is_link_local
    ]
    fixed += [machine.loopback for machine in machines if machine.loopback]
    assert max(Counter(fixed).values()) == 1
    macs = [machine.mobile.mac for machine in machines if machine.mobile]
    assert len(set(macs)) == len(macs)
    blocks = [
        block
        for machine in machines
        for block in (machine.block, machine.plain_block)
        if block is not None
    ]
    blocks += [network.infrastructure for network in topology.networks.values()]
    assert not any(one.overlaps(other) for one, other in combinations(blocks, 2))
    for machine in machines:
        names = [interface.name for interface in machine.interfaces]
        assert len(set(names)) == len(names)


@given(topology_files())
@settings(max_examples=50, deadline=None)
def test_both_ends_of_a_link_agree(file: TopologyFile) -> None:
    if mistakes(file):
        return
    topology = resolve(file)

    assert sum(len(m.interfaces) for m in topology.machines.values()) == 2 * len(topology.links)
    for machine in topology.machines.values():
        for interface in machine.interfaces:
            other = topology.machines[interface.name].interface(machine.name)
            assert other.mtu == interface.mtu
            if interface.peer_address:
                assert interface.peer_address in [address.ip for address in other.addresses]
                assert interface.peer_address in interface.addresses[0].network
        if machine.mobile:
            assert [i.name for i in machine.interfaces if i.up] == [machine.mobile.attach]


@given(topology_files())
@settings(max_examples=20, deadline=None)
def test_every_machine_reaches_every_other_over_links_that_are_up(file: TopologyFile) -> None:
    if mistakes(file):
        return
    topology = resolve(file)

    for origin, target in combinations(topology.machines, 2):
        path = shortest_path(topology, origin, target)
        assert len(path) == len(shortest_path(topology, target, origin))
        assert all(_linked(topology, one, next_one) for one, next_one in pairwise(path))


def _linked(topology: Topology, one: str, other: str) -> bool:
    interfaces = topology.machines[one].interface(other), topology.machines[other].interface(one)
    return all(i.up or i.kind is not InterfaceKind.RADIO for i in interfaces)
