"""Resolve a checked topology file, once, into the model that everything else uses."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Interface, collapse_addresses
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING

from dmm_agent.config import Flow
from dmm_agent.functions.prefix import interface_identifier
from dmm_testbed.topology import addresses
from dmm_testbed.topology.mobiles import PlannedMobileNode, planned_mobile_nodes
from dmm_testbed.topology.model import (
    DefaultRoute,
    Impairments,
    Interface,
    InterfaceKind,
    Link,
    Machine,
    MobileNetwork,
    MobileNode,
    Network,
    Role,
    Topology,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from ipaddress import IPv6Network

    from dmm_testbed.topology.file import HostEntry, TopologyFile

ENCAPSULATION_BYTES = 40
"""What IPv6-in-IPv6 adds to a packet (RFC 2473, section 3)."""
ROUTER_LINK_MTU = 1600
"""MTU of a link between routers where the file does not say."""
CORRESPONDENT_LINK_MTU = 1500
"""MTU of a link to a correspondent where the file does not say."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Role and network of a machine: all that its neighbours need to know of it."""

    role: Role
    network: str


def router_link_mtu(file: TopologyFile) -> int:
    """The MTU of links between routers where the file does not say."""
    return max(ROUTER_LINK_MTU, file.access_mtu + ENCAPSULATION_BYTES)


def resolve(file: TopologyFile) -> Topology:
    """Decide every name, number and address of a topology file that `rules` finds no fault with."""
    networks = {name: _network(name, entry.number) for name, entry in file.networks.items()}
    mobile_nodes = tuple(planned_mobile_nodes(file))
    places = {name: _Place(Role(host.role), host.network) for name, host in file.hosts.items()}
    places |= {node.name: _Place(Role.MOBILE_NODE, node.network) for node in mobile_nodes}
    places |= {
        host: _Place(Role.FIXED_NODE, node.network)
        for node in mobile_nodes
        for host in node.fixed_nodes
    }
    links = (
        *_fixed_links(file, networks, places),
        *_radio_links(file, networks, mobile_nodes),
        *_inside_links(file, networks, mobile_nodes),
    )
    attached = {(node.attach, node.name) for node in mobile_nodes}
    interfaces = _interfaces(links, places, networks, attached)
    machines = chain(
        _hosts(file, networks, interfaces),
        (_mobile_node(file, node, networks, links, interfaces) for node in mobile_nodes),
        (
            _unrouted(host, Role.FIXED_NODE, networks[node.network], interfaces[host])
            for node in mobile_nodes
            for host in node.fixed_nodes
        ),
    )
    return Topology(
        file.name,
        MappingProxyType(networks),
        MappingProxyType({machine.name: machine for machine in machines}),
        links,
        tuple(Flow(protocol=f.protocol, port=f.port) for f in file.declined_flows),
    )


def _network(name: str, number: int) -> Network:
    return Network(
        name,
        number,
        addresses.network_prefix(number),
        addresses.infrastructure_prefix(number),
        addresses.plain_prefix(number),
        addresses.locator_prefix(number),
        addresses.mobile_pool(number),
    )


def _fixed_links(
    file: TopologyFile, networks: Mapping[str, Network], places: Mapping[str, _Place]
) -> Iterator[Link]:
    counted: Counter[str] = Counter()
    for entry in file.links:
        network = places[entry.ends[0]].network
        counted[network] += 1
        between_routers = all(places[end].role.routes for end in entry.ends)
        usual_mtu = router_link_mtu(file) if between_routers else CORRESPONDENT_LINK_MTU
        yield Link(
            entry.ends,
            radio=False,
            mtu=entry.mtu or usual_mtu,
            subnet=addresses.link_subnet(networks[network].number, counted[network]),
            impairments=Impairments(entry.delay_ms, entry.loss_percent, entry.rate_mbit),
        )


def _radio_links(
    file: TopologyFile, networks: Mapping[str, Network], mobile_nodes: Iterable[PlannedMobileNode]
) -> Iterator[Link]:
    numbers = _access_router_numbers(file)
    counted: Counter[str] = Counter()
    for node in mobile_nodes:
        for access_router in node.hears:
            network = networks[file.hosts[access_router].network].number
            subnet = addresses.access_link_subnet(
                network, numbers[access_router], counted[access_router]
            )
            counted[access_router] += 1
            yield Link((access_router, node.name), True, file.access_mtu, subnet, Impairments())


