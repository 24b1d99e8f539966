"""The registrations of one mobile node's home addresses: its binding update list (RFC 6275, 11.1).

One entry a home address, from the first update to the end of the last binding it may have made.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING

from dmm_agent.wire import (
    AlternateCareOfAddress,
    BindingRefreshAdvice,
    BindingUpdate,
    BindingUpdateFlag,
    MobileNetworkPrefix,
    MobileNodeIdentifier,
)

if TYPE_CHECKING:
    from dmm_agent.wire import BindingAcknowledgement, Option

SEQUENCES = 1 << 16
"""Sequence numbers are counted modulo this (RFC 6275, 6.1.7)."""


@dataclass(slots=True)
class Registration:
    """What one home agent was asked and what it granted."""

    home: IPv6Address
    agent: IPv6Address
    sequence: int
    """Of the newest update."""
    source: IPv6Address
    """Where the newest update was sent from: the care-of address, or at home the home address."""
    lifetime_s: int = 0
    """What it asked for; 0 de-registers."""
    sent_at: float = 0.0
    registered_until: float = 0.0
    """When the binding ends that was acknowledged; 0 if none was."""
    may_last_until: float = 0.0
    """When the last one ends that the home agent may have, heard of or not."""
    networks: tuple[IPv6Network, ...] = ()
    """The prefixes behind this node that move with it, if it is a mobile router (RFC 3963)."""
    adopted_sequence: bool = False
    """The home agent said which sequence number was its last, and has not accepted one since."""
    adopted_time: bool = False
    """The same with its time."""
    stamp: int = 0
    """The time in the newest update, if updates are authenticated (RFC 4285, 6)."""

    @property
    def prefix(self) -> IPv6Network:
        """The home address as data planes and home agents know it."""
        return IPv6Network(self.home)

    @property
    def prefixes(self) -> tuple[IPv6Network, ...]:
        """Whose packets go through the tunnel."""
        return (self.prefix, *self.networks)

    @property
    def ends_at(self) -> float:
        """When it is over: while it de-registers, whatever becomes of the last binding."""
        return self.registered_until if self.lifetime_s else self.may_last_until

    @property
    def at_home(self) -> bool:
        """Whether the newest update said that the node is at home."""
        return self.source == self.home

    def next_update(self, mn_id: str, now: float) -> BindingUpdate:
        """The next update or copy of one, with a sequence number of its own (11.7.1, 11.8)."""
        self.sequence = (self.sequence + 1) % SEQUENCES
        self.sent_at = now
        if self.lifetime_s:
            self.may_last_until = max(self.may_last_until, now + self.lifetime_s)
        options: list[Option] = [MobileNodeIdentifier.nai(mn_id)]
        if self.lifetime_s:
            options.append(AlternateCareOfAddress(self.source))
            options += map(MobileNetworkPrefix, self.networks)
        flags = BindingUpdateFlag.ACKNOWLEDGE | BindingUpdateFlag.HOME_REGISTRATION
        if self.networks:
            flags |= BindingUpdateFlag.MOBILE_ROUTER
        return BindingUpdate(
            sequence=self.sequence,
            flags=flags,
            lifetime_s=self.lifetime_s,
            options=tuple(options),
        )

    def abandon(self) -> None:
        """Nothing is wanted of it any more; that has yet to be said."""
        self.lifetime_s, self.registered_until, self.sent_at = 0, 0.0, 0.0

    def grant(self, answer: BindingAcknowledgement) -> float:
        """Take an acceptance; returns when to ask again (11.7.3).

        The lifetime counts from when the update was sent. The home agent's advice is followed if
        it is within the lifetime.
        """
        granted_s = min(answer.lifetime_s, self.lifetime_s)
        self.adopted_sequence = self.adopted_time = False
        self.registered_until = self.may_last_until = self.sent_at + granted_s
        advice = answer.first(BindingRefreshAdvice)
        within = advice is not None and 0 < advice.interval_s < granted_s
        return self.sent_at + (advice.interval_s if advice and within else granted_s / 2)
