"""What the fields of a topology file must mean together; each rule yields sentences."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import chain
from typing import TYPE_CHECKING

from dmm_agent.dataplane.tunnels import TUNNELS
from dmm_testbed.topology import addresses
from dmm_testbed.topology.file import MIN_MTU, link_name, mobile_nodes_name
from dmm_testbed.topology.mobiles import planned_mobile_nodes
from dmm_testbed.topology.model import Role
from dmm_testbed.topology.sentences import did_you_mean, listed
from dmm_testbed.topology.transform import ENCAPSULATION_BYTES, router_link_mtu

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dmm_testbed.topology.file import HostEntry, TopologyFile

MAX_INTERFACE_NAME = 15
"""Linux: IFNAMSIZ less the closing zero."""

RESERVED_NAMES = frozenset(
    {
        # Ansible's own, and the groups of the inventory.
        *("all", "ungrouped", "localhost", "default", "machines", "underlay"),
        *("routers", "gateways", "anchors", "correspondents"),
        # Interfaces that machines have besides those named after their neighbours.
        *("lo", "radio0", "lan0", *(tunnel.device for tunnel in TUNNELS.values())),
    }
)


def mistakes(file: TopologyFile) -> list[str]:
    """Everything wrong with a topology file whose fields are each right for themselves.

    Returns:
        Sentences that begin with the place; empty if the file can be resolved.
    """
    rules = (
        _network_numbers(file),
        _host_names(file),
        _host_networks(file),
        _gateways(file),
        _one_gateway(file),
        _data_planes(file),
        _access_router_count(file),
        _link_ends(file),
        _correspondents(file),
        _encapsulation_room(file),
        _attachments(file),
        _declined_flows(file),
        _mobile_node_names(file),
        _mobile_node_count(file),
        _mobile_networks(file),
    )
    # Only a graph whose links are all right can be asked what it connects.
    return list(chain.from_iterable(rules)) or list(_connected(file))


def _network_numbers(file: TopologyFile) -> Iterator[str]:
    owners: dict[int, str] = {}
    for name, entry in file.networks.items():
        owner = owners.setdefault(entry.number, name)
        if owner != name:
            yield (
                f"network {name}: number: {entry.number} is already the number of network {owner}; "
                "each network needs its own, because its addresses are made from it"
            )


def _host_names(file: TopologyFile) -> Iterator[str]:
    for name in file.hosts:
        if len(name) > MAX_INTERFACE_NAME:
            yield (
                f"host {name}: name: interfaces towards a host have its name, and Linux allows "
                f"{MAX_INTERFACE_NAME} characters, not {len(name)}"
            )
        if name in RESERVED_NAMES:
            yield (
                f"host {name}: name: reserved for a group or an interface; expected any other than "
                f"{listed(sorted(RESERVED_NAMES))}"
            )


def _host_networks(file: TopologyFile) -> Iterator[str]:
    for name, host in file.hosts.items():
        if host.network not in file.networks:
            guess = did_you_mean(host.network, file.networks)
            yield (
                f"host {name}: network: no network {host.network} under networks "
                f"({listed(file.networks)}){guess}"
            )


def _gateways(file: TopologyFile) -> Iterator[str]:
    neighbours = {frozenset(link.ends) for link in file.links}
    for name, host in file.hosts.items():
        if host.role != "access_router":
            if host.gateway is not None:
                yield f"host {name}: gateway: only an access router has one, not a {host.role}"
            continue
        known = [n for n, h in file.hosts.items() if _is_gateway_of(h, host)]
        where = f"host {name}: gateway:"
        expected = f"a gateway of network {host.network} ({listed(known)})"
        if host.gateway is None and not known:
            yield from _flattened(file, name, host)
        elif host.gateway is None:
            yield f"{where} missing; an access router needs {expected}"
        elif host.gateway not in known:
            guess = did_you_mean(host.gateway, known)
            yield f"{where} expected {expected}, got {host.gateway}{guess}"
        elif frozenset((name, host.gateway)) not in neighbours:
            yield (
                f"{where} {host.gateway} is not adjacent; add a link with ends "
                f"[{host.gateway}, {name}]"
            )


def _flattened(file: TopologyFile, name: str, access_router: HostEntry) -> Iterator[str]:
    """Where no gateway is, the one access router is the gateway, too (draft, 7: a flat network)."""
    others = [
        n
        for n, h in file.hosts.items()
        if (h.role, h.network) == ("access_router", access_router.network) and n != name
    ]
    if others:
        yield (
            f"host {name}: gateway: missing; network {access_router.network} has no gateway, so it "
            f"can have one access router, and not {listed([name, *others])}"
        )


def _is_gateway_of(candidate: HostEntry, access_router: HostEntry) -> bool:
    return candidate.role == "gateway" and candidate.network == access_router.network


def _one_gateway(file: TopologyFile) -> Iterator[str]:
    first: dict[str, str] = {}
    for name, host in file.hosts.items():
        if host.role == "gateway" and (other := first.setdefault(host.network, name)) != name:
            yield (
                f"host {name}: role: network {host.network} already has the gateway {other}; "
                "expected at most one in a network, which announces its mobile pool"
            )


def _data_planes(file: TopologyFile) -> Iterator[str]:
    for name, host in file.hosts.items():
        if host.dataplane is not None and not Role(host.role).routes:
            yield f"host {name}: dataplane: only hosts that route have one, not a {host.role}"


def _access_router_count(file: TopologyFile) -> Iterator[str]:
    counted = Counter(h.network for h in file.hosts.values() if h.role == "access_router")
    for network, count in counted.items():
        if count > addresses.MAX_ACCESS_ROUTERS_PER_NETWORK:
            yield (
                f"network {network}: hosts: its prefix has blocks for "
                f"{addresses.MAX_ACCESS_ROUTERS_PER_NETWORK} access routers, not {count}"
            )


def _link_ends(file: TopologyFile) -> Iterator[str]:
    first: dict[frozenset[str], int] = {}
    for index, link in enumerate(file.links):
        where = f"{link_name(index, link.ends)}: ends:"
        for end in link.ends:
            if end not in file.hosts:
                guess = did_you_mean(end, file.hosts)
                yield f"{where} no host {end} under hosts{guess}"
        if link.ends[0] == link.ends[1]:
            yield f"{where} expected two different hosts"
        elif (other := first.setdefault(frozenset(link.ends), index)) != index:
            yield (
                f"{where} link {other + 1} already joins these hosts; expected one link between "
                "two hosts, because an interface is named after the host at its other end"
            )


def _correspondents(file: TopologyFile) -> Iterator[str]:
    links: defaultdict[str, list[str]] = defaultdict(list)
    for index, link in enumerate(file.links):
        for own, peer in (link.ends, link.ends[::-1]):
            links[own].append(peer)
            if own in file.hosts and file.hosts[own].role == "correspondent" == _role(file, peer):
                yield (
                    f"{link_name(index, link.ends)}: ends: {own} is a correspondent; expected a "
                    "router, gateway, access_router or anchor at the other end"
                )
                break
    for name, host in file.hosts.items():
        if host.role == "correspondent" and len(links[name]) > 1:
            yield (
                f"host {name}: links: expected one link, because a correspondent has one default "
                f"route; got links to {listed(links[name])}"
            )


def _encapsulation_room(file: TopologyFile) -> Iterator[str]:
    needed = file.access_mtu + ENCAPSULATION_BYTES
    for index, link in enumerate(file.links):
        roles = [_role(file, end) for end in link.ends]
        mtu = link.mtu or router_link_mtu(file)
        if all(role and Role(role).routes for role in roles) and mtu < needed:
            yield (
                f"{link_name(index, link.ends)}: mtu: expected at least {needed} between routers "
                f"(access_mtu {file.access_mtu} and {ENCAPSULATION_BYTES} for encapsulation), got "
                f"{mtu}; raise it, or lower access_mtu"
            )


def _role(file: TopologyFile, name: str) -> str | None:
    host = file.hosts.get(name)
    return host.role if host else None


def _attachments(file: TopologyFile) -> Iterator[str]:
    known = [name for name, host in file.hosts.items() if host.role == "access_router"]
    for index, entry in enumerate(file.mobile_nodes):
        where = mobile_nodes_name(index)
        for field, names in (("attach", (entry.attach,)), ("hears", entry.hears or ())):
            for name in names:
                if name not in known:
                    guess = did_you_mean(name, known)
                    yield (
                        f"{where}: {field}: expected an access router ({listed(known)}), "
                        f"got {name}{guess}"
                    )
        for name, times in Counter(entry.hears or ()).items():
            if times > 1:
                yield f"{where}: hears: expected each access router once, got {name} {times} times"
        if entry.hears is not None and entry.attach not in entry.hears:
            yield f"{where}: hears: expected {entry.attach} among them, where the nodes start"


def _declined_flows(file: TopologyFile) -> Iterator[str]:
    first: dict[tuple[str, int], int] = {}
    for index, flow in enumerate(file.declined_flows):
        if (other := first.setdefault((flow.protocol, flow.port), index)) != index:
            yield (
                f"declined_flows entry {index + 1}: {flow.protocol} port {flow.port} is entry "
                f"{other + 1} already; expected each flow once"
            )


def _mobile_node_names(file: TopologyFile) -> Iterator[str]:
    taken = {name: f"host {name}" for name in file.hosts}
    for node in planned_mobile_nodes(file):
        other = taken.setdefault(node.name, f"number {node.running} of network {node.network}")
        if other != f"number {node.running} of network {node.network}":
            yield (
                f"{mobile_nodes_name(node.entry)}: its number {node.running} of network "
                f"{node.network} would be named {node.name}, as is {other}; rename the host or "
                "change the number of the network"
            )
        for name in node.fixed_nodes:
            if name in file.hosts:
                yield (
                    f"{mobile_nodes_name(node.entry)}: a host of its mobile network would be named "
                    f"{name}, as is host {name}; rename that"
                )


def _mobile_node_count(file: TopologyFile) -> Iterator[str]:
    started: Counter[str] = Counter()
    heard: Counter[str] = Counter()
    for node in planned_mobile_nodes(file):
        started[node.network] += 1
        heard.update(dict.fromkeys(node.hears, 1))
    for network, count in started.items():
        if count > addresses.MAX_MOBILE_NODES_PER_NETWORK:
            yield (
                f"network {network}: mobile_nodes: at most "
                f"{addresses.MAX_MOBILE_NODES_PER_NETWORK} can start in one network, not {count}"
            )
    for name, count in heard.items():
        if count > addresses.PREFIXES_PER_BLOCK:
            yield (
                f"host {name}: mobile_nodes: its block has home network prefixes for "
                f"{addresses.PREFIXES_PER_BLOCK} mobile nodes, and {count} hear it; "
                "lower count, or give hears"
            )


def _mobile_networks(file: TopologyFile) -> Iterator[str]:
    needed = MIN_MTU + ENCAPSULATION_BYTES
    for index, entry in enumerate(file.mobile_nodes):
        where = f"{mobile_nodes_name(index)}: mobile_network:"
        if entry.mobile_network is None:
            continue
        if entry.mobility == "declined":
            yield (
                f"{where} expected mobility to be offered to these nodes, because the network "
                "moves with them; leave one of the two out"
            )
        if file.access_mtu < needed:
            yield (
                f"{where} expected access_mtu to be at least {needed}, so that packets of "
                f"{MIN_MTU} fit into the tunnel of a mobile router, got {file.access_mtu}"
            )


def _connected(file: TopologyFile) -> Iterator[str]:
    neighbours: defaultdict[str, set[str]] = defaultdict(set)
    for link in file.links:
        for own, peer in (link.ends, link.ends[::-1]):
            neighbours[own].add(peer)
    start, *others = file.hosts
    reached = _reachable(start, neighbours)
    lost = [name for name in others if name not in reached]
    while lost:
        island = _reachable(lost[0], neighbours)
        names = [name for name in lost if name in island]
        yield (
            f"host {names[0]}: links: no chain of links leads from {start} to "
            f"{_and(names)}; expected all hosts to be connected"
        )
        lost = [name for name in lost if name not in island]


def _reachable(start: str, neighbours: defaultdict[str, set[str]]) -> set[str]:
    reached, ahead = {start}, [start]
    while ahead:
        new = neighbours[ahead.pop()] - reached
        reached |= new
        ahead.extend(new)
    return reached


def _and(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
