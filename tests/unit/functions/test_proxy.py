"""The proxy at an access router: to the LM like the node, to the node like the LM (draft, 3.1)."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network
from itertools import pairwise

import pytest
from access_router import LIFETIME_S, LINK_LOCAL, Ar
from steps import (
    HNP1,
    HNP3,
    MN1,
    MN1_MAC,
    MN2_MAC,
    all_of,
    attached,
    link_local,
    message,
    one,
    prefixes,
    recorded,
    sent,
    timer,
    updates,
)

from dmm_agent.functions.attachments import LINGERING_S
from dmm_agent.functions.effects import (
    Advertise,
    AdvertisedPrefix,
    CancelTimer,
    Delivery,
    Install,
    Probe,
    Remove,
    Send,
)
from dmm_agent.functions.events import Attached, Detached, Observed, Started
from dmm_agent.functions.proxy_messages import ANY_PREFIX, MAX_PREFIXES, node_of
from dmm_agent.functions.session_discovery import ALL_NODES
from dmm_agent.wire import (
    BindingStatus,
    BindingUpdate,
    BindingUpdateFlag,
    Handoff,
    HandoffIndicator,
    Timestamp,
)


@pytest.fixture
def ar() -> Ar:
    return Ar()


# The node comes


def test_at_the_start_it_looks_who_is_there_already(ar: Ar) -> None:
    probes = [Probe("mn1", ALL_NODES), Probe("mn2", ALL_NODES)]
    assert all_of(ar(Started()), Probe) == probes


def test_a_node_that_comes_is_registered(ar: Ar) -> None:
    effects = ar(attached())
    assert sent(effects) == [("BindingUpdate", "gw3")]
    update = message(effects, BindingUpdate)
    assert (node_of(update), prefixes(update)) == (MN1, [ANY_PREFIX])
    assert update.flags == BindingUpdateFlag.ACKNOWLEDGE | BindingUpdateFlag.PROXY
    assert update.first(Timestamp) == Timestamp.at(ar.now)
    assert all_of(effects, Advertise) == [], "it knows no prefix yet"


def test_once_granted_the_prefix_is_delivered_and_advertised(ar: Ar) -> None:
    effects = ar.attach()
    assert one(effects, Install).route == Delivery(HNP3, "mn1", LINK_LOCAL)
    advertised = one(effects, Advertise)
    assert (advertised.link, advertised.link_local) == ("mn1", LINK_LOCAL)
    valid_s = 86400 + LINGERING_S
    assert advertised.prefixes == (AdvertisedPrefix(HNP3, preferred_s=15, valid_s=valid_s),)


def test_a_node_without_a_policy_is_left_alone(ar: Ar) -> None:
    effects = ar(attached(mac="02:00:00:00:00:99"))
    assert recorded(effects) == ["unknown_node"]
    assert sent(effects) == []


def test_an_unanswered_registration_is_repeated_as_long_as_the_node_is_there(ar: Ar) -> None:
    effects = ar(attached())
    times = [ar.now]
    for _ in range(2000):
        effects = ar.fire(timer(effects, "request"))
        assert sent(effects) == [("BindingUpdate", "gw3")]
        times.append(ar.now)
    assert [round(b - a) for a, b in pairwise(times[:5])] == [1, 2, 4, 4]
    assert ar.now - times[-2] == 4, "and not ever more slowly"
    assert message(effects, BindingUpdate).first(Timestamp) == Timestamp.at(ar.now)


def test_a_node_that_solicits_while_it_is_registered_makes_the_next_copy_come_sooner(
    ar: Ar,
) -> None:
    ar.fire(timer(ar(attached()), "request"))
    assert sent(ar(attached(), after_s=0.5)) == [("BindingUpdate", "gw3")]
    assert sent(ar(attached(), after_s=0.1)) == [], "but each pause only once"


def test_a_known_node_that_solicits_gets_an_advertisement_at_once(ar: Ar) -> None:
    ar.attach()
    effects = ar(attached(), after_s=0.5)
    assert one(effects, Advertise).prefixes[0].prefix == HNP3
    assert sent(effects) == []


def test_a_known_node_that_shows_itself_otherwise_costs_nothing(ar: Ar) -> None:
    ar.attach()
    assert ar(attached(solicited=False), after_s=1) == []


def test_a_new_link_local_address_is_where_packets_go_from_now_on(ar: Ar) -> None:
    ar.attach()
    moved = IPv6Address("fe80::99")
    effects = ar(Attached("mn1", MN1_MAC, moved, solicited=True))
    assert one(effects, Install).route == Delivery(HNP3, "mn1", moved)
    assert one(effects, Advertise).link_local == moved


def test_another_node_on_the_link_takes_the_place_of_the_first(ar: Ar) -> None:
    ar.attach()
    effects = ar(attached(mac=MN2_MAC))
    assert recorded(effects) == ["detached", "attached"]
    assert one(effects, Remove).route.prefix == HNP3


def test_a_node_that_changes_to_another_link_here_is_not_deregistered(ar: Ar) -> None:
    """To the LM it is where it was: its de-registration would end what the new link needs."""
    ar.attach(HNP3, HNP1)
    effects = ar(attached(link="mn2"))
    assert {e.route.prefix for e in all_of(effects, Remove)} == {HNP1, HNP3}
    assert [message_.lifetime_s for message_ in updates(effects)] == [262140]
    assert [row["link"] for row in ar.table("attachments")] == ["mn2"]


# What it brought along (session_discovery: observed)


def test_a_prefix_that_the_node_is_seen_to_use_is_registered(ar: Ar) -> None:
    ar.attach()
    update = message(ar.observe(), BindingUpdate)
    assert prefixes(update) == [HNP1]
    assert update.first(HandoffIndicator) == HandoffIndicator(Handoff.BETWEEN_MAGS)


def test_prefixes_of_other_networks_are_advertised_deprecated(ar: Ar) -> None:
    """So that new sessions take this network's prefix and old ones go on (draft, 4.4)."""
    ar.attach()
    advertised = one(ar.bring(), Advertise).prefixes
    assert [(p.prefix, p.preferred_s > 0, p.valid_s > 0) for p in advertised] == [
        (HNP3, True, True),
        (HNP1, False, True),
    ]


