"""What a profile means on a topology: who serves which network, and each function's options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dmm_testbed.topology.model import Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from dmm_agent.config import DataPlane
    from dmm_agent.functions.base import Options
    from dmm_testbed.topology.model import Machine, Network, Topology
    from dmm_testbed.topology.profile import Profile


def servers(
    topology: Topology, profile: Profile, function: str, network: Network
) -> tuple[Machine, ...]:
    """The machines that could be the one that serves a network with a function.

    Those in the network come first, its gateway or anchor before its access routers; a network
    where mobile nodes attach and that has none of its own is served from elsewhere. One machine is
    an answer; none or several are not.
    """
    carriers = [m for m in topology.machines.values() if function in profile.on(m)]
    own = tuple(m for m in carriers if m.network is network)
    central = tuple(m for m in own if m.role in (Role.GATEWAY, Role.ANCHOR))
    if own or not mobile_nodes_attach(topology, network):
        return central or own
    return tuple(carriers)


def mobile_nodes_attach(topology: Topology, network: Network) -> bool:
    """Whether a network has access routers."""
    return any(m.network is network for m in topology.with_role(Role.ACCESS_ROUTER))


def data_plane(profile: Profile, machine: Machine) -> DataPlane:
    """How a machine tunnels: as the topology says of it, else as the profile says."""
    return machine.dataplane or profile.dataplane


def data_planes(topology: Topology, profile: Profile) -> frozenset[DataPlane]:
    """The ways to tunnel that routers need somewhere."""
    agents = (m for m in topology.machines.values() if m.role.routes and profile.on(m))
    return frozenset(data_plane(profile, machine) for machine in agents)


def rewrites(profile: Profile) -> bool:
    """Whether packets go to other networks under locators."""
    return bool(profile.options_of("mr").get("forwarding") == "rewrite")


def options_for(
    topology: Topology,
    profile: Profile,
    machine: Machine,
    function: str,
    options_class: type[Options],
) -> dict[str, Any]:
    """The options of one function on one machine, as plain data.

    They are the profile's options that the function has, those of its own section in the profile,
    and what follows from the topology.
    """
    taken = options_class.model_fields
    options = {name: value for name, value in profile.options.items() if name in taken}
    options |= profile.functions.get(function, {})
    facts = {name: fact(topology, machine) for name, fact in FACTS.items() if name in taken}
    return options | facts


def _pool(_: Topology, machine: Machine) -> str:
    own = machine.role is Role.ACCESS_ROUTER and machine.block
    return str(own or machine.network.mobile_pool)


def _blocks(topology: Topology, machine: Machine) -> list[dict[str, str]]:
    """Blocks to lease from: an access router's own, else those of the network's access routers."""
    if machine.role is Role.ACCESS_ROUTER:
        routers = [machine]
    else:
        everywhere = topology.with_role(Role.ACCESS_ROUTER)
        routers = [router for router in everywhere if router.network is machine.network]
    return [{"access_router": str(r.loopback), "prefix": str(r.block)} for r in routers]


FACTS: dict[str, Callable[[Topology, Machine], Any]] = {"pool": _pool, "blocks": _blocks}
"""Options that no profile sets, because they follow from the topology."""
