"""What measuring needs to know of a topology: who is linked to whom, and who forwards."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dmm_testbed.topology.model import Topology


@dataclass(frozen=True, slots=True)
class Wiring:
    """Machines and their links. An interface is named after the machine at its other end."""

    neighbours: Mapping[str, frozenset[str]]
    routers: frozenset[str]
    """Machines that forward packets."""
    mobile_nodes: frozenset[str]
    """Machines of which only one link is in use at a time."""

    @classmethod
    def of(
        cls,
        links: Iterable[tuple[str, str]],
        *,
        mobile_nodes: Iterable[str] = (),
        hosts: Iterable[str] = (),
    ) -> Wiring:
        """Build from pairs of machine names; `hosts` and mobile nodes do not forward."""
        neighbours: dict[str, set[str]] = {}
        for one, other in links:
            neighbours.setdefault(one, set()).add(other)
            neighbours.setdefault(other, set()).add(one)
        mobile = frozenset(mobile_nodes)
        return cls(
            neighbours={name: frozenset(peers) for name, peers in neighbours.items()},
            routers=frozenset(neighbours) - mobile - frozenset(hosts),
            mobile_nodes=mobile,
        )

    @classmethod
    def of_topology(cls, topology: Topology) -> Wiring:
        """Build from a resolved topology."""
        machines = topology.machines.values()
        return cls.of(
            (link.ends for link in topology.links),
            mobile_nodes=[machine.name for machine in machines if machine.mobile is not None],
            hosts=[machine.name for machine in machines if not machine.role.routes],
        )

    def peer(self, machine: str, interface: str) -> str | None:
        """The machine behind an interface; None for one that is no link (loopback, a bridge)."""
        return interface if interface in self.neighbours.get(machine, ()) else None

    def fewest_links(self, path: tuple[str, ...]) -> int | None:
        """Links of the shortest way between the ends of a path; None if there is none.

        A mobile node at either end stays where the path shows it attached.
        """
        first, last = path[0], path[-1]
        attached = {}
        if first in self.mobile_nodes:
            attached[first] = path[1]
        if last in self.mobile_nodes:
            attached[last] = path[-2]
        distance = {first: 0}
        queue = deque([first])
        while queue:
            here = queue.popleft()
            if here == last:
                return distance[here]
            if here != first and here not in self.routers:
                continue
            for other in self.neighbours[here]:
                in_use = attached.get(here, other) == other and attached.get(other, here) == here
                if in_use and other not in distance:
                    distance[other] = distance[here] + 1
                    queue.append(other)
        return None