def _inside_links(
    file: TopologyFile, networks: Mapping[str, Network], mobile_nodes: Iterable[PlannedMobileNode]
) -> Iterator[Link]:
    for node in mobile_nodes:
        subnet = addresses.mobile_network(networks[node.network].number, node.running)
        for host in node.fixed_nodes:
            mtu = file.access_mtu - ENCAPSULATION_BYTES
            yield Link((node.name, host), False, mtu, subnet, Impairments())


def _access_router_numbers(file: TopologyFile) -> dict[str, int]:
    """The number (1...) of each access router in its network, in file order."""
    counted: Counter[str] = Counter()
    numbers = {}
    for name, host in file.hosts.items():
        if host.role == "access_router":
            counted[host.network] += 1
            numbers[name] = counted[host.network]
    return numbers


def _interfaces(
    links: tuple[Link, ...],
    places: Mapping[str, _Place],
    networks: Mapping[str, Network],
    attached: set[tuple[str, str]],
) -> dict[str, tuple[Interface, ...]]:
    found: dict[str, list[Interface]] = {name: [] for name in places}
    for link in links:
        both = addresses.link_addresses(link.subnet)
        for own, peer in ((0, 1), (1, 0)):
            name, peer_name = link.ends[own], link.ends[peer]
            if places[link.ends[1]].role is Role.FIXED_NODE:
                found[name].append(_inside_interface(link, places[peer_name], peer_name))
                continue
            sources = _source_prefixes(name, peer_name, links, places, networks)
            found[name].append(
                _interface(link, places, own, both, sources)
                if not link.radio
                else _radio_interface(link, places, own, both[own], link.ends in attached)
            )
    return {name: tuple(interfaces) for name, interfaces in found.items()}


def _interface(
    link: Link,
    places: Mapping[str, _Place],
    own: int,
    both: tuple[IPv6Interface, IPv6Interface],
    source_prefixes: tuple[IPv6Network, ...],
) -> Interface:
    address, peer_address = both[own], both[1 - own]
    peer = places[link.ends[1 - own]]
    between_routers = all(places[end].role.routes for end in link.ends)
    return Interface(
        name=link.ends[1 - own],
        peer_role=peer.role,
        peer_network=peer.network,
        kind=InterfaceKind.ROUTER if between_routers else InterfaceKind.CORRESPONDENT,
        mtu=link.mtu,
        addresses=(address,),
        peer_address=peer_address.ip,
        mac=None,
        up=True,
        source_prefixes=source_prefixes,
        impairments=link.impairments,
    )


def _inside_interface(link: Link, peer: _Place, peer_name: str) -> Interface:
    """Its host has what the mobile router advertises; that has its address on a bridge."""
    return Interface(
        name=peer_name,
        peer_role=peer.role,
        peer_network=peer.network,
        kind=InterfaceKind.INSIDE,
        mtu=link.mtu,
        addresses=(),
        peer_address=None,
        mac=None,
        up=True,
        source_prefixes=(),
        impairments=link.impairments,
    )


def _radio_interface(
    link: Link, places: Mapping[str, _Place], own: int, plain: IPv6Interface, up: bool
) -> Interface:
    peer = places[link.ends[1 - own]]
    at_access_router = own == 0
    return Interface(
        name=link.ends[1 - own],
        peer_role=peer.role,
        peer_network=peer.network,
        kind=InterfaceKind.ACCESS if at_access_router else InterfaceKind.RADIO,
        mtu=link.mtu,
        addresses=(addresses.ACCESS_ROUTER_LINK_LOCAL, plain) if at_access_router else (),
        peer_address=None,
        mac=addresses.ACCESS_ROUTER_MAC if at_access_router else None,
        # An access router's end stays up: losing its carrier is how it sees a node go.
        up=at_access_router or up,
        source_prefixes=(),
        impairments=link.impairments,
    )


def _source_prefixes(
    name: str,
    peer: str,
    links: tuple[Link, ...],
    places: Mapping[str, _Place],
    networks: Mapping[str, Network],
) -> tuple[IPv6Network, ...]:
    """What can come in from a neighbour: all networks it reaches without this machine."""
    if places[name].role is not Role.ROUTER:
        return ()
    beyond = {peer}
    growing = True
    while growing:
        reached = {
            end
            for link in links
            if not link.radio and name not in link.ends and beyond.intersection(link.ends)
            for end in link.ends
        }
        growing = not reached <= beyond
        beyond |= reached
    beyond_networks = [networks[places[machine].network] for machine in beyond]
    prefixes = {prefix for n in beyond_networks for prefix in (n.prefix, n.locator)}
    # A neighbour may also speak from its address on a link that is numbered by this side.
    prefixes |= {
        link.subnet for link in links if name in link.ends and beyond.intersection(link.ends)
    }
    return tuple(collapse_addresses(prefixes))


