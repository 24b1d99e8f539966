"""How an access router learns which prefixes that a node brought along its sessions need.

Only these are registered, and for as long as they are needed (draft, 4.4 and 5).
"""

from __future__ import annotations

from ipaddress import IPv6Address
from math import inf
from typing import TYPE_CHECKING

from dmm_agent.functions.effects import Effect, Probe, Record
from dmm_agent.functions.prefix import hnp_of
from dmm_agent.functions.proxy_messages import ANY_PREFIX, MAX_PREFIXES
from dmm_agent.wire import Handoff

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv6Network

    from dmm_agent.functions.attachments import Attachment, ServedPrefix
    from dmm_agent.functions.base import Context
    from dmm_agent.functions.proxy import ProxyOptions
    from dmm_agent.functions.proxy_registration import Registrations
    from dmm_agent.functions.serving import Serving

ALL_NODES = IPv6Address("ff02::1")
"""A probe to all nodes makes whoever is on the link show itself, as an `Attached` event."""


class SessionDiscovery:
    """Has prefixes registered for which a node shows that it has sessions."""

    def __init__(
        self,
        context: Context,
        options: ProxyOptions,
        serving: Serving,
        registrations: Registrations,
    ) -> None:
        self._idle_s = options.idle_s
        self._directory = context.directory
        self._serving = serving
        self._registrations = registrations
        self._early: dict[str, dict[IPv6Network, None]] = {}
        """What was seen before the LM's first answer, by link."""

    def observed(
        self, link: str, link_layer: str, source: IPv6Address, now: float
    ) -> Iterator[Effect]:
        """The node uses a prefix it brought along: a session wants it to go on working."""
        if self._directory.home_of(source) is None:
            return
        hnp = hnp_of(source)
        here = self._serving.attachments.get(link)
        if here is None or ANY_PREFIX in here.waiting():
            # The LM may know of it already and then answers with it: wait for that.
            early = self._early.setdefault(link, {})
            if len(early) < MAX_PREFIXES:
                early[hnp] = None
            if here is None:
                yield Probe(link, ALL_NODES)
            return
        if link_layer != here.link_layer:
            return
        yield from self._registrations.hurry(here, hnp, now)
        if not here.may_ask(hnp, now):
            return
        yield Record("observed", {"link": link, "mn_id": here.mn_id, "hnp": str(hnp)})
        yield from self._registrations.register(here, (hnp,), Handoff.BETWEEN_MAGS, now)

    def used(self, hnp: IPv6Network, now: float) -> None:
        """A packet of some session passed."""
        for here in self._serving.attachments.values():
            if hnp in here.prefixes:
                here.prefixes[hnp].used_at = now

    def next_idle_at(self, here: Attachment) -> float:
        """When the first prefix that a node brought along will have been idle for long enough."""
        return min((p.used_at + self._idle_s for p in self._decided(here)), default=inf)

    def end_idle(self, here: Attachment, now: float) -> Iterator[Effect]:
        """What has not been used for a while is needed no longer: its sessions have ended."""
        for prefix in self._decided(here):
            if prefix.used_at + self._idle_s <= now:
                yield from self._end(here, prefix.hnp, now)

    def _decided(self, here: Attachment) -> list[ServedPrefix]:
        """The prefixes it brought along, but for those that the LM is being asked for."""
        waiting = here.waiting()
        if ANY_PREFIX in waiting:
            return []
        brought = (p for p in here.prefixes.values() if not self._serving.is_own(p.hnp))
        return [prefix for prefix in brought if prefix.hnp not in waiting]

    def _end(self, here: Attachment, hnp: IPv6Network, now: float) -> Iterator[Effect]:
        """No session of the node needs the prefix: nobody is to keep state of it (draft, 5)."""
        yield Record("sessions_ended", {"link": here.link, "mn_id": here.mn_id, "hnp": str(hnp)})
        yield from self._serving.stop(here, hnp)
        yield from self._registrations.end(here.mn_id, hnp, now)

    def first_answered(self, here: Attachment, now: float) -> Iterator[Effect]:
        """The LM has said what it knows: ask for what was seen before."""
        for hnp in self._early.pop(here.link, {}):
            yield from self.observed(here.link, here.link_layer, hnp.network_address, now)

    def forget(self, link: str) -> None:
        """Whoever was on a link has gone."""
        self._early.pop(link, None)
