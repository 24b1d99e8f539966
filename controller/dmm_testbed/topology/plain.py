"""The resolved topology as plain data: host variables for Ansible, and files to compare with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dmm_testbed.topology.model import InterfaceKind

if TYPE_CHECKING:
    from dmm_testbed.topology.model import (
        Impairments,
        Interface,
        Link,
        Machine,
        MobileNetwork,
        Network,
        Topology,
    )

RADIO_BRIDGE = "radio0"
"""The mobile node's interface; its ports are the links to the access routers it hears."""


INSIDE_BRIDGE = "lan0"
"""A mobile router's interface to its network; its ports are the links to the hosts there."""


def plain_topology(topology: Topology) -> dict[str, Any]:
    """What is known of the topology as a whole: name, networks and links."""
    return {
        "name": topology.name,
        "networks": {n.name: _plain_network(n) for n in topology.networks.values()},
        "links": [_plain_link(link) for link in topology.links],
        "declined_flows": [f.model_dump() for f in topology.declined_flows],
    }


def plain_machine(machine: Machine) -> dict[str, Any]:
    """Everything a role needs to know of one machine; addresses are text."""
    return {
        "host": machine.name,
        "role": str(machine.role),
        "network": machine.network.name,
        "network_number": machine.network.number,
        "prefix": str(machine.network.prefix),
        "locator": str(machine.network.locator),
        "pool": str(machine.network.mobile_pool),
        "block": _text(machine.block),
        "plain_block": _text(machine.plain_block),
        "announces": [str(prefix) for prefix in machine.announces],
        "loopback": _text(machine.loopback),
        "address": _address(machine),
        "gateway": machine.gateway,
        "default_route": (
            {"via": str(machine.default_route.via), "interface": machine.default_route.interface}
            if machine.default_route
            else None
        ),
        "ospf": machine.role.routes,
        "interfaces": [_plain_interface(interface) for interface in machine.interfaces],
        "mobile": (
            {
                "id": machine.mobile.id,
                "mac": machine.mobile.mac,
                "bridge": RADIO_BRIDGE,
                "attach": machine.mobile.attach,
                "hears": list(machine.mobile.hears),
                "mobility": machine.mobile.mobility,
                "network": _plain_mobile_network(machine.mobile.behind),
            }
            if machine.mobile
            else None
        ),
    }


def _plain_mobile_network(network: MobileNetwork | None) -> dict[str, Any] | None:
    if network is None:
        return None
    return {
        "prefix": str(network.prefix),
        "bridge": INSIDE_BRIDGE,
        "address": str(network.address),
        "mtu": network.mtu,
    }


def _address(machine: Machine) -> str | None:
    """The fixed address to reach a machine at; a mobile node has none."""
    if machine.loopback:
        return str(machine.loopback)
    return next((str(a.ip) for i in machine.interfaces for a in i.addresses), None)


def _plain_network(network: Network) -> dict[str, Any]:
    return {
        "number": network.number,
        "prefix": str(network.prefix),
        "infrastructure": str(network.infrastructure),
        "plain": str(network.plain),
        "locator": str(network.locator),
        "pool": str(network.mobile_pool),
    }


def _plain_link(link: Link) -> dict[str, Any]:
    return {
        "ends": list(link.ends),
        "radio": link.radio,
        "mtu": link.mtu,
        "subnet": str(link.subnet),
        "impairments": _plain_impairments(link.impairments),
    }


def _plain_interface(interface: Interface) -> dict[str, Any]:
    return {
        "name": interface.name,
        "peer": interface.name,
        "peer_role": str(interface.peer_role),
        "peer_network": interface.peer_network,
        "kind": str(interface.kind),
        "mtu": interface.mtu,
        "addresses": [str(address) for address in interface.addresses],
        "peer_address": _text(interface.peer_address),
        "mac": interface.mac,
        "up": interface.up,
        "ospf": _OSPF.get(interface.kind),
        "source_prefixes": [str(prefix) for prefix in interface.source_prefixes],
        "impairments": _plain_impairments(interface.impairments),
    }


_OSPF = {InterfaceKind.ROUTER: "ptp", InterfaceKind.CORRESPONDENT: "stub"}


def _plain_impairments(impairments: Impairments) -> dict[str, Any]:
    return {
        "delay_ms": impairments.delay_ms,
        "loss_percent": impairments.loss_percent,
        "rate_mbit": impairments.rate_mbit,
    }


def _text(value: object) -> str | None:
    return None if value is None else str(value)
