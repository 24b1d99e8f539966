"""A resolved topology: every name, number and address decided, nothing left to work out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ipaddress import IPv6Address, IPv6Interface, IPv6Network

    from dmm_agent.config import DataPlane, Flow
    from dmm_testbed.topology.file import Mobility


class Role(StrEnum):
    """What a machine is in the testbed."""

    ROUTER = "router"
    GATEWAY = "gateway"
    ACCESS_ROUTER = "access_router"
    ANCHOR = "anchor"
    CORRESPONDENT = "correspondent"
    MOBILE_NODE = "mobile_node"
    FIXED_NODE = "fixed_node"
    """A host of a mobile network, which does not know that it moves (RFC 4885, 2.6)."""

    @property
    def routes(self) -> bool:
        """Whether machines of this role forward packets and take part in underlay routing."""
        return self not in (Role.CORRESPONDENT, Role.MOBILE_NODE, Role.FIXED_NODE)


class InterfaceKind(StrEnum):
    """What an interface is for, seen from its machine."""

    ROUTER = "router"
    """Between two routers."""
    CORRESPONDENT = "correspondent"
    """Between a router and a correspondent, at either end."""
    ACCESS = "access"
    """At an access router, towards one mobile node."""
    RADIO = "radio"
    """At a mobile node, towards one access router: a port of its radio bridge."""
    INSIDE = "inside"
    """Between a mobile router, where it is a port of a bridge, and a host of its network."""


@dataclass(frozen=True, slots=True)
class Impairments:
    """What a link does to packets, at each of its two ends when they send."""

    delay_ms: float = 0
    loss_percent: float = 0
    rate_mbit: float | None = None


@dataclass(frozen=True, slots=True)
class Network:
    """One IP network and the prefixes it owns."""

    name: str
    number: int
    prefix: IPv6Network
    infrastructure: IPv6Network
    plain: IPv6Network
    """Addresses on access links that no mobility is for."""
    locator: IPv6Network
    mobile_pool: IPv6Network


@dataclass(frozen=True, slots=True)
class Link:
    """A point-to-point link; a radio link is up only while its mobile node is attached there."""

    ends: tuple[str, str]
    """Names of the machines; of a radio link, the access router first."""
    radio: bool
    mtu: int
    subnet: IPv6Network
    """Of a radio link, its plain prefix: nodes with mobility use home network prefixes there."""
    impairments: Impairments


@dataclass(frozen=True, slots=True)
class Interface:
    """One end of a link, as its machine sees it."""

    name: str
    """The name of the machine at the other end."""
    peer_role: Role
    peer_network: str
    kind: InterfaceKind
    mtu: int
    addresses: tuple[IPv6Interface, ...]
    peer_address: IPv6Address | None
    mac: str | None
    """A link-layer address to set, or None where any will do."""
    up: bool
    """Whether it is up from the start; of a mobile node's, exactly one is."""
    source_prefixes: tuple[IPv6Network, ...]
    """At a transit router: sources that can come in here (feasible paths, RFC 3704, 2.3)."""
    impairments: Impairments


@dataclass(frozen=True, slots=True)
class DefaultRoute:
    """Where a machine without full routing sends what it does not know."""

    via: IPv6Address
    interface: str


@dataclass(frozen=True, slots=True)
class MobileNetwork:
    """What is behind a mobile router (RFC 3963)."""

    prefix: IPv6Network
    """Delegated to it by its home network, for good."""
    address: IPv6Interface
    """Its own, in there."""
    mtu: int
    """So that what comes from there fits into its tunnel."""


@dataclass(frozen=True, slots=True)
class MobileNode:
    """What only mobile nodes have."""

    id: str
    """Network access identifier."""
    mac: str
    """Link-layer address of the radio bridge."""
    attach: str
    """Access router where it starts."""
    hears: tuple[str, ...]
    """Access routers it can attach to."""
    mobility: Mobility
    """Whether there is any for it."""
    link_local: IPv6Address
    home_address: IPv6Address
    """The one that it forms on the link where it starts, while that has plain prefixes."""
    behind: MobileNetwork | None


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine of the testbed."""

    name: str
    role: Role
    network: Network
    """Of a mobile node: the one it starts in."""
    loopback: IPv6Address | None
    """A router's signalling address and tunnel endpoint."""
    interfaces: tuple[Interface, ...]
    gateway: str | None
    """An access router's gateway."""
    block: IPv6Network | None
    """Part of the mobile pool that plain routing brings to an access router, or to a gateway."""
    plain_block: IPv6Network | None
    """The plain prefixes of an access router's links."""
    announces: tuple[IPv6Network, ...]
    """Mobile prefixes that underlay routing brings here."""
    default_route: DefaultRoute | None
    mobile: MobileNode | None
    dataplane: DataPlane | None = None
    """How it tunnels; None: as the profile says."""

    def interface(self, name: str) -> Interface:
        """The interface towards the machine of that name.

        Raises:
            KeyError: there is none.
        """
        for interface in self.interfaces:
            if interface.name == name:
                return interface
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class Topology:
    """A whole testbed, resolved."""

    name: str
    networks: Mapping[str, Network]
    machines: Mapping[str, Machine]
    """In file order, mobile nodes last."""
    links: tuple[Link, ...]
    """In file order, radio links last."""
    declined_flows: tuple[Flow, ...] = ()
    """What no mobility is for, whoever's it is."""

    def with_role(self, role: Role) -> tuple[Machine, ...]:
        """The machines of a role, in file order."""
        return tuple(m for m in self.machines.values() if m.role is role)
