"""The proxy of one access router, alone, for golden steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from steps import (
    HNP1,
    HNP3,
    MN1_MAC,
    Steps,
    attached,
    link_local,
    message,
    prefixes,
)

from dmm_agent.functions.events import Observed
from dmm_agent.functions.lease_lifetimes import lease_lifetimes
from dmm_agent.functions.proxy_messages import acknowledge
from dmm_agent.wire import (
    BindingUpdate,
)

if TYPE_CHECKING:
    from ipaddress import IPv6Network

    from dmm_agent.functions.effects import (
        Effect,
    )

LINK_LOCAL = link_local(MN1_MAC)
LIFETIME_S = 60
INTERVAL_S = 5.0
LEASE_S = 86400


class Ar(Steps):
    """The proxy at ar31, and an LM that answers as it is told."""

    def __init__(self, host: str = "ar31", lm: str = "gw3", **options: Any) -> None:
        options = {"advertisement_interval_s": INTERVAL_S} | options
        super().__init__(host, ["proxy"], proxy=options)
        self.lm = lm
        self.leased_s = LEASE_S
        """How long leases are that the LM grants."""

    def lm_answers(
        self, asked: BindingUpdate, *hnps: IPv6Network, after_s: float = 0.0, **changes: Any
    ) -> list[Effect]:
        self.now += after_s
        granted = hnps or tuple(prefixes(asked))
        usual: dict[str, Any] = {"status": 0, "lifetime_s": LIFETIME_S, "hnps": granted}
        said = usual | changes
        sender = said.pop("sender", self.lm)
        leased_s = said.pop("leased_s", self.leased_s)
        if said["lifetime_s"]:
            said["more"] = lease_lifetimes(granted, dict.fromkeys(granted, leased_s))
        return self.receive(sender, acknowledge(asked, now=self.now, **said))

    def attach(self, *hnps: IPv6Network) -> list[Effect]:
        """The node comes, and the LM grants the prefixes."""
        asked = message(self(attached()), BindingUpdate)
        return self.lm_answers(asked, *(hnps or (HNP3,)))

    def observe(
        self, hnp: IPv6Network = HNP1, mac: str = MN1_MAC, after_s: float = 0.0
    ) -> list[Effect]:
        return self(Observed("mn1", mac, hnp[5]), after_s)

    def bring(self, hnp: IPv6Network = HNP1) -> list[Effect]:
        """The node uses a prefix it brought along, and the LM grants it."""
        return self.lm_answers(message(self.observe(hnp), BindingUpdate))
