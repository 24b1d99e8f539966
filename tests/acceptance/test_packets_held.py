"""Packets that wait for an answer (draft, 7: RS2.query): not even the first goes by the home."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from looks import addresses, bindings, home_prefix, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cast import Cast
    from labs import Lab

pytestmark = pytest.mark.changes_lab(turn=3)

PACKETS = 3
WATCH = """
table ip6 watch {
  chain arriving {
    type filter hook prerouting priority raw
    ip6 daddr %s counter
  }
}
"""


@contextmanager
def watched(host: Any, prefix: str) -> Iterator[Callable[[], int]]:
    """Counts plain packets to a prefix that come to a machine while the block runs."""

    def count() -> int:
        words = host.check_output("nft list table ip6 watch").split()
        return int(words[words.index("packets") + 1])

    host.check_output("printf %s | nft -f -", WATCH % prefix)
    try:
        yield count
    finally:
        host.check_output("nft delete table ip6 watch")


@pytest.fixture
def away(lab: Lab, cast: Cast, until: Callable[..., Any]) -> Iterator[str]:
    """The address of a node that has left home; nobody has sent it a packet yet."""
    lab.begin_anew(profile="gateway-query-hold")
    node = lab.host(cast.mobile_node)
    home = cast.home_access_router
    node.check_output("dmm-radio attach %s", home.name)
    found = until(lambda: addresses(lab, cast, cast.home_pool), "an address of the home network")
    address, hnp = str(found[0]["local"]), home_prefix(lab, cast)
    node.check_output("dmm-radio move %s", cast.visited("away").name)
    gateway = cast.gateway_of(home).name

    def is_bound() -> bool:
        # The new network learns of the prefix when the node uses it, to talk to its old router.
        node.run("ping -c 1 -W 1 -I %s %s", address, str(cast.gateway_of(home).loopback))
        return hnp in bindings(lab, gateway)

    until(is_bound, f"{gateway} has a binding of {hnp}")
    yield address
    node.check_output("dmm-radio move %s", home.name)


def test_the_first_packets_wait_and_then_take_the_direct_route(
    lab: Lab, cast: Cast, away: str
) -> None:
    home, asking = cast.gateway_of(cast.home_access_router), cast.gateway_of(cast.correspondent)
    before = held(lab, asking.name)
    with watched(lab.host(home.name), home_prefix(lab, cast)) as came_home:
        sender = lab.host(cast.correspondent.name)
        said = sender.run("ping -c %s -i 0.2 -W 5 %s", str(PACKETS), away)
        assert said.rc == 0, said.stdout
        assert f"{PACKETS} received" in said.stdout
        assert came_home() == 0
    waited = held(lab, asking.name)
    kept = waited.get("kept", 0) - before.get("kept", 0)
    assert 1 <= kept <= PACKETS
    assert waited.get("released", 0) - before.get("released", 0) == kept
    assert [r["status"] for r in table(lab, asking.name, "cache") if r["location"]] == ["away"]


def held(lab: Lab, host: str) -> dict[str, int]:
    """What became of the packets that a machine held, so far."""
    rows = table(lab, host, "counters")
    return {row["key"]: row["count"] for row in rows if row["group"] == "held"}
