"""How an LM answers "where is this prefix?", and who hears that an answer no longer holds."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

import pytest
from steps import ANSWER_S, HNP1, LEASE_S, Steps, address, all_of, message, sent, timer

from dmm_agent.functions.askers import MAX_ASKERS
from dmm_agent.functions.effects import Effect, Send
from dmm_agent.functions.events import Received, TimerFired
from dmm_agent.functions.queries import NEGATIVE_LIFETIME_S
from dmm_agent.wire import (
    AnswerStatus,
    HomeNetworkPrefix,
    LmaAddress,
    LocationAnswer,
    LocationQuery,
    MagAddress,
    UpdateNotification,
    UpdateNotificationAcknowledgement,
    UpdateNotificationFlag,
    UpdateReason,
)


@pytest.fixture
def lm() -> Steps:
    """The LM of net1; mn1 is at home at ar11."""
    steps = Steps("gw1", ["allocator", "lm"])
    steps.receive("ar11", steps.update())
    return steps


def asked(lm: Steps, prefix: IPv6Network | str, by: str = "gw2") -> LocationAnswer:
    return message(lm.receive(by, lm.query(prefix)), LocationAnswer)


def said(answer: LocationAnswer) -> tuple[AnswerStatus, str, str | None]:
    """Status, the prefix it is about, and the location."""
    prefix, location = answer.first(HomeNetworkPrefix), answer.first(MagAddress)
    assert prefix is not None
    return answer.status, str(prefix.prefix), str(location.address) if location else None


def notified(effects: list[Effect]) -> list[str]:
    return [host for kind, host in sent(effects) if kind == "UpdateNotification"]


GW1, GW3 = str(address("gw1")), str(address("gw3"))


def test_away(lm: Steps) -> None:
    lm.receive("gw3", lm.update(HNP1, after_s=1))
    answer = asked(lm, HNP1)
    assert said(answer) == (AnswerStatus.AWAY, str(HNP1), GW3)
    assert (answer.sequence, answer.lifetime_s) == (9, ANSWER_S)


def test_home(lm: Steps) -> None:
    assert said(asked(lm, HNP1)) == (AnswerStatus.HOME, str(HNP1), GW1)


def test_at_another_access_router_of_its_network_is_home_too(lm: Steps) -> None:
    """Where inside a network a node is, is that network's own business."""
    lm.receive("ar12", lm.update(after_s=1))
    assert said(asked(lm, HNP1)) == (AnswerStatus.HOME, str(HNP1), GW1)


def test_fixed(lm: Steps) -> None:
    """The answer is good for all of the network that cannot move."""
    answer = asked(lm, "2001:db8:1:12::/64")
    assert said(answer) == (AnswerStatus.FIXED, "2001:db8:1::/49", GW1)


def test_unknown(lm: Steps) -> None:
    answer = asked(lm, "2001:db8:1:8107::/64")
    assert said(answer) == (AnswerStatus.UNKNOWN, "2001:db8:1:8107::/64", None)
    assert answer.lifetime_s == NEGATIVE_LIFETIME_S


@pytest.mark.parametrize(
    ("prefix", "served_by"),
    [("2001:db8:2:8100::/64", "gw2"), ("2001:db8:77::/64", None), ("::/0", None)],
)
def test_what_another_serves_is_referred_to_it(
    lm: Steps, prefix: str, served_by: str | None
) -> None:
    answer = asked(lm, prefix)
    assert said(answer) == (AnswerStatus.NOT_SERVED, prefix, None)
    assert answer.first(LmaAddress) == (LmaAddress(address(served_by)) if served_by else None)
    assert answer.lifetime_s == NEGATIVE_LIFETIME_S


def test_an_address_is_answered_by_its_prefix(lm: Steps) -> None:
    assert said(asked(lm, "2001:db8:1:8100::5/128"))[1] == str(HNP1)


def test_no_answer_holds_for_longer_than_its_binding(lm: Steps) -> None:
    lm.receive("gw3", lm.update(HNP1, after_s=1))
    lm.now += 50.5
    assert asked(lm, HNP1).lifetime_s == 9


def test_no_answer_holds_for_longer_than_its_lease(lm: Steps) -> None:
    lm.now += LEASE_S - 3.5
    assert asked(lm, HNP1).lifetime_s == 3
    lm.now += 3
    assert asked(lm, HNP1).status == AnswerStatus.UNKNOWN


def test_a_query_that_names_no_prefix_gets_no_answer(lm: Steps) -> None:
    assert lm.receive("gw2", LocationQuery(sequence=1)) == []


