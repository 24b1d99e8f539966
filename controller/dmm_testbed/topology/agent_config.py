"""The configuration of one host's agent, made from a topology and a profile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dmm_agent.config import AgentConfig
from dmm_testbed.topology.functions import InstalledFunctions
from dmm_testbed.topology.model import InterfaceKind, Role
from dmm_testbed.topology.placement import data_plane, options_for, rewrites, servers
from dmm_testbed.topology.plain import RADIO_BRIDGE

if TYPE_CHECKING:
    from ipaddress import IPv6Network

    from dmm_testbed.topology.functions import Functions
    from dmm_testbed.topology.model import Machine, MobileNode, Network, Topology
    from dmm_testbed.topology.profile import Profile


def agent_config(
    topology: Topology, profile: Profile, host: str, functions: Functions | None = None
) -> dict[str, Any] | None:
    """Make the configuration of a host's agent as plain data, ready for YAML.

    Args:
        topology: the topology.
        profile: a profile that `profile_rules` finds no fault with on this topology.
        host: name of the machine.
        functions: function classes by name; those installed, if left out.

    Returns:
        None if the profile places nothing on the host.

    Raises:
        KeyError: no such host.
    """
    known = InstalledFunctions() if functions is None else functions
    machine = topology.machines[host]
    placed = profile.on(machine)
    if not placed:
        return None
    own = _mobile_node if machine.role is Role.MOBILE_NODE else _router
    config = AgentConfig.model_validate(
        {
            "schema": 1,
            "host": machine.name,
            "network": machine.network.name,
            **own(topology, machine),
            "dataplane": data_plane(profile, machine),
            "directory": {"networks": directory(topology, profile)},
            "functions": {
                name: options_for(topology, profile, machine, name, known[name].options_class)
                for name in placed
            },
        }
    )
    return config.model_dump(mode="json", by_alias=True)


def _router(topology: Topology, machine: Machine) -> dict[str, Any]:
    """What only routers are told."""
    return {
        "address": machine.loopback,
        "uplinks": _uplinks(machine),
        "access_links": _names(machine, InterfaceKind.ACCESS),
        "home_block": machine.block if machine.role is Role.ACCESS_ROUTER else None,
        "plain_prefixes": _plain_prefixes(machine),
        "mobile_nodes": _policy(topology, _mobile_nodes(topology)),
    }


def _mobile_node(topology: Topology, machine: Machine) -> dict[str, Any]:
    """What only mobile nodes are told; of others they know nothing."""
    own = [n for n in _mobile_nodes(topology) if machine.mobile and n["id"] == machine.mobile.id]
    return {"radio": RADIO_BRIDGE, "mobile_nodes": _policy(topology, own)}


def _policy(topology: Topology, nodes: list[dict[str, Any]]) -> dict[str, Any]:
    declined = [flow.model_dump() for flow in topology.declined_flows]
    return {"nodes": nodes, "declined_flows": declined}


def directory(topology: Topology, profile: Profile) -> list[dict[str, Any]]:
    """Who serves each network; networks without both an LM and an MR are left out."""
    entries = []
    for network in topology.networks.values():
        lm = servers(topology, profile, "lm", network)
        mr = servers(topology, profile, "mr", network)
        if len(lm) == len(mr) == 1:
            entries.append(
                {
                    "network": network.name,
                    "prefix": network.prefix,
                    "mobile_pool": network.mobile_pool,
                    "plain": network.plain,
                    "lm": lm[0].loopback,
                    "mr": mr[0].loopback,
                    "access_mrs": _access_mrs(topology, profile, network, mr[0]),
                    "locators": network.locator if rewrites(profile) else None,
                }
            )
    return entries


def _access_mrs(
    topology: Topology, profile: Profile, network: Network, mr: Machine
) -> list[dict[str, Any]]:
    """The access routers with an MR of their own, and the prefixes of the hosts that stay below."""
    return [
        {"prefixes": [*_links_of_hosts(router), router.plain_block], "mr": router.loopback}
        for router in topology.with_role(Role.ACCESS_ROUTER)
        if router.network is network and router is not mr and "mr" in profile.on(router)
    ]


def _links_of_hosts(router: Machine) -> list[IPv6Network]:
    return [
        address.network
        for interface in router.interfaces
        if interface.peer_role is Role.CORRESPONDENT
        for address in interface.addresses
    ]


def _uplinks(machine: Machine) -> list[str]:
    """Interfaces towards the rest of the world: of an access router, all towards routers."""
    return [
        interface.name
        for interface in machine.interfaces
        if interface.kind is InterfaceKind.ROUTER
        and (machine.role is Role.ACCESS_ROUTER or interface.peer_network != machine.network.name)
    ]


def _names(machine: Machine, kind: InterfaceKind) -> list[str]:
    return [interface.name for interface in machine.interfaces if interface.kind is kind]


def _plain_prefixes(machine: Machine) -> dict[str, IPv6Network]:
    """What is advertised on each access link to nodes that mobility is declined to."""
    return {
        interface.name: address.network
        for interface in machine.interfaces
        if interface.kind is InterfaceKind.ACCESS
        for address in interface.addresses
        if not address.is_link_local
    }


def _mobile_nodes(topology: Topology) -> list[dict[str, Any]]:
    nodes = (machine.mobile for machine in topology.with_role(Role.MOBILE_NODE))
    return [
        {"id": node.id, "link_layer": node.mac, "mobility": node.mobility, **_behind(node)}
        for node in nodes
        if node
    ]


def _behind(node: MobileNode) -> dict[str, Any]:
    """Of a mobile router: its network, and the home address by which it registers that."""
    if node.behind is None:
        return {}
    return {"mobile_networks": (node.behind.prefix,), "home_address": node.home_address}
