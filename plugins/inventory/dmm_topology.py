"""Ansible inventory plugin: the machines of a DMM topology file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin

try:
    from dmm_testbed.machines.state import secret_file
    from dmm_testbed.topology import InputError, load_topology
    from dmm_testbed.topology.plain import plain_machine, plain_topology
except ImportError as error:
    MISSING: ImportError | None = error
else:
    MISSING = None

if TYPE_CHECKING:
    from ansible.inventory.data import InventoryData
    from ansible.parsing.dataloader import DataLoader

    from dmm_testbed.topology import Machine, Topology

DOCUMENTATION = r"""
name: dmm_topology
short_description: Machines of a DMM topology file
description:
  - Takes a topology file (docs/topology.md), checks it and makes an inventory of it.
  - "Groups by role: C(routers), C(gateways), C(access_routers), C(anchors), C(correspondents),
    C(mobile_nodes), C(fixed_nodes); C(underlay) is all that route, C(machines) all of them.
    Groups by network: C(network_) and the name of the network, with underscores for hyphens."
  - C(ssh_machines) is empty. A second inventory makes C(machines) a child of it when they are VMs
    or hosts that exist already; its variables on C(machines) win over this plugin's, whatever the
    order of the two.
  - Each machine has one variable C(dmm) with all that roles need; C(dmm_topology) is the whole.
options:
  plugin:
    description: Marks the file as one for this plugin.
    required: true
    choices: [dmm_topology]
  lab:
    description: Name of the lab, so that several can be on one computer.
    type: str
    default: dmm
    env:
      - name: LAB
    vars:
      - name: dmm_lab
"""

EXAMPLES = r"""
# ansible-inventory -i inventory/three-networks.yml --graph
plugin: dmm_topology
schema: 1
name: two-routers
networks:
  net1: {number: 1}
hosts:
  gw1: {network: net1, role: gateway}
  ar11: {network: net1, role: access_router, gateway: gw1}
links:
  - {ends: [gw1, ar11]}
mobile_nodes:
  - {attach: ar11}
"""

# Text, not YAML: a file with a mistake in its YAML is still ours to explain.
_OURS = re.compile(r"^plugin:\s*[\"']?dmm_topology\b", re.MULTILINE)
_LAB = re.compile(r"[a-z][a-z0-9-]{0,15}")
DEFAULTS = "machine_defaults"
"""The parent of the group `machines`: what any inventory says of `machines` itself wins."""
LEAST = {"ansible_group_priority": 0}
"""What it says of other groups of machines wins too."""
NAMESPACE_MACHINES = {
    "dmm_machines": "namespace",
    "ansible_connection": "namespace",
    "ansible_python_interpreter": "/usr/bin/python3",
}
_ROLE_GROUPS = {
    "router": "routers",
    "gateway": "gateways",
    "access_router": "access_routers",
    "anchor": "anchors",
    "correspondent": "correspondents",
    "mobile_node": "mobile_nodes",
    "fixed_node": "fixed_nodes",
}


class InventoryModule(BaseInventoryPlugin):
    """Makes the inventory of a topology file."""

    NAME = "dmm_topology"

    def verify_file(self, path: str) -> bool:
        """Say whether the file is a topology file."""
        file = Path(path)
        if not file.is_file():
            return False
        return _OURS.search(file.read_text(encoding="utf-8", errors="replace")) is not None

    def parse(
        self, inventory: InventoryData, loader: DataLoader, path: str, cache: bool = True
    ) -> None:
        """Fill the inventory.

        Raises:
            AnsibleParserError: the file has mistakes, the name of the lab is not one, or
                `dmm_testbed` is not installed where Ansible runs.
        """
        super().parse(inventory, loader, path, cache)
        if MISSING is not None:
            raise AnsibleParserError(
                "the Python package dmm-testbed must be installed in the environment that Ansible "
                f"runs in, for example by `make venv`: {MISSING}"
            )
        self.set_options(var_options=self._vars, direct={"plugin": self.NAME})  # type: ignore[no-untyped-call]
        lab = _checked_lab(self.get_option("lab"))  # type: ignore[no-untyped-call]
        try:
            topology = load_topology(path)
        except InputError as error:
            raise AnsibleParserError(str(error)) from None
        _add_groups(inventory, topology)
        whole = {"file": str(Path(path).resolve()), **plain_topology(topology)}
        found = {"dmm_topology": whole, "dmm_lab": lab, "dmm_secret_file": str(secret_file(lab))}
        _set_variables(inventory, "all", found)
        _set_variables(inventory, DEFAULTS, NAMESPACE_MACHINES | LEAST)
        for machine in topology.machines.values():
            _add_machine(inventory, machine)


def _add_groups(inventory: InventoryData, topology: Topology) -> None:
    # All of them, even if empty: a playbook may name any.
    for group in (DEFAULTS, "machines", "ssh_machines", "underlay", *_ROLE_GROUPS.values()):
        inventory.add_group(group)
    inventory.add_child(DEFAULTS, "machines")
    for network in topology.networks:
        inventory.add_group(_network_group(network))


def _add_machine(inventory: InventoryData, machine: Machine) -> None:
    groups = ["machines", _ROLE_GROUPS[machine.role], _network_group(machine.network.name)]
    if machine.role.routes:
        groups.append("underlay")
    for group in groups:
        inventory.add_host(machine.name, group=group)
    _set_variables(inventory, machine.name, {"dmm": plain_machine(machine)})


def _set_variables(inventory: InventoryData, entity: str, variables: dict[str, Any]) -> None:
    for name, value in variables.items():
        inventory.set_variable(entity, name, value)


def _network_group(network: str) -> str:
    return f"network_{network.replace('-', '_')}"


def _checked_lab(lab: Any) -> str:
    if isinstance(lab, str) and _LAB.fullmatch(lab):
        return lab
    raise AnsibleParserError(
        f"LAB (dmm_lab): expected a name of 1 to 16 lower-case letters, digits and hyphens, "
        f"starting with a letter, got {lab!r}"
    )
