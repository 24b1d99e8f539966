"""The LM of the network that leased a prefix (draft, sections 5 and 6)."""

from __future__ import annotations

from ipaddress import IPv6Network

import pytest
from steps import (
    BINDING_S,
    HNP1,
    HNP3,
    LEASE_S,
    MN2,
    Steps,
    address,
    all_of,
    message,
    one,
    prefixes,
    sent,
    timer,
    verdict,
)

from dmm_agent.functions.effects import BindingRoute, CancelTimer, Install, Remove, SetTimer
from dmm_agent.functions.proxy_messages import acknowledge
from dmm_agent.wire import (
    BindingRevocationAcknowledgement,
    BindingRevocationIndication,
    BindingStatus,
    BindingUpdate,
    Handoff,
    RevocationStatus,
    RevocationTrigger,
    Timestamp,
)


@pytest.fixture
def lm() -> Steps:
    """The LM of net1, with the MR beside it; mn1 is at home at ar11."""
    steps = Steps("gw1", ["allocator", "lm", "mr"])
    steps.receive("ar11", steps.update())
    return steps


def test_a_node_that_comes_gets_a_lease_and_no_entry() -> None:
    """Plain routing serves a node at home (draft, 5)."""
    lm = Steps("gw1", ["allocator", "lm", "mr"])
    effects = lm.receive("ar11", lm.update())
    assert verdict(effects) == (BindingStatus.ACCEPTED, LEASE_S, [HNP1])
    assert all_of(effects, Install) == []
    assert lm.locations() == {}
    assert [row["hnp"] for row in lm.table("leases")] == [str(HNP1)]


def test_when_it_is_away_the_database_points_at_the_other_networks_mr(lm: Steps) -> None:
    effects = lm.receive("gw3", lm.update(HNP1, after_s=1))
    assert verdict(effects) == (BindingStatus.ACCEPTED, BINDING_S, [HNP1])
    assert one(effects, Install).route == BindingRoute(HNP1, address("gw3"))
    assert lm.locations() == {str(HNP1): "gw3"}


def test_a_registration_renews_the_lease_for_the_sessions_that_need_it(lm: Steps) -> None:
    lm.receive("gw3", lm.update(HNP1, after_s=500))
    assert lm.table("leases")[0]["remaining_s"] == LEASE_S


def test_a_move_to_a_third_network_moves_the_entry_and_revokes_the_old_one(lm: Steps) -> None:
    lm.receive("gw3", lm.update(HNP1, after_s=1))
    update = lm.update(HNP1, time=Timestamp.at(lm.now + 1))
    effects = lm.receive("gw2", update, after_s=1)
    assert sent(effects) == [
        ("BindingAcknowledgement", "gw2"),
        ("BindingRevocationIndication", "gw3"),
    ]
    told = message(effects, BindingRevocationIndication)
    assert told.trigger == RevocationTrigger.INTER_MAG_HANDOVER_SAME_ACCESS_TYPE
    assert prefixes(told) == [HNP1]
    assert told.first(Timestamp) == update.first(Timestamp), "it ends nothing newer"
    assert one(effects, Install).route == BindingRoute(HNP1, address("gw2"))


def test_a_move_inside_the_home_network_tells_nobody_outside(lm: Steps) -> None:
    effects = lm.receive("ar12", lm.update(after_s=1))
    assert sent(effects) == [("BindingAcknowledgement", "ar12")]
    assert lm.locations() == {str(HNP1): "ar12"}


def test_coming_home_ends_the_entry_and_tells_the_network_that_lost_the_node(lm: Steps) -> None:
    lm.receive("gw3", lm.update(HNP1, after_s=1))
    effects = lm.receive("ar11", lm.update(after_s=1))
    assert verdict(effects) == (BindingStatus.ACCEPTED, LEASE_S, [HNP1])
    assert ("BindingRevocationIndication", "gw3") in sent(effects)
    assert one(effects, Remove).route == BindingRoute(HNP1, address("gw3"))
    assert lm.locations() == {}


def test_a_refresh_from_the_same_place_changes_only_the_lifetime(lm: Steps) -> None:
    lm.receive("gw3", lm.update(HNP1, after_s=1))
    effects = lm.receive("gw3", lm.update(HNP1, after_s=30))
    assert sent(effects) == [("BindingAcknowledgement", "gw3")]
    assert all_of(effects, Install) == []
    assert timer(effects, "expiry").at_s == lm.now + BINDING_S


def test_an_entry_ends_when_it_is_not_refreshed(lm: Steps) -> None:
    expiry = timer(lm.receive("gw3", lm.update(HNP1, after_s=1)), "expiry")
    effects = lm.fire(expiry)
    assert one(effects, Remove).route == BindingRoute(HNP1, address("gw3"))
    assert lm.locations() == {}


def test_a_timer_of_before_the_refresh_ends_nothing(lm: Steps) -> None:
    expiry = timer(lm.receive("gw3", lm.update(HNP1, after_s=1)), "expiry")
    lm.receive("gw3", lm.update(HNP1, after_s=30))
    effects = lm.fire(expiry)
    assert [type(effect) for effect in effects] == [SetTimer]
    assert lm.locations() == {str(HNP1): "gw3"}