@pytest.mark.parametrize("source", ["2001:db8:2:8100::1", "2001:db8:77::1"])
def test_only_routers_are_answered(lm: Steps, source: str) -> None:
    """Where a node is, is nobody else's business."""
    effects = lm(Received(IPv6Address(source), lm.query(HNP1)))
    assert all_of(effects, Send) == []


def test_who_holds_an_answer_is_told_when_it_changes(lm: Steps) -> None:
    asked(lm, HNP1, by="gw2")
    effects = lm.receive("gw3", lm.update(HNP1, after_s=1))
    assert notified(effects) == ["gw2"]
    notice = message(effects, UpdateNotification)
    assert notice.reason == UpdateReason.FORCE_REREGISTRATION
    assert notice.flags == UpdateNotificationFlag.ACKNOWLEDGE
    assert notice.first(HomeNetworkPrefix) == HomeNetworkPrefix(HNP1)


def test_who_serves_the_node_now_knows_already(lm: Steps) -> None:
    asked(lm, HNP1, by="gw2")
    asked(lm, HNP1, by="gw3")
    assert notified(lm.receive("gw3", lm.update(HNP1, after_s=1))) == ["gw2"]


def test_but_it_hears_of_the_next_change(lm: Steps) -> None:
    asked(lm, HNP1, by="gw2")
    lm.receive("gw2", lm.update(HNP1, after_s=1))
    lm.receive("gw2", lm.update(HNP1, lifetime_s=0, after_s=1))
    effects = lm(TimerFired("lm", ("expiry", HNP1)), after_s=10)
    assert notified(effects) == ["gw2"]


def test_who_is_revoked_knows_by_that(lm: Steps) -> None:
    asked(lm, HNP1, by="gw2")
    lm.receive("gw2", lm.update(HNP1, after_s=1))
    effects = lm.receive("gw3", lm.update(HNP1, after_s=1))
    assert notified(effects) == []
    assert ("BindingRevocationIndication", "gw2") in sent(effects)


def test_who_never_asked_is_not_told(lm: Steps) -> None:
    assert notified(lm.receive("gw3", lm.update(HNP1, after_s=1))) == []


def test_whose_answer_has_run_out_is_not_told(lm: Steps) -> None:
    asked(lm, HNP1, by="gw2")
    assert notified(lm.receive("gw3", lm.update(HNP1, after_s=ANSWER_S + 1))) == []


def test_who_was_told_is_not_told_again_unless_it_asks_again(lm: Steps) -> None:
    asked(lm, HNP1, by="gw2")
    lm.receive("gw3", lm.update(HNP1, after_s=1))
    assert notified(lm.receive("ar11", lm.update(after_s=1))) == []


def test_a_move_inside_the_home_network_is_nobody_elses_business(lm: Steps) -> None:
    asked(lm, HNP1, by="gw2")
    assert notified(lm.receive("ar12", lm.update(after_s=1))) == []


def test_of_an_entry_that_ends_its_holders_hear(lm: Steps) -> None:
    lm.receive("gw3", lm.update(HNP1, after_s=1))
    asked(lm, HNP1, by="gw2")
    leaving = lm.receive("gw3", lm.update(HNP1, lifetime_s=0, after_s=1))
    assert notified(lm.fire(timer(leaving, "expiry"))) == ["gw2"]


def test_a_negative_answer_makes_nobody_a_holder(lm: Steps) -> None:
    asked(lm, "2001:db8:1:8107::/64", by="gw2")
    asked(lm, "2001:db8:1:12::/64", by="gw2")
    assert notified(lm.receive("gw3", lm.update(HNP1, after_s=1))) == []


def test_a_notice_is_repeated_until_it_is_acknowledged(lm: Steps) -> None:
    asked(lm, HNP1, by="gw2")
    effects = lm.receive("gw3", lm.update(HNP1, after_s=1))
    first = message(effects, UpdateNotification)
    effects = lm.fire(timer(effects, "request"))
    again = message(effects, UpdateNotification)
    assert again.sequence == first.sequence
    assert again.flags == first.flags | UpdateNotificationFlag.RETRANSMISSION
    lm.receive("gw2", UpdateNotificationAcknowledgement(first.sequence, 0))
    assert lm.fire(timer(effects, "request")) == []


def test_the_holders_of_one_answer_are_bounded(lm: Steps) -> None:
    first = int(IPv6Address("2001:db8:2::100"))
    for number in range(MAX_ASKERS + 10):
        lm(Received(IPv6Address(first + number), lm.query(HNP1)))
    effects = lm.receive("gw3", lm.update(HNP1, after_s=1))
    notices = [e for e in all_of(effects, Send) if isinstance(e.message, UpdateNotification)]
    assert len(notices) == MAX_ASKERS
    assert notices[-1].destination == IPv6Address(first + MAX_ASKERS + 9)
