"""What a mobile node reads in router advertisements: the prefixes of the link that it is on."""

from __future__ import annotations

import struct
from ipaddress import IPv6Network
from typing import Any

import pytest

from dmm_agent.attachment.icmpv6 import MalformedError
from dmm_agent.attachment.router_advertisements import prefixes_of

PREFIX = IPv6Network("2001:db8:1:4100::/64")
HEADER = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 30, 0, 0)
MTU = struct.pack("!BBHI", 5, 1, 0, 1500)


def option(
    prefix: IPv6Network = PREFIX, flags: int = 0x40, valid_s: int = 30, preferred_s: int = 10
) -> bytes:
    octets = prefix.network_address.packed
    return struct.pack(
        "!BBBBIII16s", 3, 4, prefix.prefixlen, flags, valid_s, preferred_s, 0, octets
    )


def test_prefixes_for_addresses_are_read_whatever_else_there_is() -> None:
    other = IPv6Network("2001:db8:1:4101::/64")
    assert prefixes_of(HEADER + MTU + option() + option(other)) == {PREFIX, other}
    assert prefixes_of(HEADER + MTU) == frozenset()


@pytest.mark.parametrize("changes", [{"flags": 0x80}, {"valid_s": 0}, {"preferred_s": 0}])
def test_what_new_sessions_shall_not_use_does_not_count(changes: dict[str, Any]) -> None:
    assert prefixes_of(HEADER + option(**changes)) == frozenset()


@pytest.mark.parametrize(
    "packet",
    [
        HEADER[:15],
        b"\x86\x01" + HEADER[2:],
        HEADER + bytes(8),
        HEADER + option()[:-8],
        HEADER + b"\x03",
    ],
    ids=["short", "code", "no length", "cut off", "one octet"],
)
def test_what_is_malformed_is_discarded(packet: bytes) -> None:
    with pytest.raises(MalformedError):
        prefixes_of(packet)
