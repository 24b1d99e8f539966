"""Which mobile nodes may tunnel here, as nftables is told."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

import pytest

from dmm_agent.dataplane import nft
from dmm_agent.dataplane.node_tunnels import NodeTunnels, element
from dmm_agent.functions.effects import Install, NodeTunnel, Remove

HOME = IPv6Network("2001:db8:1:4100::101/128")
BEHIND = IPv6Network("2001:db8:1:4f00::/64")
HERE, THERE = IPv6Address("2001:db8:3:4100::101"), IPv6Address("2001:db8:2:4100::101")
HOME_HERE = "2001:db8:3:4100::101 . 0x20010db8000141000000000000000101"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(nft, "load", said.append)
    return said


def test_an_address_is_one_number_and_a_prefix_the_first_and_the_last() -> None:
    assert element(NodeTunnel(HOME, HERE)) == HOME_HERE
    assert element(NodeTunnel(BEHIND, HERE)) == (
        "2001:db8:3:4100::101 . "
        "0x20010db800014f000000000000000000-0x20010db800014f00ffffffffffffffff"
    )


def test_a_move_is_one_transaction(told: list[str]) -> None:
    tunnels = NodeTunnels()
    assert tunnels.apply([Install(NodeTunnel(HOME, HERE))]) is None
    assert tunnels.apply([Install(NodeTunnel(HOME, THERE))]) is None
    assert told[0] == f"add element ip6 dmm node_tunnels {{ {HOME_HERE} }}\n"
    assert told[1].splitlines() == [
        f"delete element ip6 dmm node_tunnels {{ {HOME_HERE} }}",
        f"add element ip6 dmm node_tunnels {{ {element(NodeTunnel(HOME, THERE))} }}",
    ]


def test_what_is_there_or_gone_already_is_not_told(told: list[str]) -> None:
    tunnels = NodeTunnels([NodeTunnel(HOME, HERE)])
    tunnels.apply([Install(NodeTunnel(HOME, HERE))])
    tunnels.apply([Remove(NodeTunnel(BEHIND, HERE))])
    assert told == []


def test_what_the_kernel_refuses_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: str) -> None:
        raise nft.NftablesError("no room")

    tunnels = NodeTunnels()
    monkeypatch.setattr(nft, "load", refuse)
    assert tunnels.apply([Install(NodeTunnel(HOME, HERE))]) == "no room"
    assert list(tunnels) == []
