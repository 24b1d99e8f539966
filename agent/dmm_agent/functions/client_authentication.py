"""How a mobile node proves that an update is its own, and believes only its home agents (RFC 4285).

Updates carry the time, and an authenticator under the key that node and home agent share. A home
agent with another time says which, and is spoken to in it from then on; no clock is set.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dmm_agent.functions.effects import Effect, Record
from dmm_agent.wire import (
    NTP_FRACTION,
    BindingStatus,
    MessageIdentifier,
    authenticated,
    is_authentic,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv6Address

    from dmm_agent.functions.base import Context
    from dmm_agent.functions.binding_update_list import Registration
    from dmm_agent.functions.events import Received
    from dmm_agent.wire import BindingAcknowledgement, BindingUpdate


class ClientAuthentication:
    """Signs updates and verifies acknowledgements, with keys of this node's."""

    def __init__(self, context: Context, mn_id: str) -> None:
        self._context = context
        self._mn_id = mn_id
        self._ahead_s: dict[IPv6Address, float] = {}
        """By how much the clock of a home agent is ahead of ours, as far as is known."""

    def can_ask(self, agent: IPv6Address) -> bool:
        """Whether there is a key for a home agent."""
        return self._context.keys.between(self._mn_id, agent) is not None

    def signed(
        self, update: BindingUpdate, registration: Registration, now: float
    ) -> BindingUpdate:
        """An update with the time, later than that of any before, and the authenticator."""
        association = self._context.keys.between(self._mn_id, registration.agent)
        if association is None:
            return update
        there = MessageIdentifier.at(now + self._ahead_s.get(registration.agent, 0.0))
        registration.stamp = max(there.ntp, registration.stamp + 1)
        time = MessageIdentifier(registration.stamp)
        dated = replace(update, options=(*update.options, time))
        return authenticated(
            dated, association.octets, association.spi, registration.source, registration.home
        )

    def believes(
        self, event: Received, answer: BindingAcknowledgement, registration: Registration
    ) -> bool:
        """Whether it is the home agent that answers, and our newest update (5.1.1 and 6)."""
        association = self._context.keys.between(self._mn_id, registration.agent)
        time = answer.first(MessageIdentifier)
        if association is None or time is None:
            return False
        differs = time.ntp ^ registration.stamp
        if answer.status == BindingStatus.MIPV6_ID_MISMATCH:
            differs &= NTP_FRACTION
        ends = registration.source, registration.home
        return not differs and is_authentic(event.octets, association.octets, *ends)

    def learn(
        self, registration: Registration, answer: BindingAcknowledgement, now: float
    ) -> Iterator[Effect]:
        """The home agent has said its time, in whole seconds (6).

        It was that at some moment since the update went out, so no more changes than that proves.
        """
        time = answer.first(MessageIdentifier)
        if time is None:
            return
        shown_s = MessageIdentifier(time.ntp & ~NTP_FRACTION).seconds
        before = self._ahead_s.get(registration.agent, 0.0)
        earliest, latest = shown_s - now, shown_s + 1.0 - registration.sent_at
        after = min(max(before, earliest), latest)
        registration.stamp = 0
        if after != before:
            self._ahead_s[registration.agent] = after
            fields = {"lm": str(registration.agent), "ahead_s": round(after, 3)}
            yield Record("clock_off", fields, warning=True)
