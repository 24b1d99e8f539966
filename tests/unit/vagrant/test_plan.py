"""What Vagrant is told to make of a topology."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from dmm_testbed.topology import Topology, load_topology
from dmm_testbed.vagrant.plan import Lab, plan

INVENTORY = Path(__file__).parents[3] / "inventory"


@pytest.fixture(scope="module", params=["small", "three-networks"])
def topology(request: pytest.FixtureRequest) -> Topology:
    return load_topology(INVENTORY / f"{request.param}.yml")


@pytest.fixture(scope="module")
def lab(topology: Topology) -> Lab:
    return plan(topology, "mine")


def test_every_machine_of_the_topology_becomes_a_virtual_machine(
    lab: Lab, topology: Topology
) -> None:
    assert [machine.name for machine in lab.machines] == list(topology.machines)


def test_every_link_is_a_network_of_its_own_with_its_two_ends_in_it(
    lab: Lab, topology: Topology
) -> None:
    ends = Counter(nic.network for machine in lab.machines for nic in machine.nics)
    assert set(ends.values()) == {2}
    assert len(ends) == len(topology.links)
    for machine in lab.machines:
        assert {nic.peer for nic in machine.nics} == {
            interface.name for interface in topology.machines[machine.name].interfaces
        }


def test_a_mobile_node_has_a_port_to_each_access_router_it_hears(
    lab: Lab, topology: Topology
) -> None:
    nodes = [m for m in topology.machines.values() if m.mobile]
    assert nodes
    for node in nodes:
        (machine,) = (m for m in lab.machines if m.name == node.name)
        assert node.mobile
        assert {nic.peer for nic in machine.nics} == set(node.mobile.hears)


def test_link_layer_addresses_are_distinct_unicast_and_the_same_in_every_lab(
    lab: Lab, topology: Topology
) -> None:
    addresses = [nic.mac for machine in lab.machines for nic in machine.nics]
    assert len(set(addresses)) == len(addresses)
    assert all(int(address[:2], 16) & 0b11 == 0b10 for address in addresses)
    other = plan(topology, "other")
    assert [nic.mac for m in other.machines for nic in m.nics] == addresses


def test_links_keep_their_mtu(lab: Lab, topology: Topology) -> None:
    for machine in lab.machines:
        for nic in machine.nics:
            assert nic.mtu == topology.machines[machine.name].interface(nic.peer).mtu


def test_labs_of_different_names_share_no_network(lab: Lab, topology: Topology) -> None:
    other = plan(topology, "other")

    def networks(of: Lab) -> set[str]:
        return {nic.network for machine in of.machines for nic in machine.nics}

    assert not networks(lab) & networks(other)
    assert lab.management_network != other.management_network
    assert IPv4Network(lab.management_network).is_private
