"""Locators: neutral to checksums, and as different as what they stand for."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmm_agent.config import Directory, NetworkEntry
from dmm_agent.dataplane.locators import distinguished, locator_bits, translations

FORTY_EIGHT_BITS = st.integers(0, (1 << 48) - 1)


def entry(number: int, locators: str | None = None) -> NetworkEntry:
    return NetworkEntry(
        network=f"net{number}",
        prefix=IPv6Network((0x20010DB8 << 96 | number << 80, 48)),
        mobile_pool=IPv6Network((0x20010DB8 << 96 | number << 80 | 0x8000 << 64, 49)),
        lm=IPv6Address(f"2001:db8:{number:x}::1"),
        mr=IPv6Address(f"2001:db8:{number:x}::1"),
        locators=IPv6Network(locators or f"3fff:{number:x}::/32"),
    )


def sum_of_words(bits: int) -> int:
    """As checksums have it: in one's complement, where 0 and 0xffff are one."""
    return sum(bits >> shift & 0xFFFF for shift in (0, 16, 32)) % 0xFFFF


@given(network=st.integers(0, 255), home=FORTY_EIGHT_BITS)
def test_a_checksum_over_a_locator_is_that_over_the_address(network: int, home: int) -> None:
    locators = IPv6Network((0x3FFF << 112 | network << 96, 32))
    bits = locator_bits(locators, home)
    assert sum_of_words(bits) == sum_of_words(home)
    assert IPv6Address(bits << 80) in locators


def test_the_example_of_the_documentation() -> None:
    home = int(IPv6Address("2001:db8:1::")) >> 80
    assert IPv6Address(locator_bits(IPv6Network("3fff:3::/32"), home) << 80) == IPv6Address(
        "3fff:3:edb7::"
    )


def test_every_network_stands_for_each_of_the_others_once() -> None:
    directory = Directory(networks=tuple(entry(n) for n in range(1, 41)))
    found = list(translations(directory))
    assert len(found) == 40 * 39
    assert len({t.locator for t in found}) == len(found)


def test_networks_with_the_same_sum_are_refused() -> None:
    one, other = IPv6Network("2001:db8:1::/48"), IPv6Network("2001:db9::/48")
    assert not distinguished((one, other))
    clash = entry(2).model_copy(
        update={"prefix": other, "mobile_pool": IPv6Network("2001:db9:0:8000::/49")}
    )
    with pytest.raises(ValueError, match="locators cannot tell them apart"):
        Directory.model_validate({"networks": [entry(1).model_dump(), clash.model_dump()]})


def test_locators_are_a_32() -> None:
    with pytest.raises(ValueError, match="expected locators of net1 to be a /32"):
        Directory(networks=(entry(1, "3fff:1::/48"),))
