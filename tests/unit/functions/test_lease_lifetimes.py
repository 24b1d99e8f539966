"""For how long a prefix is leased, on its way from the LM that leased it to who advertises it."""

from __future__ import annotations

from ipaddress import IPv6Network
from typing import TYPE_CHECKING

import pytest
from steps import BINDING_S, HNP1, LEASE_S, Steps, address, message

from dmm_agent.functions.lease_lifetimes import ENTERPRISE, lease_lifetimes, leases_of
from dmm_agent.functions.proxy_messages import MAX_PREFIXES, acknowledge
from dmm_agent.wire import (
    BindingAcknowledgement,
    BindingUpdate,
    VendorSpecific,
    decode,
    encode,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dmm_agent.functions.effects import Effect

HNPS = list(IPv6Network("2001:db8:1:8000::/56").subnets(new_prefix=64))


def granted(
    steps: Steps, update: BindingUpdate, hnps: list[IPv6Network], *more: VendorSpecific
) -> BindingAcknowledgement:
    return acknowledge(update, status=0, lifetime_s=BINDING_S, hnps=hnps, now=steps.now, more=more)


def leases(effects: Iterable[Effect]) -> dict[IPv6Network, int]:
    return leases_of(message(effects, BindingAcknowledgement))


def test_the_network_that_leased_a_prefix_says_for_how_long() -> None:
    home = Steps("gw1", ["allocator", "lm"])
    assert leases(home.receive("ar11", home.update())) == {HNP1: LEASE_S}
    assert leases(home.receive("gw3", home.update(HNP1, after_s=5))) == {HNP1: LEASE_S}


def test_the_network_that_a_node_visits_passes_on_what_is_left() -> None:
    visited = Steps("gw3", ["allocator", "lm"])
    asked = message(visited.receive("ar31", visited.update(HNP1)), BindingUpdate)
    answer = granted(visited, asked, [HNP1], *lease_lifetimes([HNP1], {HNP1: 500}))
    assert leases(visited.receive("gw1", answer)) == {HNP1: 500}
    moved = leases(visited.receive("ar32", visited.update(after_s=7)))
    (own,) = (IPv6Network(row["hnp"]) for row in visited.table("leases"))
    assert moved == {own: LEASE_S, HNP1: 493}


@pytest.mark.parametrize("count", [1, 60, 61, MAX_PREFIXES])
def test_every_answer_has_room_for_it(count: int) -> None:
    steps, hnps = Steps("gw1", ["allocator", "lm"]), HNPS[:count]
    said = {hnp: 1000.0 + number for number, hnp in enumerate(hnps)}
    answer = granted(steps, steps.update(*hnps), hnps, *lease_lifetimes(hnps, said))
    octets = encode(answer, address("gw1"), address("ar11"))
    assert leases_of(decode(octets)) == said


def test_what_is_not_known_of_some_is_left_out() -> None:
    steps, hnps = Steps("gw1", ["allocator", "lm"]), HNPS[:3]
    options = list(lease_lifetimes(hnps, {HNPS[1]: 7.9}))
    assert leases_of(granted(steps, steps.update(*hnps), hnps, *options)) == {HNPS[1]: 7}
    assert list(lease_lifetimes(hnps, {})) == []


@pytest.mark.parametrize(
    "option",
    [
        VendorSpecific(ENTERPRISE + 1, 1, bytes([0, 0, 1, 0])),
        VendorSpecific(ENTERPRISE, 2, bytes([0, 0, 1, 0])),
        VendorSpecific(ENTERPRISE, 1, bytes([0, 0, 1])),
        VendorSpecific(ENTERPRISE, 1, b""),
    ],
)
def test_what_others_mean_by_such_an_option_is_not_ours(option: VendorSpecific) -> None:
    steps = Steps("gw1", ["allocator", "lm"])
    assert leases_of(granted(steps, steps.update(*HNPS[:1]), HNPS[:1], option)) == {}


def test_more_lifetimes_than_prefixes_are_passed_over() -> None:
    steps = Steps("gw1", ["allocator", "lm"])
    option = VendorSpecific(ENTERPRISE, 1, bytes([0, 0, 0, 5, 0, 0, 0, 6]))
    answer = granted(steps, steps.update(*HNPS[:1]), HNPS[:1], option)
    assert leases_of(answer) == {HNPS[0]: 5}
