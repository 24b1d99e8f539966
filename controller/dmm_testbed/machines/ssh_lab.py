"""A lab of machines that are reached by SSH: VMs, or hosts that exist already.

Nothing here connects to anything. What an inventory says of the hosts is checked, worked out for
each of them, and written down for those who will reach them: `build/labs/LAB/`.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dmm_testbed.machines import carriers, ssh_config
from dmm_testbed.machines.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dmm_testbed.machines.carriers import Host
    from dmm_testbed.machines.spec import LabSpec
    from dmm_testbed.machines.ssh_config import Access

SSH_CONFIG, LAB = "ssh_config", "lab.json"
LAB_PREFIX = "2001:db8::/32"
"""All addresses of all labs (docs/topology.md)."""


@dataclass(frozen=True, slots=True)
class SshLab:
    """What topology and inventory say together; `hosts` has every machine of `spec`, no other."""

    name: str
    kind: str
    """`vagrant` or `metal`."""
    spec: LabSpec
    hosts: Mapping[str, Host]
    vxlan_port: int = carriers.VXLAN_PORT
    vxlan_first_vni: int = 1
    lab_addresses: Mapping[str, str | None] = field(default_factory=dict)
    """Addresses by which machines are known inside the lab."""

    def links(self, machine: str) -> list[dict[str, Any]]:
        """What the machine's links are made of, for its `dmm-links`.

        Raises:
            MachineError: the inventory does not say how a link is carried.
        """
        if self.kind == "vagrant":
            return carriers.network_cards(machine, self.spec.links)
        return carriers.tunnels_and_interfaces(
            machine, self.spec.links, self.hosts, self.vxlan_port, self.vxlan_first_vni
        )

    def clock(self, machine: str) -> dict[str, Any]:
        """Where the machine's clock gets the time: at the lab's first machine.

        Raises:
            MachineError: a name cannot be resolved.
        """
        first = self.spec.machines[0]
        try:
            source = str(carriers.reached_at(self.hosts[first]))
        except MachineError:
            # Machines that reach one another by the lab's links only, as behind VirtualBox's NAT.
            source = self.lab_addresses.get(first) or ""
            if self.kind != "vagrant" or not source:
                raise
            return {"server": None, "allow": [LAB_PREFIX]} if machine == first else _at(source)
        if machine != first:
            return _at(source)
        others = self.spec.machines[1:]
        return {
            "server": None,
            "allow": [str(carriers.reached_at(self.hosts[name])) for name in others],
        }


def _at(server: str) -> dict[str, Any]:
    return {"server": server, "allow": []}


def absent(lab: str, kind: str, topology: str, hosts: Mapping[str, Host]) -> str:
    """A sentence about machines without an address; empty if all have one."""
    missing = [name for name, host in hosts.items() if not host.address]
    if not missing:
        return ""
    which = "no machine" if len(missing) == len(hosts) else f"not each machine (not {missing[0]})"
    known = f"{which} of topology {topology} has an address"
    if kind == "vagrant":
        return (
            f"lab {lab}: {known}: start the VMs first, with `make up MACHINES=vagrant`, or "
            "`vagrant up` in vagrant/"
        )
    return (
        f"inventory: {known}: expected ansible_host for each of {', '.join(hosts)} under machines; "
        "see inventory/metal.example.yml"
    )


def check_names(spec: LabSpec, names: list[str]) -> None:
    """See that the inventory's machines are those of the topology.

    Raises:
        MachineError: there are others, which nobody could do anything with.
    """
    if others := [name for name in names if name not in spec.machines]:
        raise MachineError(
            f"inventory: host {', '.join(others)}: topology {spec.topology} has no such machine; "
            f"expected some of {', '.join(spec.machines)}"
        )


def record(lab: SshLab, access: Mapping[str, Access]) -> dict[str, str]:
    """What others have to know of a lab: content of files by their names.

    Raises:
        MachineError: OpenSSH does not understand what the inventory says.
    """
    known = {
        "schema": 1,
        "kind": lab.kind,
        "topology": lab.spec.topology,
        "machines": list(lab.spec.machines),
    }
    return {
        SSH_CONFIG: ssh_config.record(lab.name, access, lab.spec.machines),
        LAB: json.dumps(known, indent=1) + "\n",
    }


def differs(directory: Path, files: Mapping[str, str]) -> bool:
    """Whether a lab is recorded otherwise, or not at all."""
    return any(
        not (directory / name).is_file()
        or (directory / name).read_text(encoding="utf-8") != content
        for name, content in files.items()
    )


def write(directory: Path, files: Mapping[str, str]) -> None:
    """Write the record; whoever reads it meanwhile gets the old or the new one."""
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    for name, content in files.items():
        draft = directory / f".{name}"
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(content, encoding="utf-8")
        draft.replace(directory / name)


def forget(directory: Path) -> None:
    """Remove the record; it is fine if there is none."""
    shutil.rmtree(directory, ignore_errors=True)
