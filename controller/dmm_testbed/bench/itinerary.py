"""Who moves where in a benchmark: chosen from the topology, so that any topology will do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dmm_testbed.bench.figures import BenchError
from dmm_testbed.topology.agent_config import directory
from dmm_testbed.topology.model import Role

if TYPE_CHECKING:
    from dmm_testbed.topology import Machine, MobileNode, Network, Topology
    from dmm_testbed.topology.profile import Profile

Kind = Literal["away", "home", "within"]


@dataclass(frozen=True, slots=True)
class Leg:
    """One move, and the anchor whose forwarding it changes."""

    kind: Kind
    to: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Tour:
    """Moves under one session: where the node is when it opens, and where it goes."""

    title: str
    start: str
    legs: tuple[Leg, ...]


@dataclass(frozen=True, slots=True)
class Itinerary:
    """All tours of the first mobile node, which talks to the first correspondent."""

    mobile_node: str
    home: str
    correspondent: str
    correspondent_anchor: str
    """Who learns where the node is, to send to it directly."""
    visited_anchor: str
    """Whom that one then sends to."""
    tours: tuple[Tour, ...]


def itinerary(topology: Topology, profile: Profile, moves: int) -> Itinerary:
    """Choose tours: between the home network and another one, then inside that one.

    Args:
        topology: a topology.
        profile: a profile for it.
        moves: how many moves of each kind.

    Raises:
        BenchError: the topology has nobody to move, to talk to, or no second network to move to.
    """
    nodes = topology.with_role(Role.MOBILE_NODE)
    correspondents = topology.with_role(Role.CORRESPONDENT)
    if not nodes or not correspondents or nodes[0].mobile is None:
        raise BenchError(f"topology {topology.name}: expected a mobile node and a correspondent")
    mobile, correspondent = nodes[0].mobile, correspondents[0]
    home = topology.machines[mobile.attach].network
    visited = _visited(topology, mobile, home, correspondent.network)
    anchors = {
        network.name: _anchor(topology, profile, network)
        for network in (home, visited[0].network, correspondent.network)
    }
    away = Leg("away", visited[0].name, anchors[home.name])
    back = Leg("home", mobile.attach, anchors[home.name])
    tours = [Tour("between networks", mobile.attach, (away, back) * moves)]
    if len(visited) > 1:
        first, second = (Leg("within", m.name, anchors[m.network.name]) for m in visited[:2])
        legs = ((second, first) * moves)[:moves]
        tours.append(Tour("inside a visited network", visited[0].name, legs))
    return Itinerary(
        nodes[0].name,
        mobile.attach,
        correspondent.name,
        anchors[correspondent.network.name],
        anchors[visited[0].network.name],
        tuple(tours),
    )


def _visited(
    topology: Topology, mobile: MobileNode, home: Network, correspondents: Network
) -> list[Machine]:
    """Access routers of one foreign network; if possible not the correspondent's, and several."""
    heard: dict[str, list[Machine]] = {}
    for name in mobile.hears:
        machine = topology.machines[name]
        if machine.network.name != home.name:
            heard.setdefault(machine.network.name, []).append(machine)
    if not heard:
        raise BenchError(
            f"topology {topology.name}: expected a mobile node that hears an access router of a "
            f"network other than {home.name}"
        )
    return max(heard.values(), key=lambda m: (m[0].network.name != correspondents.name, len(m)))


def _anchor(topology: Topology, profile: Profile, network: Network) -> str:
    """The machine with the mobility routing of a network."""
    for entry in directory(topology, profile):
        if entry["network"] == network.name:
            return next(m.name for m in topology.machines.values() if m.loopback == entry["mr"])
    raise BenchError(f"profile {profile.name}: expected one mr and one lm for {network.name}")
