"""Packets to a prefix that nobody has: refused where they start, not lost in silence (draft, 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from looks import table

from dmm_agent.functions.prefix import hnp_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from ipaddress import IPv6Network

    from cast import Cast
    from labs import Lab


@pytest.fixture
def nobodys(cast: Cast) -> IPv6Network:
    """The last prefix that the home network would lease."""
    block = cast.home_access_router.block
    assert block is not None
    return hnp_of(block.broadcast_address)


def test_a_sender_is_told_by_its_own_network_for_as_long_as_that_knows(
    lab: Lab, cast: Cast, nobodys: IPv6Network, until: Callable[..., Any]
) -> None:
    router = cast.gateway_of(cast.correspondent)
    addresses = [str(a.ip) for i in router.interfaces for a in i.addresses] + [str(router.loopback)]
    sender = lab.host(cast.correspondent.name)

    def refused() -> bool:
        said = sender.run("ping -n -c 3 -i 0.2 -W 1 %s", str(nobodys[1])).stdout
        errors = [line for line in said.splitlines() if "Destination unreachable" in line]
        return any(line.split()[1] in addresses for line in errors)

    def known() -> list[str]:
        rows = table(lab, router.name, "cache")
        return [row["status"] for row in rows if row["prefix"] == str(nobodys)]

    # What it knows of that holds for a few seconds, which on slow machines a look can take.
    until(
        lambda: refused() and known() == ["unknown"],
        f"an error from {router.name}, which knows, not from the home network",
    )
    until(lambda: not known(), f"{router.name} forgets it")
