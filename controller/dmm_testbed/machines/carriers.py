"""What carries the links of VMs and of hosts that exist already; see docs/metal.md.

Links of namespace machines are veth pairs (`links`). A VM has a network card for each of its links.
A host that exists already has a VXLAN tunnel to the host at the other end, or a real interface. The
program `dmm-links` on the machine makes interfaces of them, named after the machine at the far end.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any

from dmm_testbed.machines.errors import MachineError
from dmm_testbed.machines.links import link_layer_address

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dmm_testbed.machines.spec import LinkSpec

Address = IPv4Address | IPv6Address

VXLAN_PORT = 4789
"""UDP port of VXLAN (RFC 7348, section 5)."""
USUAL_MTU = 1500
VXLAN_BYTES = {4: 50, 6: 70}
"""What VXLAN adds to a packet, by outer IP version: headers of Ethernet, VXLAN, UDP and IP."""
_INTERFACE = re.compile(r"[^\s/:]{1,15}")


@dataclass(frozen=True, slots=True)
class Host:
    """What an inventory says of the host that is to be a machine."""

    name: str
    address: str | None = None
    """`ansible_host`: where Ansible reaches it, a name or an IP address."""
    underlay_address: str | None = None
    """`dmm_underlay_address`: where the other hosts reach it, if that is elsewhere."""
    underlay_mtu: int = USUAL_MTU
    """`dmm_underlay_mtu`: size in bytes of the largest IP packet between the hosts."""
    interfaces: Mapping[str, Any] = field(default_factory=dict)
    """`dmm_interfaces`: real interfaces by the name of the machine at the other end."""


def network_cards(machine: str, links: Sequence[LinkSpec]) -> list[dict[str, Any]]:
    """The links of a VM: each has a network card, known by its link-layer address."""
    return [
        _link(peer, link, {"kind": "nic", "mac": link_layer_address(machine, peer)})
        for peer, _, link in _of(machine, links)
    ]


def tunnels_and_interfaces(
    machine: str, links: Sequence[LinkSpec], hosts: Mapping[str, Host], port: int, first_vni: int
) -> list[dict[str, Any]]:
    """The links of a host that exists already.

    Args:
        machine: its name.
        links: all links of the lab; the first one's VXLAN network identifier is `first_vni`.
        hosts: all hosts of the lab by name.
        port: UDP port of VXLAN.
        first_vni: VXLAN network identifier of the first link, the others' follow.

    Raises:
        MachineError: the inventory does not say how, or a link cannot be that large.
    """
    peers = {peer for peer, _, _ in _of(machine, links)}
    for peer in hosts[machine].interfaces:
        if peer not in peers:
            raise MachineError(
                f"inventory: host {machine}: dmm_interfaces: it has no link to {peer}; expected "
                f"some of {', '.join(sorted(peers))}"
            )
    return [
        _link(peer, link, _carrier(hosts[machine], hosts[peer], number, link, port, first_vni))
        for peer, number, link in _of(machine, links)
    ]


def reached_at(host: Host) -> Address:
    """The address at which the other hosts reach a host.

    Raises:
        MachineError: the inventory does not tell.
    """
    field_name = "dmm_underlay_address" if host.underlay_address else "ansible_host"
    text = host.underlay_address or host.address or ""
    try:
        found = _resolved(text)
    except OSError as error:
        raise MachineError(
            f"inventory: host {host.name}: {field_name}: expected an IP address, or a name that "
            f"this computer can resolve, got {text!r} ({error})"
        ) from None
    if found.is_loopback:
        raise MachineError(
            f"inventory: host {host.name}: {field_name}: {text} is an address that only the host "
            "itself can use; set dmm_underlay_address to one that the other hosts reach"
        )
    return found


def _resolved(text: str) -> Address:
    """An address, or the one of a name; IPv4 if it has both."""
    try:
        return ip_address(text)
    except ValueError:
        found = socket.getaddrinfo(text, None, type=socket.SOCK_DGRAM)
    return min((ip_address(entry[4][0]) for entry in found), key=lambda a: (a.version, int(a)))


def _of(machine: str, links: Sequence[LinkSpec]) -> list[tuple[str, int, LinkSpec]]:
    """A machine's links: the machine at the other end, the number of the link in the lab (0...)."""
    return [
        (link.ends[1 - link.ends.index(machine)], number, link)
        for number, link in enumerate(links)
        if machine in link.ends
    ]


def _link(peer: str, link: LinkSpec, carrier: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": peer,
        "mtu": link.mtu,
        "impairments": link.impairments.model_dump(),
        "carrier": carrier,
    }


def _carrier(
    own: Host, other: Host, number: int, link: LinkSpec, port: int, first_vni: int
) -> dict[str, Any]:
    here, there = other.name in own.interfaces, own.name in other.interfaces
    if here and there:
        return _interface(own, other.name)
    if here or there:
        with_one, without = (own, other) if here else (other, own)
        raise MachineError(
            f"inventory: host {without.name}: dmm_interfaces: expected an interface for "
            f"{with_one.name}, which has one for {without.name}: give both ends one, or neither"
        )
    local, remote = reached_at(own), reached_at(other)
    if local.version != remote.version:
        raise MachineError(
            f"inventory: hosts {own.name} and {other.name}: expected addresses of one IP version, "
            f"got {local} and {remote}; set dmm_underlay_address"
        )
    _check_size(own, other, link, VXLAN_BYTES[local.version])
    return {
        "kind": "vxlan",
        "vni": first_vni + number,
        "local": str(local),
        "remote": str(remote),
        "port": port,
        "mac": link_layer_address(own.name, other.name),
    }


def _check_size(own: Host, other: Host, link: LinkSpec, added: int) -> None:
    room = min(own.underlay_mtu, other.underlay_mtu)
    if link.mtu + added > room:
        raise MachineError(
            f"link {'-'.join(link.ends)}: mtu: over VXLAN a network that carries {room} bytes has "
            f"room for {room - added}, got {link.mtu}; in the topology lower it (between routers "
            f"{room - added}, access_mtu {room - added - 40}), or raise the MTU of the hosts' "
            "network and set dmm_underlay_mtu, or give the link real interfaces (dmm_interfaces)"
        )


def _interface(own: Host, peer: str) -> dict[str, Any]:
    given = own.interfaces[peer]
    told = {"interface": given} if isinstance(given, str) else given
    if not isinstance(told, dict) or not set(told) <= {"interface", "vlan"}:
        told = {}
    name, vlan = told.get("interface"), told.get("vlan")
    if not isinstance(name, str) or not _INTERFACE.fullmatch(name):
        raise MachineError(
            f"inventory: host {own.name}: dmm_interfaces: {peer}: expected the name of an "
            f"interface, or {{interface: NAME, vlan: NUMBER}}, got {given!r}"
        )
    if vlan is not None and not (isinstance(vlan, int) and 1 <= vlan <= 4094):
        raise MachineError(
            f"inventory: host {own.name}: dmm_interfaces: {peer}: vlan: expected a number from 1 "
            f"to 4094, got {vlan!r}"
        )
    return {"kind": "interface", "interface": name, "vlan": vlan}
