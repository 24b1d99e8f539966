"""What an access router knows of each mobile node on its links: RFC 5213's Binding Update List."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dmm_agent.functions.effects import Advertise, AdvertisedPrefix
from dmm_agent.functions.proxy_messages import MAX_PREFIXES

if TYPE_CHECKING:
    from ipaddress import IPv6Address, IPv6Network

REFUSAL_HOLD_S = 5.0
"""A prefix the LM refused is not asked for again for this long."""
MAX_WITHDRAWN = 8
"""Most prefixes of a node at a time that are known to be its own no longer."""
LINGERING_S = 600
"""How long a node has an address for after its lease: without it, it would not hear that a session
is over. TCP tries again every two minutes at least (RFC 1122, 4.2.3.1, leaves the bound open)."""

UNANSWERED_PROBES = 3
"""A node that leaves this many probes in a row unanswered has gone."""

LONGEST_ROUTER_LIFETIME_S = 9000
"""RFC 4861, 6.2.1."""


@dataclass(slots=True)
class ServedPrefix:
    """A prefix this access router serves for a node."""

    hnp: IPv6Network
    expires_at: float
    refresh_at: float
    lifetime_s: int
    leased_until: float
    used_at: float
    """When a packet from or to it was last seen, or it began to be served."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a node said last of its sessions."""

    sequence: int
    until: float
    hnps: frozenset[IPv6Network]
    """Those of other networks' prefixes that it needs."""


@dataclass(slots=True)
class Attachment:
    """A mobile node on one access link."""

    link: str
    mn_id: str
    link_layer: str
    link_local: IPv6Address
    prefixes: dict[IPv6Network, ServedPrefix] = field(default_factory=dict)
    asked: dict[int, tuple[IPv6Network, ...]] = field(default_factory=dict)
    """Updates that wait for an answer: what each asked for, by sequence number."""
    refused_until: dict[IPv6Network, float] = field(default_factory=dict)
    lapsed: dict[IPv6Network, float] = field(default_factory=dict)
    """Prefixes that the LM has stopped granting without a word, and when their leases end."""
    withdrawn: dict[IPv6Network, float] = field(default_factory=dict)
    """Prefixes that it has no more, oldest first, and until when their addresses linger."""
    report: Report | None = None
    unanswered_probes: int = 0
    since: float = 0.0
    """When the node came."""
    confirmed_at: float = 0.0
    """When it last was registered as after a move."""
    in_doubt: bool = False
    """Whether it has asked since, so that it may have been elsewhere."""
    tick_at: float = 0.0
    """When to wake up next."""

    def waiting(self) -> set[IPv6Network]:
        """The prefixes that are asked for and neither granted nor refused yet."""
        return {hnp for hnps in self.asked.values() for hnp in hnps}

    def refused(self, hnp: IPv6Network, now: float) -> None:
        """The LM does not let the node have this prefix here."""
        self.refused_until[hnp] = now + REFUSAL_HOLD_S

    def may_ask(self, hnp: IPv6Network, now: float, also: int = 0) -> bool:
        """Whether a prefix that the node uses is one to ask the LM for, besides others.

        Whatever the node sends, no more than `MAX_PREFIXES` are served, waiting or refused.
        """
        self.refused_until = {h: until for h, until in self.refused_until.items() if until > now}
        taken = {*self.prefixes, *self.waiting(), *self.refused_until}
        return hnp not in taken and len(taken) + also < MAX_PREFIXES

    def advertisement(
        self, own_pool: IPv6Network, preferred_lifetime_s: int, interval_s: float, now: float
    ) -> Advertise:
        """The node's prefixes, this network's preferred, older ones deprecated (draft, 4.4).

        New sessions then take the prefix of the network the node is in, while old ones go on. An
        address lingers after its lease, so that sessions hear of their end. A host takes back no
        more than what it had above two hours (RFC 4862, 5.5.3 e), so the times before must have
        been true.

        Args:
            own_pool: Where this network's prefixes are from.
            preferred_lifetime_s: How long one of them stays preferred after this.
            interval_s: Pause between advertisements, of which several may get lost.
            now: Seconds since 1970.
        """
        prefixes = []
        for prefix in self.prefixes.values():
            leased_s = max(0, int(prefix.leased_until - now))
            longest_s = preferred_lifetime_s if prefix.hnp.subnet_of(own_pool) else 0
            preferred_s, valid_s = min(longest_s, leased_s), leased_s + LINGERING_S
            prefixes.append(AdvertisedPrefix(prefix.hnp, preferred_s, valid_s))
        for hnp, until in self.withdrawn.items():
            prefixes.append(AdvertisedPrefix(hnp, 0, max(0, int(until - now))))
        router_lifetime_s = max(1, min(LONGEST_ROUTER_LIFETIME_S, round(6 * interval_s)))
        return Advertise(self.link, self.link_local, tuple(prefixes), router_lifetime_s)
