"""Where routes lead whose packets are rewritten: to an interface that none of them gets out by.

The next hop says at whose network they are to arrive. nftables sees it once the packet is routed,
puts locators in, and sends what it has become to where that belongs.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmm_agent.config import AgentConfig, NetworkEntry

ENTRANCE = "dmm-rw0"

_FIRST = int(IPv6Address("fe80::1:0"))


@dataclass(frozen=True, slots=True)
class NextHop:
    """What stands for a network behind the entrance."""

    network: NetworkEntry
    address: IPv6Address


def next_hops(config: AgentConfig) -> Iterator[NextHop]:
    """One for each network with locators, the host's own included."""
    for number, network in enumerate(config.directory.networks, start=1):
        if network.locators is not None:
            yield NextHop(network, IPv6Address(_FIRST + number))
