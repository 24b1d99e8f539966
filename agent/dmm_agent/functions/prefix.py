"""Home network prefixes are /64s."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

HNP_LENGTH = 64
_HOST_BITS = 128 - HNP_LENGTH


def hnp_of(address: IPv6Address) -> IPv6Network:
    """The /64 around an address."""
    return IPv6Network((int(address) >> _HOST_BITS << _HOST_BITS, HNP_LENGTH))
