"""The way of packets to be rewritten: out by one of two joined interfaces, in again by the other.

A route through the entrance says by its next hop at whose network packets are to arrive. The next
hop's link-layer address tells nftables at the exit, which puts the locators in, and the packet is
routed once more.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmm_agent.config import AgentConfig, NetworkEntry

ENTRANCE, EXIT = "dmm-rw0", "dmm-rw1"

_FIRST = int(IPv6Address("fe80::1:0"))


@dataclass(frozen=True, slots=True)
class NextHop:
    """What stands for a network behind the entrance."""

    network: NetworkEntry
    address: IPv6Address
    link_layer: str


def next_hops(config: AgentConfig) -> Iterator[NextHop]:
    """One for each network with locators, the host's own included.

    Link-layer addresses are multicast: the kernel drops a unicast frame that is not for it before
    nftables sees the packet.
    """
    for number, network in enumerate(config.directory.networks, start=1):
        if network.locators is not None:
            link_layer = f"33:33:00:00:{number >> 8:02x}:{number & 0xFF:02x}"
            yield NextHop(network, IPv6Address(_FIRST + number), link_layer)
