"""Sessions as an access router sees them: by packets (`session_discovery: observed`)."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from dmm_agent.functions.effects import Effect, Record
from dmm_agent.functions.events import HeardOnLink, Observed, Used
from dmm_agent.functions.prefix import hnp_of
from dmm_agent.functions.proxy_messages import ANY_PREFIX, MAX_PREFIXES
from dmm_agent.functions.session_discovery import SessionDiscovery
from dmm_agent.wire import Handoff

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from ipaddress import IPv6Address, IPv6Network

    from dmm_agent.functions.attachments import Attachment
    from dmm_agent.functions.base import Context
    from dmm_agent.functions.proxy_registration import Registrations
    from dmm_agent.functions.serving import Serving


class ObservedSessions(SessionDiscovery):
    """A prefix is needed from the first packet until there has been none for a while."""

    def __init__(
        self, context: Context, serving: Serving, registrations: Registrations, idle_s: float
    ) -> None:
        super().__init__(context, serving, registrations)
        self._idle_s = idle_s
        self._early: dict[str, dict[IPv6Network, None]] = {}
        """What was seen before the LM's first answer, by link."""

    def noticed(self, event: Observed | Used | HeardOnLink, now: float) -> Iterator[Effect]:
        """Packets say what is needed; what the node says is not asked for."""
        match event:
            case Observed(link, link_layer, source):
                yield from self._observed(link, link_layer, source, now)
            case Used(hnp):
                self._used(hnp, now)
            case _:
                return

    def _observed(
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
                yield self._look_who_is_there(link)
            return
        if link_layer != here.link_layer:
            return
        yield from self._registrations.hurry(here, hnp, now)
        if not here.may_ask(hnp, now):
            return
        yield Record("observed", {"link": link, "mn_id": here.mn_id, "hnp": str(hnp)})
        yield from self._registrations.register(here, (hnp,), Handoff.BETWEEN_MAGS, now)

    def _used(self, hnp: IPv6Network, now: float) -> None:
        """A packet of some session passed."""
        for here in self._serving.attachments.values():
            if hnp in here.prefixes:
                here.prefixes[hnp].used_at = now

    def review(self, here: Attachment, now: float) -> Iterator[Effect]:
        """What has not been used for a while is needed no longer: its sessions have ended."""
        for prefix in self._decided(here):
            if prefix.used_at + self._idle_s <= now:
                yield from self._end(here, prefix.hnp, now)

    def next_review_at(self, here: Attachment) -> float:
        """When the first prefix will have been idle for long enough."""
        return min((p.used_at + self._idle_s for p in self._decided(here)), default=inf)

    def answered(
        self, here: Attachment, asked: Iterable[IPv6Network], now: float
    ) -> Iterator[Effect]:
        """Once the LM has said what it knows, ask for what was seen before."""
        if ANY_PREFIX in asked:
            for hnp in self._early.pop(here.link, {}):
                yield from self._observed(here.link, here.link_layer, hnp.network_address, now)

    def forget(self, link: str) -> None:
        """Whoever was on a link has gone."""
        self._early.pop(link, None)
