"""Nodes that mobility is declined to (draft, REQ2): plain IP, and no state of theirs elsewhere.

Such a node is told the plain prefix of the link that it is on. Nothing is signalled, so a move ends
its sessions: the address of the link that it left is not renewed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dmm_agent.functions.attachments import LONGEST_ROUTER_LIFETIME_S, UNANSWERED_PROBES
from dmm_agent.functions.effects import (
    Advertise,
    AdvertisedPrefix,
    CancelTimer,
    Delivery,
    Effect,
    Install,
    Probe,
    Record,
    Remove,
    SetTimer,
)
from dmm_agent.functions.events import (
    Attached,
    Event,
    Observed,
    ProbeAnswered,
    TimerFired,
)
from dmm_agent.functions.prefix import hnp_of
from dmm_agent.functions.session_discovery import ALL_NODES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv6Address, IPv6Network

    from dmm_agent.functions.base import Context

PREFERRED_INTERVALS, VALID_INTERVALS = 2, 6
"""A plain address lives for so many pauses between advertisements: a node that has moved shall use
the new one soon, and know soon that the old one is no more."""
MAX_LEFT = 16
"""Most prefixes of links that a node left which are remembered as told to be of the past."""


@dataclass(slots=True)
class PlainNode:
    """One of them on an access link."""

    link: str
    mn_id: str
    link_layer: str
    link_local: IPv6Address
    prefix: IPv6Network
    unanswered_probes: int = 0
    left: dict[IPv6Network, float] = field(default_factory=dict)
    """When it was told last that a prefix is of a link that it left."""


class PlainNodes:
    """Gives them the plain prefix of their link, for as long as they are there."""

    def __init__(self, owner: str, context: Context, interval_s: float) -> None:
        self._owner = owner
        self._context = context
        self._interval_s = interval_s
        self._nodes: dict[str, PlainNode] = {}
        self._looked_after: set[str] = set()
        """Links on which one of them is, or fell silent."""

    def concerns(self, event: Event) -> bool:
        """Whether an event is about one of them."""
        match event:
            case Attached():
                return self._id_of(event) is not None
            case Observed(link, link_layer) | ProbeAnswered(link, link_layer):
                return link in self._nodes and self._nodes[link].link_layer == link_layer
            case TimerFired(_, ("plain", str())):
                return True
        return False

    def handle(self, event: Event, now: float) -> Iterator[Effect]:
        """Take an event about one of them."""
        match event:
            case Attached():
                yield from self._attached(event, now)
            case Observed(link, _, source):
                yield from self._observed(self._nodes[link], source, now)
            case ProbeAnswered(link):
                self._nodes[link].unanswered_probes = 0
            case TimerFired(_, (_, str() as link)):
                yield from self._tick(link, now)

    def _id_of(self, event: Attached) -> str | None:
        policy = self._context.mobile_nodes.by_link_layer(event.link_layer)
        return policy.id if policy is not None and policy.mobility == "declined" else None

    def _attached(self, event: Attached, now: float) -> Iterator[Effect]:
        mn_id = str(self._id_of(event))
        known = self._nodes.get(event.link)
        if known is not None and known.mn_id == mn_id:
            yield from self._seen_again(known, event)
            return
        prefix = self._context.plain_prefixes.get(event.link)
        if prefix is None:
            yield Record("no_plain_prefix", {"link": event.link, "mn_id": mn_id})
            return
        for link in [n.link for n in self._nodes.values() if mn_id == n.mn_id]:
            yield from self.detached(link)
        here = PlainNode(event.link, mn_id, event.link_layer, event.link_local, prefix)
        self._nodes[here.link] = here
        yield Record("attached", {"link": here.link, "mn_id": mn_id, "mobility": "declined"})
        yield Install(Delivery(prefix, here.link, here.link_local))
        yield self._advertisement(here)
        yield self._wake(here.link, now)

    def _seen_again(self, here: PlainNode, event: Attached) -> Iterator[Effect]:
        here.unanswered_probes = 0
        if here.link_local != event.link_local:
            here.link_local = event.link_local
            yield Install(Delivery(here.prefix, here.link, here.link_local))
        if event.solicited:
            yield self._advertisement(here)

    def detached(self, link: str) -> Iterator[Effect]:
        """Whoever was on the link has gone."""
        if link not in self._looked_after:
            return
        self._looked_after.remove(link)
        yield CancelTimer(self._owner, ("plain", link))
        gone = self._nodes.pop(link, None)
        if gone is not None:
            yield Record("detached", {"link": link, "mn_id": gone.mn_id})
            yield Remove(Delivery(gone.prefix, link, gone.link_local))

    def _observed(self, here: PlainNode, source: IPv6Address, now: float) -> Iterator[Effect]:
        """It still uses the address of a link that it left: no new session shall.

        It is told so once in a while only: what is left of a valid lifetime below two hours stays
        (RFC 4862, 5.5.3), and Linux counts it in whole seconds from the last advertisement, so that
        many of them would keep the address for ever.
        """
        owner, prefix = self._context.directory.owner_of(source), hnp_of(source)
        if owner is None or owner.plain is None or source not in owner.plain:
            return
        if now >= here.left.get(prefix, 0.0) + self._interval_s:
            if len(here.left) >= MAX_LEFT:
                here.left.clear()
            here.left[prefix] = now
            yield self._advertisement(here, AdvertisedPrefix(prefix, 0, 0))

    def _tick(self, link: str, now: float) -> Iterator[Effect]:
        here = self._nodes.get(link)
        if here is not None and here.unanswered_probes >= UNANSWERED_PROBES:
            yield Record("silent", {"link": link, "mn_id": here.mn_id})
            yield from self.detached(link)
            here = None
        if here is None:
            # Its link is still up: it may have been its answers alone that were lost.
            yield Probe(link, ALL_NODES)
        else:
            here.unanswered_probes += 1
            yield Probe(link, here.link_local)
            yield self._advertisement(here)
        yield self._wake(link, now)

    def _wake(self, link: str, now: float) -> SetTimer:
        self._looked_after.add(link)
        return SetTimer(self._owner, ("plain", link), now + self._interval_s)

    def _advertisement(self, here: PlainNode, *left: AdvertisedPrefix) -> Advertise:
        valid_s, preferred_s = (
            max(1, min(LONGEST_ROUTER_LIFETIME_S, round(intervals * self._interval_s)))
            for intervals in (VALID_INTERVALS, PREFERRED_INTERVALS)
        )
        plain = AdvertisedPrefix(here.prefix, preferred_s, valid_s)
        return Advertise(here.link, here.link_local, (plain, *left), valid_s)

    def rows(self) -> list[dict[str, Any]]:
        """Them, as rows of the attachments."""
        return [
            {
                "link": here.link,
                "mn_id": here.mn_id,
                "link_layer": here.link_layer,
                "prefixes": [str(here.prefix)],
                "withdrawn": [],
                "waiting": 0,
                "remaining_s": 0.0,
            }
            for here in self._nodes.values()
        ]
