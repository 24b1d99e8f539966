"""The allocator: leases of home network prefixes (draft, sections 3 and 5)."""

from __future__ import annotations

from ipaddress import IPv6Network

import pytest
from steps import LEASE_S, MN1, MN2, NOW, Steps, address, all_of, one

from dmm_agent.functions.allocator import Allocator, AllocatorOptions, Lease
from dmm_agent.functions.effects import Effect, SetTimer, Tell
from dmm_agent.functions.events import LeaseEnded, TimerFired


@pytest.fixture
def allocator() -> Allocator:
    """Two blocks of two prefixes each."""
    blocks = [
        {"access_router": address("ar11"), "prefix": "2001:db8:1:8100::/63"},
        {"access_router": address("ar12"), "prefix": "2001:db8:1:8200::/63"},
    ]
    steps = Steps("gw1", ["allocator"])
    function = steps.node.functions["allocator"]
    assert isinstance(function, Allocator)
    chosen = {"lease_lifetime_s": LEASE_S, "blocks": blocks, "max_leases": 3}
    options = AllocatorOptions.model_validate(chosen)
    return Allocator(function.context, options)


def lease(allocator: Allocator, mn_id: str, router: str, now: float = NOW) -> Lease:
    """A lease that there must be."""
    granted = allocator.lease(mn_id, address(router), now)
    assert granted is not None
    return granted


def end(allocator: Allocator, hnp: str, now: float) -> list[Effect]:
    return list(allocator.handle(TimerFired("allocator", IPv6Network(hnp)), now))


def test_a_node_gets_a_prefix_of_the_access_router_it_came_to(allocator: Allocator) -> None:
    assert str(lease(allocator, MN1, "ar11").hnp) == "2001:db8:1:8100::/64"
    assert str(lease(allocator, MN2, "ar12").hnp) == "2001:db8:1:8200::/64"


def test_a_node_has_one_lease_in_a_network_wherever_in_it_it_goes(allocator: Allocator) -> None:
    first = lease(allocator, MN1, "ar11")
    again = lease(allocator, MN1, "ar12", NOW + 10)
    assert again is first
    assert again.access_router == address("ar11"), "it is at home where its prefix is routed to"
    assert again.expires_at == NOW + 10 + LEASE_S


def test_a_lease_ends_when_it_was_not_renewed(allocator: Allocator) -> None:
    granted = lease(allocator, MN1, "ar11")
    effects = end(allocator, "2001:db8:1:8100::/64", granted.expires_at)
    assert one(effects, Tell).note == LeaseEnded(granted.hnp)
    assert allocator.holder(granted.hnp) is None


def test_a_renewed_lease_goes_on_when_the_old_timer_comes_due(allocator: Allocator) -> None:
    granted = lease(allocator, MN1, "ar11")
    allocator.lease(MN1, address("ar11"), NOW + 500)
    effects = end(allocator, "2001:db8:1:8100::/64", NOW + LEASE_S)
    assert one(effects, SetTimer).at_s == granted.expires_at, "it looks again later"
    assert allocator.holder(granted.hnp) is granted


def test_an_empty_block_refuses_and_another_one_goes_on(allocator: Allocator) -> None:
    assert allocator.lease("a", address("ar11"), NOW)
    assert allocator.lease("b", address("ar11"), NOW)
    assert allocator.lease("c", address("ar11"), NOW) is None
    assert allocator.lease("c", address("ar12"), NOW) is not None


def test_there_are_never_more_leases_than_the_limit(allocator: Allocator) -> None:
    routers = ["ar11", "ar11", "ar12", "ar12"]
    leases = [allocator.lease(f"n{i}", address(r), NOW) for i, r in enumerate(routers)]
    assert [granted is None for granted in leases] == [False, False, False, True]


def test_an_unknown_access_router_gets_nothing(allocator: Allocator) -> None:
    assert allocator.lease(MN1, address("ar31"), NOW) is None


def test_the_prefix_that_was_free_longest_is_leased_first(allocator: Allocator) -> None:
    """So that a node which still uses an old address collides as late as can be."""
    for i in "ab":
        allocator.lease(i, address("ar11"), NOW)
    freed = ["2001:db8:1:8101::/64", "2001:db8:1:8100::/64"]
    for hnp in freed:
        end(allocator, hnp, NOW + LEASE_S)
    leased = [lease(allocator, i, "ar11", NOW + LEASE_S) for i in "cd"]
    assert [str(granted.hnp) for granted in leased] == freed


def test_other_events_are_nothing_to_it(allocator: Allocator) -> None:
    assert all_of(allocator.handle(LeaseEnded(IPv6Network("2001:db8::/64")), NOW), object) == []


def test_the_leases_can_be_looked_at(allocator: Allocator) -> None:
    allocator.lease(MN1, address("ar11"), NOW)
    assert allocator.snapshot(NOW + 1) == {
        "leases": [
            {
                "hnp": "2001:db8:1:8100::/64",
                "mn_id": MN1,
                "access_router": str(address("ar11")),
                "remaining_s": LEASE_S - 1.0,
            }
        ]
    }
