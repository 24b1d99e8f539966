"""An access router's update on its way to an answer (RFC 5213, 5.3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dmm_agent.functions.effects import Send
from dmm_agent.functions.lease_lifetimes import lease_lifetimes
from dmm_agent.functions.proxy_messages import (
    LONGEST_LIFETIME_S,
    acknowledge,
    node_of,
    prefixes_of,
    time_units_of,
)
from dmm_agent.wire import BindingStatus

if TYPE_CHECKING:
    from ipaddress import IPv6Address, IPv6Network

    from dmm_agent.wire import BindingUpdate


@dataclass(slots=True)
class Registration:
    """One update, and what is decided of its prefixes so far."""

    requester: IPv6Address
    update: BindingUpdate
    waiting: set[IPv6Network] = field(default_factory=set)
    """Prefixes whose home LM has yet to answer."""
    accepted: list[IPv6Network] = field(default_factory=list)
    leased_until: dict[IPv6Network, float] = field(default_factory=dict)
    """When the leases of accepted prefixes end, as far as that is known."""
    lifetime_s: int = LONGEST_LIFETIME_S
    """The shortest lifetime that was granted to any of them."""
    status: int = 0
    """Why the first refused prefix was refused."""

    @property
    def mn_id(self) -> str:
        """The mobile node's identifier."""
        return node_of(self.update)

    @property
    def time_units(self) -> int:
        """When the update was made, in 1/65536 s since 1970: the order of updates (5.5)."""
        return time_units_of(self.update)

    def accept(self, hnp: IPv6Network, lifetime_s: int, leased_until: float | None = None) -> None:
        """The prefix is reached through the requester for that long, and leased until then."""
        self.waiting.discard(hnp)
        self.accepted.append(hnp)
        if leased_until is not None:
            self.leased_until[hnp] = leased_until
        self.lifetime_s = min(self.lifetime_s, lifetime_s)

    def refuse(self, hnp: IPv6Network, status: int) -> None:
        """The prefix is not."""
        self.waiting.discard(hnp)
        self.status = self.status or status

    def answer(self, now: float) -> Send:
        """The acknowledgement (5.3.6): accepted with the prefixes that were, if any was."""
        if self.accepted:
            message = acknowledge(
                self.update,
                status=BindingStatus.ACCEPTED,
                lifetime_s=self.lifetime_s,
                hnps=self.accepted,
                now=now,
                more=lease_lifetimes(
                    self.accepted, {hnp: end - now for hnp, end in self.leased_until.items()}
                ),
            )
        else:
            message = acknowledge(
                self.update,
                status=self.status,
                lifetime_s=0,
                hnps=prefixes_of(self.update),
                now=now,
            )
        return Send(self.requester, message)