def test_no_entry_outlives_the_lease() -> None:
    lm = Steps("gw1", ["allocator", "lm"], allocator={"lease_lifetime_s": 20})
    lm.receive("ar11", lm.update())
    effects = lm.receive("gw3", lm.update(HNP1, after_s=1))
    assert verdict(effects) == (BindingStatus.ACCEPTED, 20, [HNP1]), "not its usual 60 s"
    lease = next(t for t in all_of(effects, SetTimer) if t.owner == "allocator")
    lm.fire(lease)
    assert lm.locations() == {}
    assert lm.table("leases") == []


def test_a_deregistration_waits_a_little_for_the_node_to_show_up_elsewhere(lm: Steps) -> None:
    lm.receive("gw3", lm.update(HNP1, after_s=1))
    effects = lm.receive("gw3", lm.update(HNP1, lifetime_s=0, after_s=1))
    assert verdict(effects) == (BindingStatus.ACCEPTED, 0, [HNP1])
    assert lm.table("bindings")[0]["leaving"]
    assert timer(effects, "expiry").at_s == lm.now + 10
    lm.fire(timer(effects, "expiry"))
    assert lm.locations() == {}


def test_meanwhile_nothing_is_sent_to_where_it_was(lm: Steps) -> None:
    route = BindingRoute(HNP1, address("gw3"))
    lm.receive("gw3", lm.update(HNP1, after_s=1))
    assert Remove(route) in lm.receive("gw3", lm.update(HNP1, lifetime_s=0, after_s=1))
    assert Install(route) in lm.receive("gw3", lm.update(HNP1, after_s=1))


def test_a_node_that_shows_up_in_time_keeps_its_entry(lm: Steps) -> None:
    lm.receive("gw3", lm.update(HNP1, after_s=1))
    leaving = timer(lm.receive("gw3", lm.update(HNP1, lifetime_s=0, after_s=1)), "expiry")
    lm.receive("gw2", lm.update(HNP1, after_s=5))
    lm.fire(leaving)
    assert lm.locations() == {str(HNP1): "gw2"}


def test_a_deregistration_by_who_has_lost_the_node_before_changes_nothing(lm: Steps) -> None:
    lm.receive("gw3", lm.update(HNP1, after_s=1))
    lm.receive("gw2", lm.update(HNP1, after_s=1))
    effects = lm.receive("gw3", lm.update(HNP1, lifetime_s=0, after_s=1))
    assert sent(effects) == [("BindingAcknowledgement", "gw3")]
    assert not lm.table("bindings")[0]["leaving"]


def test_a_deregistration_that_was_overtaken_by_the_nodes_return_changes_nothing(
    lm: Steps,
) -> None:
    lm.receive("gw3", lm.update(HNP1, after_s=1))
    late = lm.update(HNP1, lifetime_s=0, time=Timestamp.at(lm.now + 0.9))
    lm.receive("gw3", lm.update(HNP1, after_s=1))
    lm.receive("gw3", late)
    assert not lm.table("bindings")[0]["leaving"]


def test_a_deregistration_of_another_nodes_prefix_changes_nothing(lm: Steps) -> None:
    lm.receive("gw3", lm.update(HNP1, after_s=1))
    lm.receive("gw3", lm.update(HNP1, mn_id=MN2, lifetime_s=0, after_s=1))
    assert not lm.table("bindings")[0]["leaving"]


def test_a_registration_that_comes_after_its_deregistration_is_no_news(lm: Steps) -> None:
    early = lm.update(HNP1, after_s=1)
    lm.receive("gw3", lm.update(HNP1, lifetime_s=0, after_s=0.1))
    status, _, _ = verdict(lm.receive("gw3", early))
    assert status == BindingStatus.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED
    assert lm.locations() == {}


def test_all_that_a_node_has_at_one_place_can_be_deregistered_at_once(lm: Steps) -> None:
    """An access router that lost the node before its first answer knows no prefix of it."""
    lm.receive("ar12", lm.update(after_s=1))
    lm.receive("ar12", lm.update(lifetime_s=0, after_s=1))
    assert lm.table("bindings")[0]["leaving"]


def test_so_is_the_registration_that_has_yet_to_arrive(lm: Steps) -> None:
    early = lm.update(after_s=1)
    lm.receive("ar12", lm.update(lifetime_s=0, after_s=0.1))
    status, _, _ = verdict(lm.receive("ar12", early))
    assert status == BindingStatus.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED
    assert lm.locations() == {}


def refusal(
    of: BindingRevocationIndication, attached_at: float
) -> BindingRevocationAcknowledgement:
    """The network says that the node came back at that time."""
    status = RevocationStatus.REVOCATION_FAILED_MN_IS_ATTACHED
    options = [option for option in of.options if not isinstance(option, Timestamp)]
    options.append(Timestamp.at(attached_at))
    return BindingRevocationAcknowledgement(status, of.sequence, of.flags, tuple(options))


