"""What an allocator and an LM promised holds over the death of their agent (draft, 5)."""

from __future__ import annotations

from ipaddress import IPv6Network

import pytest
from steps import (
    BINDING_S,
    HNP1,
    HNP3,
    LEASE_S,
    MN2,
    NOW,
    Steps,
    address,
    all_of,
    message,
    one,
    recorded,
    sent,
    timer,
    verdict,
)

from dmm_agent.functions.effects import (
    BindingRoute,
    Forget,
    Install,
    Remember,
    Remove,
    SetTimer,
    VisitorRoute,
)
from dmm_agent.functions.proxy_messages import ANY_PREFIX, acknowledge
from dmm_agent.simulator.plan import make_plan
from dmm_agent.wire import BindingStatus, BindingUpdate, LocationAnswer, Timestamp

GATEWAY = ["allocator", "lm", "mr"]
CROWD = make_plan(networks=3, access_routers=2, mobile_nodes=4)
A, B, C, D = (node.id for node in CROWD.mobile_nodes.nodes)
REFUSED_AS_OLD = BindingStatus.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED


@pytest.fixture
def lm() -> Steps:
    """The gateway of net1, where mn1 is at home at ar11."""
    steps = Steps("gw1", GATEWAY)
    steps.receive("ar11", steps.update())
    return steps


def two_prefixes(**allocator: object) -> Steps:
    """The gateway of net1, which has two prefixes to lease."""
    steps = Steps("gw1", GATEWAY, CROWD, allocator=allocator)
    blocks = [{"access_router": address("ar11"), "prefix": "2001:db8:1:8100::/63"}]
    steps.config.functions["allocator"]["blocks"] = blocks
    steps.restart()
    return steps


def leased(steps: Steps, mn_id: str) -> IPv6Network:
    """What a node gets that comes to ar11."""
    status, _, (hnp,) = verdict(steps.receive("ar11", steps.update(mn_id=mn_id, after_s=1)))
    assert status == BindingStatus.ACCEPTED
    return hnp


class TestLeases:
    def test_a_returning_node_gets_its_prefix_and_another_does_not(self, lm: Steps) -> None:
        lm.restart(after_s=10)
        assert leased(lm, MN2) != HNP1
        assert verdict(lm.receive("ar11", lm.update()))[2] == [HNP1]

    def test_it_ends_when_it_would_have(self, lm: Steps) -> None:
        (end,) = [t for t in all_of(lm.restart(after_s=10), SetTimer) if t.owner == "allocator"]
        assert end.at_s == NOW + LEASE_S
        assert recorded(lm.fire(end)) == ["lease_ended"]

    def test_one_whose_time_ran_out_meanwhile_ends_at_start_and_its_binding_with_it(
        self, lm: Steps
    ) -> None:
        lm.receive("gw3", lm.update(HNP1, after_s=1))
        effects = lm.restart(after_s=LEASE_S)
        assert recorded(effects) == ["lease_ended", "binding_gone"]
        assert (lm.table("leases"), lm.table("bindings")) == ([], [])
        assert one(effects, Remove).route == BindingRoute(HNP1, address("gw3"))
        assert recorded(lm.restart()) == [], "that, too, is remembered"

    def test_the_prefix_that_was_free_longest_is_leased_first(self) -> None:
        steps = two_prefixes(lease_lifetime_s=100)
        first, second = leased(steps, A), leased(steps, B)
        steps.receive("ar11", steps.update(mn_id=A, after_s=50))
        steps.restart(after_s=300)
        steps.restart()
        assert [leased(steps, C), leased(steps, D)] == [second, first]

    def test_one_that_never_was_leased_counts_as_free_the_longest(self) -> None:
        steps = two_prefixes(lease_lifetime_s=100)
        first = leased(steps, A)
        steps.restart(after_s=300)
        assert leased(steps, B) != first
        assert leased(steps, C) == first

    def test_what_plain_routing_no_longer_brings_here_is_given_up(self, lm: Steps) -> None:
        lm.config.functions["allocator"]["blocks"] = [
            {"access_router": address("ar11"), "prefix": "2001:db8:1:9900::/63"}
        ]
        effects = lm.restart()
        assert recorded(effects) == ["lease_ended"]
        assert Forget("allocator", "prefixes", str(HNP1)) in effects

    def test_it_is_remembered_before_it_is_answered_of_and_again_when_renewed(
        self, lm: Steps
    ) -> None:
        effects = lm.receive("ar11", lm.update(after_s=100))
        kept = [e.fields for e in all_of(effects, Remember) if e.owner == "allocator"]
        assert {fields["expires_at_s"] for fields in kept} == {lm.now + LEASE_S}