def test_what_is_seen_before_the_first_answer_waits_for_it(ar: Ar) -> None:
    """The LM may know of the prefix and grant it unasked."""
    asked = message(ar(attached()), BindingUpdate)
    assert sent(ar.observe()) == []
    effects = ar.lm_answers(asked, HNP3)
    assert [prefixes(update) for update in updates(effects)] == [[HNP1]]


def test_what_the_first_answer_grants_is_not_asked_for(ar: Ar) -> None:
    asked = message(ar(attached()), BindingUpdate)
    ar.observe()
    assert updates(ar.lm_answers(asked, HNP3, HNP1)) == []
    assert ar.served() == [str(HNP3), str(HNP1)]


def test_a_packet_of_someone_unknown_makes_it_look_who_is_there(ar: Ar) -> None:
    assert all_of(ar.observe(), Probe) == [Probe("mn1", ALL_NODES)]


def test_a_packet_with_another_sender_is_not_the_nodes(ar: Ar) -> None:
    ar.attach()
    assert ar.observe(mac=MN2_MAC) == []


def test_an_address_that_is_no_mobile_nodes_is_nothing_to_it(ar: Ar) -> None:
    ar.attach()
    assert ar(Observed("mn1", MN1_MAC, IPv6Address("2001:db8:1:1::10"))) == []


def test_a_refused_prefix_is_not_asked_for_again_for_a_while(ar: Ar) -> None:
    ar.attach()
    asked = message(ar.observe(), BindingUpdate)
    refused = BindingStatus.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX
    effects = ar.lm_answers(asked, status=refused, lifetime_s=0)
    assert recorded(effects) == ["refused", "withdrawn"]
    assert sent(ar.observe(after_s=4)) == []
    assert sent(ar.observe(after_s=2)) == [("BindingUpdate", "gw3")]


def test_whatever_prefixes_a_node_makes_up_it_causes_bounded_work(ar: Ar) -> None:
    ar.attach()
    made_up = list(IPv6Network("2001:db8:1:8000::/56").subnets(new_prefix=64))
    asked = [update for hnp in made_up for update in updates(ar.observe(hnp))]
    assert len(asked) == MAX_PREFIXES - 1, "one of them is its own"
    for update in asked:
        ar.lm_answers(update, status=BindingStatus.REASON_UNSPECIFIED, lifetime_s=0)
    assert [u for hnp in made_up for u in updates(ar.observe(hnp))] == []


# What the LM says


def test_only_its_own_lm_is_believed(ar: Ar) -> None:
    asked = message(ar(attached()), BindingUpdate)
    assert ar.lm_answers(asked, HNP3, sender="gw1") == []


def test_an_answer_about_another_node_is_none(ar: Ar) -> None:
    ar(attached())
    asked = message(ar(attached(mac=MN2_MAC, link="mn2")), BindingUpdate)
    other = ar.update(sequence=asked.sequence)
    assert ar.lm_answers(other, HNP3) == []


@pytest.mark.parametrize(
    "status",
    [BindingStatus.TIMESTAMP_MISMATCH, BindingStatus.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED],
)
def test_a_refusal_of_the_time_is_answered_by_the_next_copy(ar: Ar, status: int) -> None:
    effects = ar(attached())
    asked, repeat = message(effects, BindingUpdate), timer(effects, "request")
    assert ar.lm_answers(asked, status=status, lifetime_s=0) == []
    assert message(ar.fire(repeat), BindingUpdate).sequence == asked.sequence


