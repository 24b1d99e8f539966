"""A mobile node that is away, and the two ways to it: by plain routing, and steered."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmm_testbed.bench.figures import BenchError
from dmm_testbed.scenario import radio

if TYPE_CHECKING:
    from ipaddress import IPv6Network

    from dmm_testbed.bench.itinerary import Itinerary
    from dmm_testbed.measure.runner import Runner
    from dmm_testbed.topology import Machine, Topology

ANSWERED_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class Ways:
    """Two ways between the same two hosts over the same links."""

    sender: str
    receiver: str
    plain: str
    """The receiver's address that plain routing leads to: of the network where it is."""
    steered: str
    """Its address that packets are steered to: of its home network."""
    ingress: str
    """The host of the sender's MR, where steering begins."""
    egress_address: str
    pool: IPv6Network
    """The mobile pool of the steered address."""


def leave_home(runner: Runner, topology: Topology, plan: Itinerary) -> Ways:
    """Have the node be away, with an address of its home that is known there.

    Raises:
        MeasuringError: it does not get there, or has no address.
        BenchError: what it sends from that address is not answered.
    """
    machines, node, to = topology.machines, plan.mobile_node, plan.tours[0].legs[0].to
    home, visited = (machines[router].network.mobile_pool for router in (plan.home, to))
    radio.wake(runner, node)
    radio.move(runner, node, plan.home)
    steered = radio.address_in(runner, node, home)
    radio.move(runner, node, to)
    plain = radio.address_in(runner, node, visited)
    peer = machines[plan.correspondent]
    _use(runner, node, steered, address_of(peer))
    return Ways(
        sender=peer.name,
        receiver=node,
        plain=plain,
        steered=steered,
        ingress=plan.correspondent_anchor,
        egress_address=address_of(machines[plan.visited_anchor]),
        pool=home,
    )


def _use(runner: Runner, node: str, source: str, peer: str) -> None:
    """Send from an address until that works: the network learns of it from packets."""
    deadline = time.monotonic() + ANSWERED_WITHIN_S
    while runner.run(node, ["ping", "-n", "-c", "3", "-W", "1", "-I", source, peer]).returncode:
        if time.monotonic() > deadline:
            raise BenchError(f"{node} gets no answer from {peer} to what it sends from {source}")


def address_of(machine: Machine) -> str:
    """Where a router or correspondent is reached."""
    return str(machine.loopback or machine.interfaces[0].addresses[0].ip)
