"""Who relies on an answer of an LM hears that it changed, although the LM died meanwhile."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest
from steps import (
    ANSWER_S,
    BINDING_S,
    HNP1,
    LEASE_S,
    MN1,
    NOW,
    Steps,
    address,
    all_of,
    message,
    sent,
    timer,
)

from dmm_agent.functions import unheard
from dmm_agent.functions.askers import MAX_ASKERS
from dmm_agent.functions.effects import Effect, Remember, SetTimer
from dmm_agent.functions.events import Intercepted, Received
from dmm_agent.functions.notices import NOTIFICATION_PATIENCE
from dmm_agent.wire import (
    BindingRevocationAcknowledgement,
    BindingRevocationIndication,
    Timestamp,
    UpdateNotification,
    UpdateNotificationAcknowledgement,
)

NOTICE, REVOCATION = "UpdateNotification", "BindingRevocationIndication"


@pytest.fixture
def lm() -> Steps:
    """The LM of net1, where mn1 is at home at ar11."""
    steps = Steps("gw1", ["allocator", "lm"])
    steps.receive("ar11", steps.update())
    return steps


def told(effects: list[Effect], kind: str) -> list[str]:
    return [host for what, host in sent(effects) if what == kind]


def kept(lm: Steps, table: str) -> list[str]:
    return [row.key for row in lm.disk.read() if row.table == table]


class TestAnswers:
    def test_who_holds_one_is_told_of_a_move_after_the_restart(self, lm: Steps) -> None:
        lm.receive("gw2", lm.query(HNP1))
        lm.restart(after_s=1)
        assert told(lm.receive("gw3", lm.update(HNP1, after_s=1)), NOTICE) == ["gw2"]

    def test_its_holder_is_on_the_disk_before_it_leaves(self, lm: Steps) -> None:
        lm.receive("gw2", lm.query(HNP1))
        assert kept(lm, "askers") == [f"{HNP1} {address('gw2')}"]

    def test_one_that_ran_out_meanwhile_is_forgotten(self, lm: Steps) -> None:
        lm.receive("gw2", lm.query(HNP1))
        lm.restart(after_s=ANSWER_S)
        assert kept(lm, "askers") == []
        assert told(lm.receive("gw3", lm.update(HNP1, after_s=1)), NOTICE) == []

    def test_the_end_of_a_lease_is_the_end_of_them(self, lm: Steps) -> None:
        effects = lm.receive("ar11", lm.update(after_s=1))
        lm.now += LEASE_S - 10
        lm.receive("gw2", lm.query(HNP1))
        assert kept(lm, "askers") != []
        lm.fire(next(t for t in all_of(effects, SetTimer) if t.owner == "allocator"))
        assert kept(lm, "askers") == []

    def test_whose_answer_has_changed_is_on_the_disk_no_more(self, lm: Steps) -> None:
        lm.receive("gw2", lm.query(HNP1))
        lm.receive("gw3", lm.query(HNP1))
        lm.receive("gw3", lm.update(HNP1, after_s=1))
        assert kept(lm, "askers") == [f"{HNP1} {address('gw3')}"], "it hears of the next change"

    def test_so_many_are_on_the_disk_and_no_more(self, lm: Steps) -> None:
        first = int(IPv6Address("2001:db8:2::100"))
        for number in range(MAX_ASKERS + 10):
            lm(Received(IPv6Address(first + number), lm.query(HNP1)))
        assert len(kept(lm, "askers")) == MAX_ASKERS
        assert f"{HNP1} {IPv6Address(first + 9)}" not in kept(lm, "askers"), "the oldest went"

    def test_who_was_pushed_one_is_told_of_the_next_move(self) -> None:
        home = Steps("gw1", ["allocator", "lm", "mr"], mr={"resolution": "push"})
        home.receive("ar11", home.update())
        home.receive("gw3", home.update(HNP1, after_s=1))
        stranger = IPv6Address("2001:db8:2:1::10")
        assert told(home(Intercepted(stranger, HNP1[5])), NOTICE) == ["gw2"]
        home.restart(after_s=1)
        assert told(home.receive("ar11", home.update(after_s=1)), NOTICE) == ["gw2"]


class TestNotices:
    @pytest.fixture
    def owing(self, lm: Steps) -> Steps:
        """An LM whose notice to gw2 is on its way."""
        lm.receive("gw2", lm.query(HNP1))
        assert told(lm.receive("gw3", lm.update(HNP1, after_s=1)), NOTICE) == ["gw2"]
        return lm

    def test_what_nobody_acknowledged_is_said_again(self, owing: Steps) -> None:
        notice = message(owing.restart(after_s=5), UpdateNotification)
        assert notice.first(Timestamp) == Timestamp.at(owing.now), "it is true now"

    def test_and_again_until_it_is(self, owing: Steps) -> None:
        effects = owing.restart(after_s=5)
        again = message(owing.fire(timer(effects, "request")), UpdateNotification)
        owing.receive("gw2", UpdateNotificationAcknowledgement(again.sequence, 0))
        assert kept(owing, "notices") == []
        assert sent(owing.restart(after_s=1)) == []

    def test_not_what_was_given_up(self, owing: Steps) -> None:
        effects = owing.restart()
        for _ in range(NOTIFICATION_PATIENCE.attempts or 0):
            assert kept(owing, "notices") == [f"{HNP1} {address('gw2')}"]
            effects = owing.fire(timer(effects, "request"))
        assert kept(owing, "notices") == []

    def test_not_when_the_answer_has_run_out(self, owing: Steps) -> None:
        assert told(owing.restart(after_s=ANSWER_S), NOTICE) == []
        assert kept(owing, "notices") == []

    def test_an_acknowledgement_of_an_older_one_does_not_count(self, owing: Steps) -> None:
        older = message(owing.restart(), UpdateNotification)
        owing.receive("gw2", owing.query(HNP1))
        newer = message(owing.receive("ar11", owing.update(after_s=1)), UpdateNotification)
        owing.receive("gw2", UpdateNotificationAcknowledgement(older.sequence, 0))
        assert kept(owing, "notices") == [f"{HNP1} {address('gw2')}"]
        owing.receive("gw2", UpdateNotificationAcknowledgement(newer.sequence, 0))
        assert kept(owing, "notices") == []

    def test_so_many_are_remembered_and_no_more(
        self, lm: Steps, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        most = 10
        monkeypatch.setattr(unheard, "MAX_UNHEARD", most)
        fields = {"mn_id": MN1, "time_units": 1, "until_s": NOW + 60}
        first = int(IPv6Address("2001:db8:2::100"))
        peers = [IPv6Address(first + i) for i in range(most + 5)]
        lm.disk.write([Remember("lm", "notices", f"{HNP1} {p}", fields) for p in peers], NOW)
        lm.restart()
        assert len(kept(lm, "notices")) == most


class TestRevocations:
    @pytest.fixture
    def owing(self, lm: Steps) -> Steps:
        """An LM that has yet to hear that gw3 knows of a move to gw2."""
        lm.receive("gw3", lm.update(HNP1, after_s=1))
        effects = lm.receive("gw2", lm.update(HNP1, after_s=1))
        assert told(effects, REVOCATION) == ["gw3"]
        return lm

    def test_what_nobody_acknowledged_is_said_again_with_the_time_of_the_move(
        self, owing: Steps
    ) -> None:
        moved_at = owing.now
        effects = owing.restart(after_s=5)
        assert told(effects, REVOCATION) == ["gw3"]
        again = message(effects, BindingRevocationIndication)
        assert again.first(Timestamp) == Timestamp.at(moved_at)

    def test_until_it_is(self, owing: Steps) -> None:
        again = message(owing.restart(after_s=1), BindingRevocationIndication)
        owing.receive("gw3", BindingRevocationAcknowledgement(0, again.sequence, again.flags))
        assert kept(owing, "revocations") == []
        assert sent(owing.restart(after_s=1)) == []

    def test_not_when_the_revoked_has_let_go_by_itself(self, owing: Steps) -> None:
        owing.restart(after_s=BINDING_S)
        assert kept(owing, "revocations") == []
