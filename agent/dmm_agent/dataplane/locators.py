"""Locators: addresses that stand for a mobile node's while its packets cross the core.

Each network has a /32 of locators, which plain routing brings to its mobility router. In it, each
network of the directory has a /48 that stands for its own, so an address and its locator differ in
their first 48 bits alone, as in network prefix translation (RFC 6296). The third word is chosen so
that the one's complement sum of the 48 bits stays the same (RFC 6296, 2.6): checksums of TCP, UDP
and ICMPv6 stay right, also over an address inside an ICMPv6 error, without being looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv6Network

    from dmm_agent.config import Directory, NetworkEntry

TRANSLATED_BITS = 48
_REST = 128 - TRANSLATED_BITS
_WORD = 0xFFFF


@dataclass(frozen=True, slots=True)
class Translation:
    """The first 48 bits of a network's addresses, and what stands for them."""

    at: NetworkEntry
    """Whose locators these are."""
    home: int
    locator: int


def translations(directory: Directory) -> Iterator[Translation]:
    """For each network with locators, what stands there for the others."""
    for at in directory.networks:
        if at.locators is None:
            continue
        for network in directory.networks:
            if network is not at:
                home = int(network.prefix.network_address) >> _REST
                yield Translation(at, home, locator_bits(at.locators, home))


def locator_bits(locators: IPv6Network, home: int) -> int:
    """The 48 bits that stand for others.

    Args:
        locators: a /32.
        home: the first 48 bits of the addresses that they stand for.
    """
    first = int(locators.network_address) >> (128 - 32)
    return first << 16 | (_sum(home) - _sum(first)) % _WORD


def distinguished(prefixes: tuple[IPv6Network, ...]) -> bool:
    """Whether locators can tell networks apart: their first 48 bits have different sums."""
    sums = [_sum(int(prefix.network_address) >> _REST) % _WORD for prefix in prefixes]
    return len(set(sums)) == len(sums)


def _sum(bits: int) -> int:
    """The sum of 16-bit words."""
    total = 0
    while bits:
        total += bits & _WORD
        bits >>= 16
    return total
