"""A machine that is killed, as by a power cut, and started again rejoins by itself."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dmm_testbed.topology import load_topology
from dmm_testbed.topology.model import Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from labs import Lab

    from dmm_testbed.topology import Machine, Topology

ROOT = Path(__file__).parents[3]
VAGRANT = ROOT / "vagrant"
BOOTS_WITHIN_S = 60.0


@pytest.fixture(scope="module")
def topology(lab: Lab) -> Topology:
    return load_topology(ROOT / "inventory" / f"{lab.topology}.yml")


@pytest.fixture
def mobile_node(topology: Topology) -> Machine:
    return topology.with_role(Role.MOBILE_NODE)[0]


@pytest.fixture
def correspondent(topology: Topology) -> str:
    (interface,) = topology.with_role(Role.CORRESPONDENT)[0].interfaces
    return str(interface.addresses[0].ip)


@pytest.fixture
def visiting(lab: Lab, mobile_node: Machine, correspondent: str, until: Callable[..., Any]) -> str:
    """The node away from home, talking from its home address; gives that address."""
    assert mobile_node.mobile
    node = lab.host(mobile_node.name)
    node.check_output("dmm-radio move %s", mobile_node.mobile.attach)
    pool = mobile_node.network.mobile_pool
    home = until(lambda: address_in(node, str(pool.network_address)[:12]), "a home address")
    node.check_output("dmm-radio move %s", lab.elsewhere(mobile_node.name))
    until(lambda: reaches(node, correspondent, home), "the session goes on in the new network")
    return str(home)


def address_in(node: Any, beginning: str) -> str | None:
    shown = json.loads(node.check_output("ip -json -6 address show dev radio0 scope global"))
    addresses = [info.get("local", "") for entry in shown for info in entry.get("addr_info", [])]
    return next((address for address in addresses if address.startswith(beginning)), None)


def reaches(node: Any, to: str, source: str) -> bool:
    return bool(node.run("ping -q -c 1 -W 2 -I %s %s", source, to).rc == 0)


def virsh(lab: Lab, action: str, machine: str) -> None:
    own = subprocess.run([str(VAGRANT / "libvirtd"), "status"], check=False, capture_output=True)
    command = (
        [str(VAGRANT / "libvirtd"), "virsh"]
        if own.returncode == 0
        else ["virsh", "--connect", "qemu:///system"]
    )
    subprocess.run([*command, action, f"{lab.name}_{machine}"], check=True, capture_output=True)


@pytest.mark.parametrize("victim", ["the gateway of the new network", "the mobile node"])
def test_a_killed_machine_comes_back_and_traffic_goes_on(
    victim: str,
    lab: Lab,
    topology: Topology,
    mobile_node: Machine,
    correspondent: str,
    visiting: str,
    until: Callable[..., Any],
) -> None:
    assert mobile_node.mobile
    visited = topology.machines[lab.elsewhere(mobile_node.name)]
    name = mobile_node.name if victim == "the mobile node" else str(visited.gateway)
    before = lab.host(name).check_output("cat /proc/sys/kernel/random/boot_id")
    virsh(lab, "destroy", name)
    assert name not in lab.reach.running()
    virsh(lab, "start", name)
    until(lambda: name in lab.reach.running(), f"{name} can be reached again", BOOTS_WITHIN_S)
    assert lab.host(name).check_output("cat /proc/sys/kernel/random/boot_id") != before

    node = lab.host(mobile_node.name)
    if victim == "the mobile node":
        # Its addresses are gone with its memory; it attaches where it was and gets a new one.
        until(lambda: attached(node) == visited.name, "it is attached where it was", BOOTS_WITHIN_S)
        network = str(visited.network.mobile_pool.network_address)[:12]
        source = until(lambda: address_in(node, network), "an address", BOOTS_WITHIN_S)
    else:
        source = visiting
    until(lambda: reaches(node, correspondent, source), "packets get through", BOOTS_WITHIN_S)


def attached(node: Any) -> str | None:
    status = node.run("dmm-radio status")
    return json.loads(status.stdout)["to"] if status.rc == 0 else None


def test_the_lab_is_as_topology_and_profile_say_after_that(lab: Lab) -> None:
    verified = lab.play("verify")
    assert verified.status == 0, verified.output
