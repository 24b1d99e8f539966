"""The networks behind a mobile router, at itself (RFC 3963, 5): whether to register them.

Policy says which they are, and by which home address they are registered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmm_agent.functions.effects import InsideRoute, Install, Remove
from dmm_agent.wire import BindingAckFlag, BindingStatus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv6Address, IPv6Network

    from dmm_agent.config import MobileNode
    from dmm_agent.functions.binding_update_list import Registration
    from dmm_agent.functions.effects import Effect
    from dmm_agent.wire import BindingAcknowledgement

NO_ROUTER = frozenset(
    {
        BindingStatus.MOBILE_ROUTER_OPERATION_NOT_PERMITTED,
        BindingStatus.INVALID_PREFIX,
        BindingStatus.NOT_AUTHORIZED_FOR_PREFIX,
        BindingStatus.FORWARDING_SETUP_FAILED,
    }
)
"""Refusals after which no network is registered any more (5.4)."""
NOT_ITS_OWN = frozenset({BindingStatus.INVALID_PREFIX, BindingStatus.NOT_AUTHORIZED_FOR_PREFIX})
"""Those after which hosts inside are not to use the prefix, either (5.4.2)."""


class OwnNetworks:
    """What is behind this node, if it is a mobile router."""

    def __init__(self, policy: MobileNode | None) -> None:
        self._prefixes = () if policy is None else policy.mobile_networks
        self.home: IPv6Address | None = policy.home_address if policy and self._prefixes else None
        """The home address by which they are registered; None if they are not, any more."""
        self._refused_at: frozenset[IPv6Network] | None = None

    def hold(self) -> Iterator[Effect]:
        """The prefixes are the router's until somebody who knows says otherwise."""
        for prefix in self._prefixes:
            yield Install(InsideRoute(prefix))

    def behind(self, home: IPv6Address) -> tuple[IPv6Network, ...]:
        """What is registered together with a home address."""
        return self._prefixes if home == self.home else ()

    def need(self, home: IPv6Address, advertised: frozenset[IPv6Network]) -> bool:
        """Whether they need it registered, whoever uses it, on a link with these prefixes."""
        return home == self.home and self._refused_at != advertised

    def refused(self, status: int, advertised: frozenset[IPv6Network]) -> Iterator[Effect]:
        """It was refused on that link: never, or not there, is it to be asked for again."""
        self._refused_at = advertised
        if status in NO_ROUTER:
            self.give_up()
        if status in NOT_ITS_OWN:
            for prefix in self._prefixes:
                yield Remove(InsideRoute(prefix))

    def give_up(self) -> None:
        """Register them no more."""
        self.home = None


def lacks_networks(registration: Registration, answer: BindingAcknowledgement) -> bool:
    """Whether a home agent has bound an address but not the networks: it cannot (5.3)."""
    return bool(registration.networks) and BindingAckFlag.MOBILE_ROUTER not in answer.flags