def test_a_node_that_came_back_before_its_revocation_is_pointed_at_again(lm: Steps) -> None:
    """Inside the network it visits it could come back without this LM hearing of it."""
    lm.receive("gw3", lm.update(HNP1, after_s=1))
    moved = lm.receive("gw2", lm.update(HNP1, after_s=1))
    revoked = message(moved, BindingRevocationIndication)
    effects = lm.receive("gw3", refusal(revoked, attached_at=lm.now + 0.1), after_s=0.2)
    assert lm.locations() == {str(HNP1): "gw3"}
    assert sent(effects) == [("BindingRevocationIndication", "gw2")]


def test_a_node_that_came_back_but_has_left_again_is_revoked_again(lm: Steps) -> None:
    lm.receive("gw3", lm.update(HNP1, after_s=1))
    moved = lm.receive("gw2", lm.update(HNP1, after_s=1))
    revoked = message(moved, BindingRevocationIndication)
    came_back_at = lm.now + 0.1
    newest = lm.update(HNP1, after_s=0.5)
    lm.receive("gw2", newest)
    effects = lm.receive("gw3", refusal(revoked, came_back_at))
    assert lm.locations() == {str(HNP1): "gw2"}
    again = message(effects, BindingRevocationIndication)
    assert again.first(Timestamp) == newest.first(Timestamp)
    assert sent(effects) == [("BindingRevocationIndication", "gw3")]


@pytest.mark.parametrize("sender", ["gw2", "gw3"])
def test_only_who_was_revoked_can_refuse_and_only_once(lm: Steps, sender: str) -> None:
    lm.receive("gw3", lm.update(HNP1, after_s=1))
    moved = lm.receive("gw2", lm.update(HNP1, after_s=1))
    revoked = message(moved, BindingRevocationIndication)
    lm.receive("gw3", BindingRevocationAcknowledgement(0, revoked.sequence, revoked.flags))
    assert lm.receive(sender, refusal(revoked, lm.now + 0.1), after_s=0.2) == []
    assert lm.locations() == {str(HNP1): "gw2"}


def test_a_revocation_is_repeated_until_it_is_acknowledged(lm: Steps) -> None:
    lm.receive("gw3", lm.update(HNP1, after_s=1))
    effects = lm.receive("gw2", lm.update(HNP1, after_s=1))
    first = message(effects, BindingRevocationIndication)
    effects = lm.fire(timer(effects, "request"))
    assert message(effects, BindingRevocationIndication) == first
    waiting = timer(effects, "request")
    answer = BindingRevocationAcknowledgement(0, first.sequence, first.flags, first.options)
    assert one(lm.receive("gw3", answer), CancelTimer).key == waiting.key
    assert lm.fire(waiting) == []


def test_a_revocation_that_nobody_answers_is_given_up(lm: Steps) -> None:
    lm.receive("gw3", lm.update(HNP1, after_s=1))
    effects = lm.receive("gw2", lm.update(HNP1, after_s=1))
    copies = 0
    while indications := [e for e in sent(effects) if e[0] == "BindingRevocationIndication"]:
        copies += len(indications)
        effects = lm.fire(timer(effects, "request"))
    assert copies == 4


def test_a_node_can_have_prefixes_of_several_networks(lm: Steps) -> None:
    """It comes home with a prefix of net3, which net1 then asks net3's LM to point here."""
    effects = lm.receive("ar11", lm.update(HNP3, after_s=1))
    assert sent(effects) == [("BindingUpdate", "gw3")]
    assert prefixes(message(effects, BindingUpdate)) == [HNP3]


def test_an_acknowledgement_it_never_asked_for_is_nothing_to_it(lm: Steps) -> None:
    answer = acknowledge(lm.update(), status=0, lifetime_s=60, hnps=[HNP1], now=lm.now)
    assert lm.receive("gw3", answer) == []
    assert lm.locations() == {}


def test_the_entries_can_be_looked_at(lm: Steps) -> None:
    lm.receive("gw3", lm.update(HNP1, after_s=1))
    lm.now += 10
    (row,) = lm.table("bindings")
    assert IPv6Network(row["hnp"]) == HNP1
    assert (row["visiting"], row["leaving"], row["remaining_s"]) == (False, False, 50.0)


def test_when_sessions_have_ended_the_entry_goes_at_once_and_who_relied_on_it_is_told(
    lm: Steps,
) -> None:
    """Nobody is to wait for the node: it has not moved."""
    lm.receive("gw3", lm.update(HNP1, after_s=1))
    lm.receive("gw2", lm.query(HNP1))
    ended = lm.update(HNP1, after_s=1, handoff=Handoff.UNCHANGED, lifetime_s=0)
    effects = lm.receive("gw3", ended)
    assert sent(effects) == [("BindingAcknowledgement", "gw3"), ("UpdateNotification", "gw2")]
    assert one(effects, Remove).route == BindingRoute(HNP1, address("gw3"))
    assert lm.locations() == {}
    assert [row["hnp"] for row in lm.table("leases")] == [str(HNP1)], "the lease ends by itself"
