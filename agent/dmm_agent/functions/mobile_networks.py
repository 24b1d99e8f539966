"""Networks behind mobile routers, at their home agent (RFC 3963, 6): bound with the router.

Policy says which prefix is whose (the prefix table, 6.1.2). While a router is away its prefixes
are entries of the database like its home address, so that packets for them take the same tunnel.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dmm_agent.wire import BindingStatus, BindingUpdateFlag, MobileNetworkPrefix

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv6Network

    from dmm_agent.functions.base import Context
    from dmm_agent.functions.bindings import Binding
    from dmm_agent.functions.database import Database
    from dmm_agent.functions.effects import Effect
    from dmm_agent.functions.home_admission import HomeUpdate


class MobileNetworks:
    """What is bound for routers beside their home addresses."""

    def __init__(self, context: Context, database: Database) -> None:
        self._context = context
        self._database = database

    def refusal(self, update: HomeUpdate) -> BindingStatus | None:
        """Why an update is refused for what it says of a mobile network (6.2); None if it is not.

        A de-registration is not, whatever it says.
        """
        if update.ends:
            return None
        known = self._database.bindings.get(update.binding) is not None
        if known and is_from_router(update) != bool(self._bound(update)):
            return BindingStatus.REGISTRATION_TYPE_CHANGE_DISALLOWED
        if not is_from_router(update):
            return None
        node = self._context.mobile_nodes.named(update.mn_id)
        own, named = self._of_policy(update.mn_id), named_in(update)
        checks = (
            (
                node is not None
                and bool(node.mobile_networks)
                and update.home == node.home_address,
                BindingStatus.MOBILE_ROUTER_OPERATION_NOT_PERMITTED,
            ),
            (all(map(self._database.is_ours, named)), BindingStatus.INVALID_PREFIX),
            (own.issuperset(named), BindingStatus.NOT_AUTHORIZED_FOR_PREFIX),
            (bool(named or own), BindingStatus.FORWARDING_SETUP_FAILED),
            (
                all(map(self._database.bindings.has_room, named or own)),
                BindingStatus.INSUFFICIENT_RESOURCES,
            ),
        )
        return next((status for holds, status in checks if not holds), None)

    def register(self, update: HomeUpdate, router: Binding) -> Iterator[Effect]:
        """Bind the prefixes where the router is: those that it names, or else all that it has.

        One that it named before and does not name any more is not forwarded (6.2).
        """
        if not is_from_router(update):
            return
        wanted = named_in(update) or self._of_policy(update.mn_id)
        for binding in self._bound(update):
            if binding.hnp not in wanted:
                yield from self._database.unbind(binding.hnp)
        for prefix in sorted(wanted):
            yield from self._database.bind(replace(router, hnp=prefix))

    def deregister(self, update: HomeUpdate) -> Iterator[Effect]:
        """The router is home, or gone."""
        for binding in self._bound(update):
            yield from self._database.unbind(binding.hnp)

    def _bound(self, update: HomeUpdate) -> list[Binding]:
        """What is bound with a home address: another address of the node has no network."""
        node = self._context.mobile_nodes.named(update.mn_id)
        if node is None or node.home_address != update.home:
            return []
        own = self._of_policy(update.mn_id)
        return [b for b in self._database.bindings.of_node(update.mn_id) if b.hnp in own]

    def _of_policy(self, mn_id: str) -> frozenset[IPv6Network]:
        """The prefixes of this network that are behind a node."""
        node = self._context.mobile_nodes.named(mn_id)
        networks = () if node is None else node.mobile_networks
        return frozenset(filter(self._database.is_ours, networks))


def is_from_router(update: HomeUpdate) -> bool:
    """Whether it is a mobile router that registers (RFC 3963, 4.1)."""
    return BindingUpdateFlag.MOBILE_ROUTER in update.message.flags


def named_in(update: HomeUpdate) -> frozenset[IPv6Network]:
    """The prefixes that an update names (explicit mode, 5.2); none in implicit mode."""
    options = update.message.every(MobileNetworkPrefix)
    return frozenset(option.prefix for option in options)