@pytest.mark.parametrize("hnp", [ANY_PREFIX, IPv6Network("2001:db8:1::/48"), HNP1.supernet(1)])
def test_no_other_prefix_than_a_mobile_nodes_is_ever_delivered(ar: Ar, hnp: IPv6Network) -> None:
    assert all_of(ar.attach(hnp), Install) == []


def test_what_was_not_asked_for_is_not_delivered(ar: Ar) -> None:
    ar.attach()
    asked = message(ar.observe(), BindingUpdate)
    assert all_of(ar.lm_answers(asked, IPv6Network("2001:db8:1:8199::/64")), Install) == []


def test_an_acceptance_without_lifetime_is_none(ar: Ar) -> None:
    asked = message(ar(attached()), BindingUpdate)
    assert all_of(ar.lm_answers(asked, HNP3, lifetime_s=0), Install) == []


def test_a_lifetime_counts_from_when_it_was_asked_for(ar: Ar) -> None:
    """RFC 6275, 11.7.3: so the LM never forgets first."""
    asked = message(ar(attached()), BindingUpdate)
    ar.lm_answers(asked, HNP3, after_s=2)
    assert ar.table("attachments")[0]["remaining_s"] == LIFETIME_S - 2


def test_a_prefix_that_now_is_another_nodes_stays_delivered_to_that_one(ar: Ar) -> None:
    """After a restart an LM may lease it anew before the first node's registration ends."""
    ar.attach()
    asked = message(ar(attached(mac=MN2_MAC, link="mn2")), BindingUpdate)
    there = Delivery(HNP3, "mn2", link_local(MN2_MAC))
    assert one(ar.lm_answers(asked, HNP3), Install).route == there
    assert all_of(ar(Detached("mn1")), Remove) == []


# The node leaves


def test_a_node_that_leaves_is_no_longer_delivered_to(ar: Ar) -> None:
    ar.attach()
    effects = ar(Detached("mn1"))
    assert one(effects, Remove).route == Delivery(HNP3, "mn1", LINK_LOCAL)
    assert CancelTimer("proxy", ("tick", "mn1")) in effects
    assert ar.table("attachments") == []


def test_of_a_prefix_at_home_there_is_nothing_to_deregister(ar: Ar) -> None:
    """The LM has no entry for it."""
    ar.attach()
    assert sent(ar(Detached("mn1"))) == []


def test_what_it_brought_along_is_deregistered(ar: Ar) -> None:
    ar.attach()
    ar.bring()
    (update,) = updates(ar(Detached("mn1"), after_s=1))
    assert (update.lifetime_s, prefixes(update)) == (0, [HNP1])


def test_what_was_only_asked_for_is_deregistered_too(ar: Ar) -> None:
    """The LM may have granted it already."""
    ar.attach()
    ar.observe()
    (update,) = updates(ar(Detached("mn1"), after_s=1))
    assert (update.lifetime_s, prefixes(update)) == (0, [HNP1])


def test_before_the_first_answer_all_of_the_node_is_deregistered(ar: Ar) -> None:
    ar(attached())
    (update,) = updates(ar(Detached("mn1"), after_s=1))
    assert (update.lifetime_s, prefixes(update)) == (0, [ANY_PREFIX])


def test_a_deregistration_is_not_repeated_once_the_node_is_back(ar: Ar) -> None:
    """The next copy would be newer than the registration, and end it."""
    ar.attach()
    ar.bring()
    waiting = timer(ar(Detached("mn1"), after_s=1), "request")
    assert any(isinstance(e, CancelTimer) and e.key == waiting.key for e in ar(attached()))
    assert ar.fire(waiting) == []


def test_a_deregistration_is_repeated_a_few_times(ar: Ar) -> None:
    ar.attach()
    ar.bring()
    effects = ar(Detached("mn1"), after_s=1)
    copies = 0
    while updates(effects):
        copies += 1
        effects = ar.fire(timer(effects, "request"))
    assert copies == 4


@pytest.mark.parametrize(
    ("status", "is_repeated"),
    [(BindingStatus.ACCEPTED, False), (BindingStatus.TIMESTAMP_MISMATCH, True)],
)
def test_a_deregistration_is_repeated_until_it_is_answered(
    ar: Ar, *, status: int, is_repeated: bool
) -> None:
    ar.attach()
    ar.bring()
    effects = ar(Detached("mn1"), after_s=1)
    ar.lm_answers(updates(effects)[0], status=status, lifetime_s=0)
    assert bool(updates(ar.fire(timer(effects, "request")))) is is_repeated


def test_an_answer_after_the_node_left_delivers_nothing(ar: Ar) -> None:
    asked = message(ar(attached()), BindingUpdate)
    ar(Detached("mn1"))
    assert ar.lm_answers(asked, HNP3) == []


def test_a_link_nobody_was_on_can_go_down(ar: Ar) -> None:
    assert all_of(ar(Detached("mn2")), Send) == []