def test_an_exhausted_pool_is_answered_as_rfc_5213_says_and_recorded() -> None:
    """Insufficient resources (5.3.1); whoever has a lease is served all the same."""
    steps = two_prefixes()
    first = leased(steps, A)
    leased(steps, B)
    effects = steps.receive("ar11", steps.update(mn_id=C, after_s=1))
    assert verdict(effects) == (BindingStatus.INSUFFICIENT_RESOURCES, 0, [ANY_PREFIX])
    assert recorded(effects) == ["pool_exhausted"]
    assert all_of(effects, Remember) == []
    assert leased(steps, A) == first


class TestBindings:
    def test_a_binding_is_there_and_its_route_is_claimed_again_at_once(self, lm: Steps) -> None:
        lm.receive("gw3", lm.update(HNP1, after_s=1))
        effects = lm.restart(after_s=10)
        assert lm.locations() == {str(HNP1): "gw3"}
        assert one(effects, Install).route == BindingRoute(HNP1, address("gw3"))
        assert timer(effects, "expiry").at_s == NOW + 1 + BINDING_S
        answer = message(lm.receive("gw2", lm.query(HNP1)), LocationAnswer)
        assert answer.lifetime_s <= BINDING_S - 10

    def test_one_whose_time_ran_out_meanwhile_ends_at_start(self, lm: Steps) -> None:
        lm.receive("gw3", lm.update(HNP1, after_s=1))
        assert "binding_gone" in recorded(lm.restart(after_s=BINDING_S))
        assert lm.locations() == {}
        assert lm.table("leases") != [], "its lease stands"

    def test_a_node_that_is_leaving_goes_on_leaving(self, lm: Steps) -> None:
        lm.receive("ar12", lm.update(HNP1, after_s=1))
        lm.receive("ar12", lm.update(HNP1, after_s=1, lifetime_s=0))
        effects = lm.restart(after_s=1)
        assert [row["leaving"] for row in lm.table("bindings")] == [True]
        assert one(effects, Remove).route == BindingRoute(HNP1, address("ar12"))

    def test_what_has_ended_does_not_come_back(self, lm: Steps) -> None:
        lm.receive("gw3", lm.update(HNP1, after_s=1))
        lm.receive("ar11", lm.update(HNP1, after_s=1))
        assert all_of(lm.restart(), Install) == []
        assert lm.locations() == {}

    def test_an_overtaken_registration_comes_too_late_also_after_the_restart(
        self, lm: Steps
    ) -> None:
        lm.receive("gw3", lm.update(HNP1, after_s=1))
        lm.restart()
        old = lm.update(HNP1, time=Timestamp.at(NOW + 0.9))
        assert verdict(lm.receive("gw2", old))[0] == REFUSED_AS_OLD

    def test_so_it_does_where_there_is_no_entry(self, lm: Steps) -> None:
        lm.receive("ar11", lm.update(HNP1, after_s=1))
        lm.restart()
        old = lm.update(HNP1, time=Timestamp.at(NOW + 0.9))
        assert verdict(lm.receive("gw3", old))[0] == REFUSED_AS_OLD

    def test_the_order_of_updates_is_remembered_of_so_many_prefixes_and_no_more(self) -> None:
        steps = Steps("gw1", GATEWAY, CROWD, lm={"max_bindings": 1})
        for mn_id in (A, B, C):
            steps.receive("ar11", steps.update(mn_id=mn_id, after_s=1))
        kept = [row for row in steps.disk.read() if row.table == "newest"]
        assert [row.key for row in kept] == ["2001:db8:1:8101::/64", "2001:db8:1:8102::/64"]


def test_a_visitor_is_still_known_and_still_served_by_its_home() -> None:
    visited = Steps("gw3", GATEWAY)
    asked = message(visited.receive("ar31", visited.update(HNP1)), BindingUpdate)
    granted = acknowledge(asked, status=0, lifetime_s=BINDING_S, hnps=[HNP1], now=visited.now)
    visited.receive("gw1", granted)
    effects = visited.restart(after_s=5)
    assert [effect.route for effect in all_of(effects, Install)] == [
        BindingRoute(HNP1, address("ar31")),
        VisitorRoute(HNP1, address("gw1")),
    ]
    moved = visited.receive("ar32", visited.update(HNP1, after_s=1))
    assert sent(moved) == [("BindingAcknowledgement", "ar32")], "its home hears nothing of it"


def test_as_much_as_can_be_remembered_can_be_restored() -> None:
    steps = Steps("gw3", GATEWAY)
    fields = {
        "mn_id": MN2,
        "location": str(address("gw1")),
        "home_lm": None,
        "expires_at_s": NOW + 60,
        "home_expires_at_s": NOW + 60,
        "leaving": False,
        "by_node": False,
    }
    first = int(HNP3.network_address)
    hnps = [IPv6Network((first + (i << 64), 64)) for i in range(5000)]
    steps.disk.write([Remember("lm", "bindings", str(hnp), fields) for hnp in hnps], NOW)
    assert len(all_of(steps.restart(), Install)) == len(hnps)
