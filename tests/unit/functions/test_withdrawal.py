"""A lease that is over: the prefix is withdrawn from the node, and sessions notice (draft, 5)."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

import pytest
from access_router import LIFETIME_S, LINK_LOCAL, Ar
from steps import HNP1, HNP3, MN1_MAC, all_of, message, one, prefixes, recorded, timer, updates

from dmm_agent.functions.attachments import LINGERING_S, MAX_WITHDRAWN
from dmm_agent.functions.effects import (
    Advertise,
    AdvertisedPrefix,
    Delivery,
    Effect,
    Install,
    Remove,
    Withdrawal,
)
from dmm_agent.functions.events import Attached, Detached, ProbeAnswered, TimerFired
from dmm_agent.functions.proxy_messages import acknowledge
from dmm_agent.wire import BindingStatus, BindingUpdate

WITHDRAWN = Withdrawal(HNP1, "mn1", LINK_LOCAL)
OVER = BindingStatus.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX
LEASE_S = 100
TICK = TimerFired("proxy", ("tick", "mn1"))


@pytest.fixture
def ar() -> Ar:
    """With a node that has brought HNP1 along."""
    ar = Ar(idle_s=1000)
    ar.leased_s = LEASE_S
    ar.attach()
    ar.bring(HNP1)
    return ar


def refused(ar: Ar, status: int = OVER) -> list[Effect]:
    """The node is still there, but of its prefixes the LM does not grant HNP1 again."""
    refresh = message(ar(ProbeAnswered("mn1", MN1_MAC), after_s=LIFETIME_S / 2), BindingUpdate)
    assert prefixes(refresh) == [HNP3, HNP1]
    alone = message(ar.lm_answers(refresh, HNP3), BindingUpdate)
    assert prefixes(alone) == [HNP1], "it asks why"
    return ar.lm_answers(alone, status=status, lifetime_s=0)


def test_a_prefix_that_is_not_the_nodes_any_more_is_withdrawn(ar: Ar) -> None:
    effects = refused(ar)
    assert recorded(effects) == ["refused", "withdrawn"]
    assert one(effects, Install).route == WITHDRAWN
    assert one(effects, Remove).route == Delivery(HNP1, "mn1", LINK_LOCAL)
    assert ar.served() == [str(HNP3)]


def test_the_node_hears_at_once_and_again_and_again_that_it_will_soon_be_gone(ar: Ar) -> None:
    """Its sessions must have its address to hear of their end."""
    effects = refused(ar)
    for left_s in (LINGERING_S, LINGERING_S - 5, LINGERING_S - 10):
        advertised = one(effects, Advertise).prefixes
        assert AdvertisedPrefix(HNP1, preferred_s=0, valid_s=left_s) in advertised
        assert advertised[0].prefix == HNP3
        effects = ar(TICK, after_s=5)


def test_in_the_end_it_is_not_valid(ar: Ar) -> None:
    refused(ar)
    ar(ProbeAnswered("mn1", MN1_MAC))
    advertised = one(ar(TICK, after_s=LINGERING_S), Advertise).prefixes
    assert AdvertisedPrefix(HNP1, preferred_s=0, valid_s=0) in advertised


def test_a_prefix_refused_for_another_reason_is_not(ar: Ar) -> None:
    effects = refused(ar, BindingStatus.INSUFFICIENT_RESOURCES)
    assert recorded(effects) == ["refused"]
    assert all_of(effects, Install) == []


def test_what_the_node_is_seen_to_use_after_its_lease_is_withdrawn(ar: Ar) -> None:
    other = IPv6Network("2001:db8:2:8100::/64")
    asked = message(ar.observe(other), BindingUpdate)
    assert all_of(ar.lm_answers(asked, status=OVER, lifetime_s=0), Install) == [
        Install(Withdrawal(other, "mn1", LINK_LOCAL))
    ]


def test_before_its_fate_is_known_nothing_is_withdrawn(ar: Ar) -> None:
    """The LM may be unreachable for a while; what the registration covered is served no longer."""
    effects = ar(TICK, after_s=LIFETIME_S)
    assert {effect.route.prefix for effect in all_of(effects, Remove)} == {HNP1, HNP3}
    assert all_of(effects, Install) == []


def test_when_its_lease_ends_unrenewed_it_is_withdrawn(ar: Ar) -> None:
    began, effects = ar.now, list[Effect]()
    for _ in range(4):
        ar(ProbeAnswered("mn1", MN1_MAC))
        effects = ar(TICK, after_s=(LEASE_S - 1) / 4)
    wakes = timer(effects, "tick")
    ar(ProbeAnswered("mn1", MN1_MAC))
    effects = ar.fire(wakes)
    assert ar.now == began + LEASE_S
    assert Install(WITHDRAWN) in effects
    assert one(effects, Advertise).prefixes == (
        AdvertisedPrefix(HNP3, 0, LINGERING_S),
        AdvertisedPrefix(HNP1, 0, LINGERING_S),
    )


def test_the_node_has_an_address_for_a_while_longer_than_its_lease_has_left(ar: Ar) -> None:
    """No longer: a host takes little back of what it was once told (RFC 4862, 5.5.3 e)."""
    advertised = one(ar(TICK, after_s=5), Advertise).prefixes
    assert [p.valid_s for p in advertised] == 2 * [LEASE_S - 5 + LINGERING_S]


def test_without_word_of_the_lease_that_is_as_long_as_the_registration(ar: Ar) -> None:
    other = IPv6Network("2001:db8:2:8100::/64")
    update = message(ar.observe(other), BindingUpdate)
    answer = acknowledge(update, status=0, lifetime_s=LIFETIME_S, hnps=[other], now=ar.now)
    advertised = one(ar.receive("gw3", answer), Advertise).prefixes
    assert {p.prefix: p.valid_s for p in advertised}[other] == LIFETIME_S + LINGERING_S


def test_granted_again_it_is_served_again(ar: Ar) -> None:
    refused(ar)
    asked = message(ar.observe(HNP1, after_s=6), BindingUpdate)
    effects = ar.lm_answers(asked)
    assert Install(Delivery(HNP1, "mn1", LINK_LOCAL)) in effects
    assert one(effects, Remove).route == WITHDRAWN
    assert {p.prefix: p.valid_s for p in one(effects, Advertise).prefixes}[HNP1] > 0


def test_when_the_node_has_left_nothing_of_it_stays(ar: Ar) -> None:
    refused(ar)
    assert Remove(WITHDRAWN) in ar(Detached("mn1"))


def test_a_new_link_local_address_is_where_answers_go(ar: Ar) -> None:
    refused(ar)
    moved = IPv6Address("fe80::99")
    effects = ar(Attached("mn1", MN1_MAC, moved, solicited=False))
    assert Install(Withdrawal(HNP1, "mn1", moved)) in effects


def test_whatever_a_node_makes_up_few_prefixes_are_withdrawn_at_a_time(ar: Ar) -> None:
    made_up = list(IPv6Network("2001:db8:1:8000::/56").subnets(new_prefix=64))[:20]
    there: set[object] = set()
    for hnp in made_up:
        for update in updates(ar.observe(hnp)):
            for effect in ar.lm_answers(update, status=OVER, lifetime_s=0):
                if isinstance(effect, Install):
                    there.add(effect.route)
                elif isinstance(effect, Remove):
                    there.discard(effect.route)
    assert len(there) == MAX_WITHDRAWN
    assert Withdrawal(made_up[-1], "mn1", LINK_LOCAL) in there