def _hosts(
    file: TopologyFile,
    networks: Mapping[str, Network],
    interfaces: Mapping[str, tuple[Interface, ...]],
) -> Iterator[Machine]:
    numbers: Counter[str] = Counter()
    access_routers = _access_router_numbers(file)
    for name, host in file.hosts.items():
        network, role = networks[host.network], Role(host.role)
        numbers[network.name] += 1
        access_router = access_routers.get(name, 0)
        own_number = numbers[network.name]
        yield Machine(
            name=name,
            role=role,
            network=network,
            loopback=addresses.loopback(network.number, own_number) if role.routes else None,
            interfaces=interfaces[name],
            gateway=host.gateway,
            block=_block(role, network, access_router),
            plain_block=(
                addresses.plain_block(network.number, access_router) if access_router else None
            ),
            announces=_announces(file, host, networks, access_router),
            default_route=_default_route(host, interfaces[name]),
            mobile=None,
            dataplane=host.dataplane,
        )


def _block(role: Role, network: Network, access_router: int) -> IPv6Network | None:
    if role is Role.ACCESS_ROUTER:
        return addresses.home_block(network.number, access_router)
    return addresses.home_block(network.number, 0) if role is Role.GATEWAY else None


def _announces(
    file: TopologyFile, host: HostEntry, networks: Mapping[str, Network], access_router: int
) -> tuple[IPv6Network, ...]:
    """A network's pool leads to its gateway, or to the anchor of a network without one.

    The access router of a flattened network is its gateway.
    """
    network, role = networks[host.network], Role(host.role)
    if role is Role.ACCESS_ROUTER and host.gateway is None:
        return (network.mobile_pool,)
    if role is Role.ACCESS_ROUTER:
        return (addresses.home_block(network.number, access_router),)
    others = (other.role for other in file.hosts.values() if other.network == host.network)
    leads = role is Role.GATEWAY or (role is Role.ANCHOR and "gateway" not in others)
    return (network.mobile_pool,) if leads else ()


def _default_route(host: HostEntry, interfaces: tuple[Interface, ...]) -> DefaultRoute | None:
    """An access router's goes to its gateway, a correspondent's to the only neighbour it has."""
    for interface in interfaces:
        wanted = host.role == "correspondent" or interface.name == host.gateway
        if wanted and interface.peer_address:
            return DefaultRoute(interface.peer_address, interface.name)
    return None


def _mobile_node(
    file: TopologyFile,
    node: PlannedMobileNode,
    networks: Mapping[str, Network],
    links: tuple[Link, ...],
    interfaces: Mapping[str, tuple[Interface, ...]],
) -> Machine:
    network = networks[node.network]
    mac = addresses.mobile_node_mac(network.number, node.running)
    identifier = interface_identifier(mac)
    (home,) = (link.subnet for link in links if link.ends == (node.attach, node.name))
    mobile = MobileNode(
        addresses.mobile_node_id(node.name),
        mac,
        node.attach,
        node.hears,
        node.mobility,
        IPv6Address("fe80::") + identifier,
        home.network_address + identifier,
        _mobile_network(file, network, node) if node.fixed_nodes else None,
    )
    return _unrouted(node.name, Role.MOBILE_NODE, network, interfaces[node.name], mobile)


def _mobile_network(file: TopologyFile, network: Network, node: PlannedMobileNode) -> MobileNetwork:
    prefix = addresses.mobile_network(network.number, node.running)
    address = IPv6Interface((prefix[1], prefix.prefixlen))
    return MobileNetwork(prefix, address, file.access_mtu - ENCAPSULATION_BYTES)


def _unrouted(
    name: str,
    role: Role,
    network: Network,
    interfaces: tuple[Interface, ...],
    mobile: MobileNode | None = None,
) -> Machine:
    """A machine that the topology gives no fixed address."""
    return Machine(
        name=name,
        role=role,
        network=network,
        loopback=None,
        interfaces=interfaces,
        gateway=None,
        block=None,
        plain_block=None,
        announces=(),
        default_route=None,
        mobile=mobile,
    )
