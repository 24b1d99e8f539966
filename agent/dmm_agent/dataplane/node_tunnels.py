"""Which mobile nodes may tunnel packets here, and from which source (RFC 6275, 10.4.5).

A set of nftables holds pairs: the care-of address that a node tunnels from, and what the packets
inside may have as source. It changes with bindings; `nftables` has the rule that looks there.
"""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network, summarize_address_range
from typing import TYPE_CHECKING, Any

from dmm_agent.dataplane import nft, nftables
from dmm_agent.functions.effects import Install, NodeTunnel, Remove

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_SET = f"ip6 {nftables.TABLE} {nftables.NODE_TUNNELS}"


class NodeTunnels:
    """The set as it is in the kernel."""

    def __init__(self, present: Iterable[NodeTunnel] = ()) -> None:
        self._present = {tunnel.prefix: tunnel for tunnel in present}

    def __iter__(self) -> Iterator[NodeTunnel]:
        return iter(self._present.values())

    def apply(self, effects: Sequence[Install | Remove]) -> str | None:
        """Carry effects about node tunnels out, in one transaction; returns what failed."""
        wanted = dict(self._present)
        for effect in effects:
            wanted.pop(effect.route.prefix, None)
            if isinstance(effect, Install) and isinstance(effect.route, NodeTunnel):
                wanted[effect.route.prefix] = effect.route
        gone = [t for t in self._present.values() if t not in wanted.values()]
        new = [t for t in wanted.values() if t not in self._present.values()]
        lines = [f"delete element {_SET} {{ {element(t)} }}" for t in gone]
        lines += [f"add element {_SET} {{ {element(t)} }}" for t in new]
        if not lines:
            return None
        try:
            nft.load("\n".join(lines) + "\n")
        except nft.NftablesError as error:
            return str(error)
        self._present = wanted
        return None


def element(tunnel: NodeTunnel) -> str:
    """A pair as nftables writes it."""
    first, last = int(tunnel.prefix.network_address), int(tunnel.prefix.broadcast_address)
    inside = f"{first:#034x}" if first == last else f"{first:#034x}-{last:#034x}"
    return f"{tunnel.endpoint} . {inside}"


def left_behind() -> list[NodeTunnel]:
    """What an earlier agent let in, if one did."""
    try:
        items = nft.listed("list", "set", *_SET.split())
    except (nft.NftablesError, ValueError, KeyError):
        return []
    elements = [e for item in items for e in item.get("set", {}).get("elem", [])]
    return [_pair(*e["concat"]) for e in elements]


def _pair(endpoint: str, inside: str | dict[str, Any]) -> NodeTunnel:
    ends = [inside, inside] if isinstance(inside, str) else inside["range"]
    first, last = (IPv6Address(int(str(end), 0)) for end in ends)
    prefix = next(iter(summarize_address_range(first, last)))
    return NodeTunnel(IPv6Network(prefix), IPv6Address(endpoint))
