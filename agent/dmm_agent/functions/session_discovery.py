"""How an access router learns which prefixes that a node brought along its sessions need.

Only these are registered, and for as long as they are needed (draft, 4.4 and 5). Two ways to know:
`observed_sessions` and `signalled_sessions`.
"""

from __future__ import annotations

import abc
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from dmm_agent.functions.effects import Effect, Probe, Record
from dmm_agent.functions.proxy_messages import ANY_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from ipaddress import IPv6Network

    from dmm_agent.functions.attachments import Attachment, ServedPrefix
    from dmm_agent.functions.base import Context
    from dmm_agent.functions.events import HeardOnLink, Observed, Used
    from dmm_agent.functions.proxy_registration import Registrations
    from dmm_agent.functions.serving import Serving

ALL_NODES = IPv6Address("ff02::1")
"""A probe to all nodes makes whoever is on the link show itself, as an `Attached` event."""


class SessionDiscovery(abc.ABC):
    """Has prefixes registered while sessions of a node need them."""

    def __init__(self, context: Context, serving: Serving, registrations: Registrations) -> None:
        self._directory = context.directory
        self._serving = serving
        self._registrations = registrations

    @abc.abstractmethod
    def noticed(self, event: Observed | Used | HeardOnLink, now: float) -> Iterator[Effect]:
        """A node uses a prefix, or says that it does."""

    @abc.abstractmethod
    def review(self, here: Attachment, now: float) -> Iterator[Effect]:
        """Begin and end what is to begin and end by now."""

    @abc.abstractmethod
    def next_review_at(self, here: Attachment) -> float:
        """When time alone will next change what a node's sessions need."""

    @abc.abstractmethod
    def answered(
        self, here: Attachment, asked: Iterable[IPv6Network], now: float
    ) -> Iterator[Effect]:
        """The LM has answered for these prefixes."""

    def forget(self, link: str) -> None:
        """Whoever was on a link has gone."""
        del link

    def _look_who_is_there(self, link: str) -> Probe:
        return Probe(link, ALL_NODES)

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
