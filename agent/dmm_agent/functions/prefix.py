"""Home network prefixes are /64s."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network

HNP_LENGTH = 64
_HOST_BITS = 128 - HNP_LENGTH


def hnp_of(address: IPv6Address) -> IPv6Network:
    """The /64 around an address."""
    return _network(int(address) >> _HOST_BITS)


@lru_cache(maxsize=65_536)
def _network(number: int) -> IPv6Network:
    # Packets of a flow come one after the other, and an IPv6Network takes long to make.
    return IPv6Network((number << _HOST_BITS, HNP_LENGTH))
