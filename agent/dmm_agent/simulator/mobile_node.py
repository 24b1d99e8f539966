"""A mobile node as an access router sees one: a plain host with SLAAC addresses (RFC 4862)."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dmm_agent.config import MobileNode
    from dmm_agent.functions.effects import Advertise

TWO_HOURS_S = 7200
"""An unauthenticated advertisement cannot shorten a lifetime below this (RFC 4862, 5.5.3 e)."""
INTERFACE_IDENTIFIER = 0x0000_00FF_FE00_0000


@dataclass(slots=True)
class Prefix:
    """A prefix the node has an address in."""

    address: IPv6Address
    preferred_until: float
    valid_until: float


@dataclass(slots=True)
class MobileNodeModel:
    """One mobile node: where its radio is, what it heard, which prefixes its sessions use."""

    policy: MobileNode
    at: str | None = None
    visit: int = 0
    """Counts attachments, so that what belongs to an earlier one is ignored."""
    heard_visit: int = 0
    prefixes: dict[IPv6Network, Prefix] = field(default_factory=dict)
    sessions: dict[str, None] = field(default_factory=dict)
    """Networks whose prefix a session of this node uses, in the order they began."""
    resets: set[str] = field(default_factory=set)
    """Networks whose prefix a session used when a router said that it was over."""

    @property
    def link(self) -> str:
        """The access router's name for the link to this node."""
        return self.policy.id.split("@")[0]

    @property
    def link_local(self) -> IPv6Address:
        """The node's link-local address."""
        return IPv6Address((0xFE80 << 112) | self._identifier)

    @property
    def _identifier(self) -> int:
        return INTERFACE_IDENTIFIER | int(self.policy.link_layer.replace(":", "")[-6:], 16)

    def hear(self, advertise: Advertise, visit: int, now: float) -> None:
        """Take in a router advertisement."""
        if visit != self.visit or self.at is None:
            return
        if any(p.preferred_s > 0 for p in advertise.prefixes):
            self.heard_visit = visit
        for heard in advertise.prefixes:
            known = self.prefixes.get(heard.prefix)
            remaining_s = known.valid_until - now if known else 0.0
            valid_s = max(heard.valid_s, min(remaining_s, TWO_HOURS_S))
            address = known.address if known else heard.prefix[self._identifier]
            self.prefixes[heard.prefix] = Prefix(address, now + heard.preferred_s, now + valid_s)

    def reset(self, network: str) -> None:
        """A router has answered a packet from its prefix of a network: that session is over."""
        if self.sessions.pop(network, self) is None:
            self.resets.add(network)

    def has(self, address: IPv6Address, now: float) -> bool:
        """Whether it takes packets to an address for its own."""
        known = self.prefixes.values()
        return any(p.address == address and p.valid_until > now for p in known)

    def address_in(self, pool: IPv6Network, now: float) -> IPv6Address | None:
        """The node's valid address out of a mobile pool, if it has one."""
        for prefix, times in self.prefixes.items():
            if prefix.subnet_of(pool) and times.valid_until > now:
                return times.address
        return None
