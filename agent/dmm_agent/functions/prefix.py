"""Home network prefixes are /64s, and what a host makes of one and its link-layer address."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network

HNP_LENGTH = 64
_HOST_BITS = 128 - HNP_LENGTH


def hnp_of(address: IPv6Address) -> IPv6Network:
    """The /64 around an address."""
    return _network(int(address) >> _HOST_BITS)


def interface_identifier(link_layer: str) -> int:
    """The lower half of a host's addresses: its MAC as modified EUI-64 (RFC 4291, appendix A)."""
    octets = bytearray.fromhex(link_layer.replace(":", ""))
    octets[0] ^= 0x02
    return int.from_bytes(octets[:3] + b"\xff\xfe" + octets[3:], "big")


@lru_cache(maxsize=65_536)
def _network(number: int) -> IPv6Network:
    # Packets of a flow come one after the other, and an IPv6Network takes long to make.
    return IPv6Network((number << _HOST_BITS, HNP_LENGTH))
