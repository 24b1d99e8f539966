"""What Vagrant has to make of a topology: virtual machines, and networks that are their links."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmm_testbed.machines.links import link_layer_address

if TYPE_CHECKING:
    from dmm_testbed.topology import Topology

MEMORY_MIB = 256
"""Of one machine: Debian, BIRD and an agent take 120 MiB; the rest is for bursts and captures."""
CPUS = 1
_FIRST_SUBNET, _SUBNETS = 130, 100


@dataclass(frozen=True, slots=True)
class Nic:
    """A network interface of a virtual machine: its end of a link."""

    peer: str
    """The machine at the other end; the interface is named after it."""
    network: str
    """The link, as a network of its own with just two machines in it."""
    mac: str
    mtu: int


@dataclass(frozen=True, slots=True)
class VirtualMachine:
    """One machine as Vagrant makes it."""

    name: str
    memory_mib: int
    cpus: int
    nics: tuple[Nic, ...]
    """Besides the first one, which is Vagrant's own, for management."""


@dataclass(frozen=True, slots=True)
class Lab:
    """All machines of a lab, in the order of the topology."""

    name: str
    topology: str
    machines: tuple[VirtualMachine, ...]
    management_network: str
    """IPv4, for SSH alone; no packet of the testbed uses it."""


def plan(topology: Topology, lab: str, memory_mib: int = MEMORY_MIB, cpus: int = CPUS) -> Lab:
    """Work out the virtual machines of a lab.

    Args:
        topology: what they shall be.
        lab: its name; labs of different names can run at once.
        memory_mib: of each machine.
        cpus: of each machine.
    """
    return Lab(
        name=lab,
        topology=topology.name,
        machines=tuple(
            VirtualMachine(name, memory_mib, cpus, _nics(topology, lab, name))
            for name in topology.machines
        ),
        management_network=f"192.168.{_subnet(lab)}.0/24",
    )


def _nics(topology: Topology, lab: str, machine: str) -> tuple[Nic, ...]:
    return tuple(
        Nic(
            peer=peer,
            network=f"{lab}-{'-'.join(link.ends)}",
            mac=link_layer_address(machine, peer),
            mtu=link.mtu,
        )
        for link in topology.links
        for own, peer in (link.ends, link.ends[::-1])
        if own == machine
    )


def _subnet(lab: str) -> int:
    """A number that is the same for a lab whenever it is made, and likely not another's."""
    return _FIRST_SUBNET + hashlib.sha256(lab.encode()).digest()[0] % _SUBNETS
