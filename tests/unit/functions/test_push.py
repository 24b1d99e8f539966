"""Mobility routing that is told where packets can go, and tells others (draft, 7: RS2.push)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

import pytest
from mobility_router import AWAY_NODE, LOCAL, VISITOR, Mr, installed, removed
from steps import (
    HNP1,
    Steps,
    address,
    all_of,
    message,
    prefixes,
    recorded,
    sent,
)

from dmm_agent.functions.effects import (
    CacheRoute,
    CancelTimer,
    VisitorShortcut,
)
from dmm_agent.functions.events import (
    BindingGone,
    BindingSet,
    Intercepted,
)
from dmm_agent.wire import (
    BindingRefreshAdvice,
    HomeNetworkPrefix,
    MagAddress,
    MobileNodeIdentifier,
    Timestamp,
    UpdateNotification,
    UpdateNotificationAcknowledgement,
    UpdateNotificationFlag,
    UpdateReason,
)


class TestPush:
    """An MR that is told where packets can go, and tells others (draft, 7: RS2.push)."""

    OWN = IPv6Network("2001:db8:2:8100::/64")
    """A prefix of net2, which may be away."""
    STRANGER = IPv6Address("2001:db8:3:1::10")

    @pytest.fixture
    def mr(self) -> Mr:
        return Mr(resolution="push")

    @pytest.fixture
    def home(self) -> Steps:
        """LM and MR of net2, one of whose nodes is in net1."""
        steps = Steps("gw2", ["allocator", "lm", "mr"], mr={"resolution": "push"})
        steps.receive("ar21", steps.update())
        steps.receive("gw1", steps.update(self.OWN, after_s=1))
        return steps

    def test_it_asks_nobody(self, mr: Mr) -> None:
        assert sent(mr.packet(LOCAL, AWAY_NODE)) == []

    def test_it_takes_what_the_home_lm_says(self, mr: Mr) -> None:
        effects = mr.receive("gw1", self.push("gw3", mr.now))
        assert installed(effects) == [CacheRoute(HNP1, address("gw3"))]
        assert sent(effects) == [("UpdateNotificationAcknowledgement", "gw1")]
        assert mr.table("cache")[0]["remaining_s"] == 40

    @pytest.mark.parametrize(("sender", "where"), [("gw3", "gw3"), ("ar11", "gw3")])
    def test_but_nothing_that_another_says(self, mr: Mr, sender: str, where: str) -> None:
        assert mr.receive(sender, self.push(where, mr.now)) == []

    def test_nor_a_location_that_is_no_routers(self, mr: Mr) -> None:
        effects = mr.receive("gw1", self.push(AWAY_NODE, mr.now))
        assert installed(effects) == []
        assert recorded(effects) == ["push_refused"]

    def test_an_overtaken_push_changes_nothing(self, mr: Mr) -> None:
        late = self.push("gw3", mr.now)
        voided = replace(mr.notice(), options=(*mr.notice().options, Timestamp.at(mr.now + 1)))
        mr.receive("gw1", voided, after_s=1)
        assert installed(mr.receive("gw1", late)) == []

    def test_a_notice_from_a_clock_that_was_ahead_silences_no_later_ones(self, mr: Mr) -> None:
        mr.receive("gw1", self.push("gw3", mr.now + 1000))
        effects = mr.receive("gw1", self.push("gw2", mr.now + 1), after_s=1)
        assert installed(effects) == []
        assert removed(effects) == [CacheRoute(HNP1, address("gw3"))]

    def test_an_mr_that_asks_takes_no_push(self) -> None:
        mr = Mr()
        assert installed(mr.receive("gw1", self.push("gw3", mr.now))) == []

    def test_the_mr_of_the_sender_is_told_where_the_node_is(self, home: Steps) -> None:
        effects = home(Intercepted(self.STRANGER, self.OWN[5]))
        assert sent(effects) == [("UpdateNotification", "gw3")]
        notice = message(effects, UpdateNotification)
        assert notice.reason == UpdateReason.UPDATE_SESSION_PARAMETERS
        assert notice.first(MagAddress) == MagAddress(address("gw1"))
        assert prefixes(notice) == [self.OWN]

    def test_of_a_tunnelled_packet_who_tunnelled_it_is_told(self, home: Steps) -> None:
        effects = home(Intercepted(LOCAL, self.OWN[5], tunnelled_by=address("gw3")))
        assert sent(effects) == [("UpdateNotification", "gw3")]

    def test_once(self, home: Steps) -> None:
        home(Intercepted(self.STRANGER, self.OWN[5]))
        assert sent(home(Intercepted(self.STRANGER, self.OWN[5]), after_s=0.1)) == []

    def test_but_again_if_packets_come_long_after_it_has_understood(self, home: Steps) -> None:
        notice = message(home(Intercepted(self.STRANGER, self.OWN[5])), UpdateNotification)
        home.receive("gw3", UpdateNotificationAcknowledgement(notice.sequence, 0))
        effects = home(Intercepted(self.STRANGER, self.OWN[5]), after_s=3)
        assert sent(effects) == [("UpdateNotification", "gw3")]

    def test_who_was_told_hears_of_the_next_move(self, home: Steps) -> None:
        first = message(home(Intercepted(self.STRANGER, self.OWN[5])), UpdateNotification)
        effects = home.receive("ar21", home.update(after_s=1))
        notice = message(effects, UpdateNotification)
        assert notice.reason == UpdateReason.FORCE_REREGISTRATION
        cancelled = [c.key for c in all_of(effects, CancelTimer)]
        assert ("request", ("notice", address("gw3"), first.sequence)) in cancelled

    @pytest.mark.parametrize(
        "source", [pytest.param(LOCAL, id="of this network"), pytest.param(HNP1[5], id="visiting")]
    )
    def test_packets_of_this_network_need_no_push(self, home: Steps, source: IPv6Address) -> None:
        home(BindingSet(HNP1, address("ar21"), address("gw1")))
        assert sent(home(Intercepted(source, self.OWN[5]))) == []

    def test_packets_to_who_is_at_home_need_no_push(self, home: Steps) -> None:
        home.receive("ar21", home.update(after_s=1))
        assert sent(home(Intercepted(self.STRANGER, self.OWN[5]))) == []

    def test_visitors_packets_go_straight_to_the_homes_of_their_destinations(self, mr: Mr) -> None:
        ways = [
            VisitorShortcut(IPv6Network(f"2001:db8:{n}::/48"), address(f"gw{n}")) for n in (1, 3)
        ]
        assert [r for r in installed(mr.visit()) if isinstance(r, VisitorShortcut)] == ways
        gone = removed(mr(BindingGone(VISITOR)))
        assert [r for r in gone if isinstance(r, VisitorShortcut)] == ways

    def push(self, where: str | IPv6Address, at: float) -> UpdateNotification:
        location = address(where) if isinstance(where, str) else where
        return UpdateNotification(
            sequence=5,
            reason=UpdateReason.UPDATE_SESSION_PARAMETERS,
            flags=UpdateNotificationFlag.ACKNOWLEDGE,
            options=(
                MobileNodeIdentifier.nai("mn1@dmm.example"),
                HomeNetworkPrefix(HNP1),
                Timestamp.at(at),
                MagAddress(location),
                BindingRefreshAdvice(40),
            ),
        )
