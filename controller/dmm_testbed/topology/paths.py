"""Shortest paths, counted in links: what a traversed path is held against to get its stretch."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from dmm_testbed.topology.model import InterfaceKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dmm_testbed.topology.model import Machine, Topology


def shortest_path(
    topology: Topology,
    origin: str,
    target: str,
    attached: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """A path with the fewest links between two machines, both included.

    Of several, the one whose machines come first in the topology file. Only routers forward,
    mobile ones too.

    Args:
        topology: the topology.
        origin: name of the machine where the path starts.
        target: name of the machine where it ends.
        attached: access router of each mobile node; where it starts, for nodes left out.

    Raises:
        KeyError: a machine does not exist.
        ValueError: no path leads there.
    """
    where = {m.name: m.mobile.attach for m in topology.machines.values() if m.mobile}
    where |= attached or {}
    topology.machines[target]
    came_from: dict[str, str | None] = {origin: None}
    queue = deque([topology.machines[origin]])
    while queue:
        machine = queue.popleft()
        if machine.name == target:
            return _back(came_from, target)
        if machine.name != origin and not _forwards(machine):
            continue
        for neighbour in _neighbours(machine, where):
            if neighbour not in came_from:
                came_from[neighbour] = machine.name
                queue.append(topology.machines[neighbour])
    raise ValueError(f"no path from {origin} to {target}")


def links_between(
    topology: Topology,
    origin: str,
    target: str,
    attached: Mapping[str, str] | None = None,
) -> int:
    """Number of links on a shortest path; arguments and exceptions as for `shortest_path`."""
    return len(shortest_path(topology, origin, target, attached)) - 1


def _forwards(machine: Machine) -> bool:
    mobile_router = machine.mobile is not None and machine.mobile.behind is not None
    return machine.role.routes or mobile_router


def _neighbours(machine: Machine, where: Mapping[str, str]) -> Iterator[str]:
    for interface in machine.interfaces:
        mobile_node = {
            InterfaceKind.ACCESS: (interface.name, machine.name),
            InterfaceKind.RADIO: (machine.name, interface.name),
        }.get(interface.kind)
        if mobile_node is None or where[mobile_node[0]] == mobile_node[1]:
            yield interface.name


def _back(came_from: Mapping[str, str | None], target: str) -> tuple[str, ...]:
    path = [target]
    while (previous := came_from[path[-1]]) is not None:
        path.append(previous)
    return tuple(reversed(path))
