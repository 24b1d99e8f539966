"""The mobile nodes that a topology file stands for, one by one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmm_testbed.topology import addresses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmm_testbed.topology.file import Mobility, TopologyFile


@dataclass(frozen=True, slots=True)
class PlannedMobileNode:
    """One mobile node, numbered in the network it starts in."""

    name: str
    entry: int
    """Index of its entry in `mobile_nodes`."""
    network: str
    running: int
    attach: str
    hears: tuple[str, ...]
    mobility: Mobility
    fixed_nodes: tuple[str, ...] = ()
    """The hosts of the mobile network behind it; none if it is no router."""


def planned_mobile_nodes(file: TopologyFile) -> Iterator[PlannedMobileNode]:
    """Expand `mobile_nodes`; entries whose access router does not exist give none."""
    everywhere = tuple(name for name, host in file.hosts.items() if host.role == "access_router")
    counted: Counter[str] = Counter()
    for index, entry in enumerate(file.mobile_nodes):
        host = file.hosts.get(entry.attach)
        if host is None or host.network not in file.networks:
            continue
        for _ in range(entry.count):
            counted[host.network] += 1
            running = counted[host.network]
            name = addresses.mobile_node_name(file.networks[host.network].number, running)
            behind = 0 if entry.mobile_network is None else entry.mobile_network.hosts
            yield PlannedMobileNode(
                name,
                index,
                host.network,
                running,
                entry.attach,
                everywhere if entry.hears is None else entry.hears,
                entry.mobility,
                tuple(addresses.fixed_node_name(name, n) for n in range(1, behind + 1)),
            )
