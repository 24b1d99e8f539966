"""The MR of one network, alone, for golden steps."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING

from steps import HNP1, Steps, address, all_of, message, prefixes

from dmm_agent.functions.effects import Effect, Install, Remove
from dmm_agent.functions.events import BindingSet, Intercepted
from dmm_agent.wire import (
    AnswerStatus,
    HomeNetworkPrefix,
    LocationAnswer,
    LocationQuery,
    MagAddress,
    MobileNodeIdentifier,
    UpdateNotification,
    UpdateNotificationFlag,
    UpdateReason,
)

if TYPE_CHECKING:
    from dmm_agent.functions.effects import Route

AWAY_NODE = HNP1[5]
"""An address of net1's mobile node."""
LOCAL = IPv6Address("2001:db8:2:1::10")
"""A fixed host in the MR's own network."""
FIXED3 = IPv6Address("2001:db8:3:1::10")
VISITOR = IPv6Network("2001:db8:3:8177::/64")
"""A prefix of net3 that visits net2."""
OTHER_VISITOR = IPv6Network("2001:db8:1:8177::/64")


class Mr(Steps):
    """The MR of net2, alone."""

    def __init__(self, host: str = "gw2", **options: object) -> None:
        super().__init__(host, ["mr"], mr=options)

    def packet(
        self, source: IPv6Address, destination: IPv6Address, after_s: float = 0.0
    ) -> list[Effect]:
        return self(Intercepted(source, destination), after_s)

    def answer(
        self,
        query: LocationQuery,
        status: AnswerStatus,
        location: str | None = None,
        *,
        sender: str = "gw1",
        lifetime_s: int = 40,
        after_s: float = 0.0,
    ) -> list[Effect]:
        named = [HomeNetworkPrefix(prefix) for prefix in prefixes(query)]
        where = [MagAddress(address(location))] if location else []
        answer = LocationAnswer(status, query.sequence, lifetime_s, (*named, *where))
        return self.receive(sender, answer, after_s)

    def resolve(self, status: AnswerStatus, location: str | None = None) -> list[Effect]:
        """A local host sends to net1's mobile node, and the LM answers."""
        query = message(self.packet(LOCAL, AWAY_NODE), LocationQuery)
        return self.answer(query, status, location)

    def visit(self, hnp: IPv6Network = VISITOR, home: str = "gw3") -> list[Effect]:
        return self(BindingSet(hnp, address("ar21"), address(home)))

    def notice(self, hnp: IPv6Network = HNP1) -> UpdateNotification:
        return UpdateNotification(
            sequence=4,
            reason=UpdateReason.FORCE_REREGISTRATION,
            flags=UpdateNotificationFlag.ACKNOWLEDGE,
            options=(MobileNodeIdentifier.nai("mn1@dmm.example"), HomeNetworkPrefix(hnp)),
        )


def installed(effects: list[Effect]) -> list[Route]:
    return [effect.route for effect in all_of(effects, Install)]


def removed(effects: list[Effect]) -> list[Route]:
    return [effect.route for effect in all_of(effects, Remove)]
