"""The LM of a network that a node visits: it stands in for the node at the home LM (draft, 6)."""

from __future__ import annotations

from ipaddress import IPv6Network
from typing import TYPE_CHECKING, Any

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
    prefixes,
    revocation,
    sent,
    timer,
    updates,
    verdict,
)

from dmm_agent.functions.effects import BindingRoute, Install, Remove, VisitorRoute
from dmm_agent.functions.proxy_messages import LONGEST_LIFETIME_S, acknowledge
from dmm_agent.wire import (
    BindingAcknowledgement,
    BindingRevocationAcknowledgement,
    BindingStatus,
    BindingUpdate,
    Handoff,
    HandoffIndicator,
    RevocationFlag,
    RevocationStatus,
    Timestamp,
)

if TYPE_CHECKING:
    from dmm_agent.functions.effects import Effect


class Visited(Steps):
    """The LM of net3 with the MR beside it, and a home LM that answers as it is told."""

    def __init__(self) -> None:
        super().__init__("gw3", ["allocator", "lm", "mr"])

    def home_answers(
        self, asked: BindingUpdate, after_s: float = 0.1, sender: str = "gw1", **changes: Any
    ) -> list[Effect]:
        self.now += after_s
        usual: dict[str, Any] = {"status": 0, "lifetime_s": BINDING_S, "hnps": prefixes(asked)}
        return self.receive(sender, acknowledge(asked, now=self.now, **usual | changes))

    def visit(self, access_router: str = "ar31", hnp: IPv6Network = HNP1) -> list[Effect]:
        """A prefix of net1 arrives, and the home LM agrees."""
        asked = message(self.receive(access_router, self.update(hnp)), BindingUpdate)
        return self.home_answers(asked)


@pytest.fixture
def lm() -> Visited:
    return Visited()


def test_a_new_visitor_waits_for_the_home_lm(lm: Visited) -> None:
    update = lm.update(HNP1)
    effects = lm.receive("ar31", update)
    assert sent(effects) == [("BindingUpdate", "gw1")]
    asked = message(effects, BindingUpdate)
    assert asked.lifetime_s == LONGEST_LIFETIME_S, "the home LM decides"
    assert asked.first(Timestamp) == update.first(Timestamp), "one order of updates everywhere"
    assert lm.locations() == {}


def test_when_the_home_lm_agrees_the_visitor_is_tracked_and_the_access_router_told(
    lm: Visited,
) -> None:
    effects = lm.visit("ar31")
    assert sent(effects) == [("BindingAcknowledgement", "ar31")]
    assert verdict(effects) == (BindingStatus.ACCEPTED, BINDING_S, [HNP1])
    assert [effect.route for effect in all_of(effects, Install)] == [
        BindingRoute(HNP1, address("ar31")),
        VisitorRoute(HNP1, address("gw1")),
    ]
    assert lm.locations() == {str(HNP1): "ar31"}


def test_what_the_home_lm_refuses_is_refused_here(lm: Visited) -> None:
    asked = message(lm.receive("ar31", lm.update(HNP1)), BindingUpdate)
    status = BindingStatus.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX
    effects = lm.home_answers(asked, status=status, lifetime_s=0)
    assert verdict(effects) == (status, 0, [HNP1])
    assert lm.locations() == {}


def test_prefixes_of_two_networks_wait_for_both_home_lms(lm: Visited) -> None:
    hnp2 = IPv6Network("2001:db8:2:8100::/64")
    effects = lm.receive("ar31", lm.update(HNP1, hnp2))
    assert sent(effects) == [("BindingUpdate", "gw1"), ("BindingUpdate", "gw2")]
    first, second = updates(effects)
    assert sent(lm.home_answers(first)) == []
    effects = lm.home_answers(second, sender="gw2", lifetime_s=20)
    assert verdict(effects) == (BindingStatus.ACCEPTED, 20, [HNP1, hnp2]), "the shorter lifetime"


def test_only_the_home_lm_can_answer_for_it(lm: Visited) -> None:
    asked = message(lm.receive("ar31", lm.update(HNP1)), BindingUpdate)
    assert lm.home_answers(asked, sender="gw2") == []
    assert lm.locations() == {}


def test_a_move_inside_the_network_moves_all_prefixes_and_the_home_lm_hears_nothing(
    lm: Visited,
) -> None:
    """The hierarchy's whole point (draft, 6)."""
    lm.receive("ar31", lm.update())
    lm.visit("ar31")
    effects = lm.receive("ar32", lm.update(after_s=5))
    assert sent(effects) == [("BindingAcknowledgement", "ar32")]
    assert verdict(effects)[2] == [HNP3, HNP1]
    assert lm.locations() == {str(HNP1): "ar32", str(HNP3): "ar32"}


def test_the_home_lm_is_asked_again_before_its_time_is_up(lm: Visited) -> None:
    lm.visit("ar31")
    effects = lm.receive("ar31", lm.refresh(HNP1, after_s=BINDING_S / 2))
    assert sent(effects) == [("BindingUpdate", "gw1"), ("BindingAcknowledgement", "ar31")]
    assert verdict(effects)[1] <= BINDING_S / 2, "no longer than the home LM is known to agree"
    effects = lm.home_answers(message(effects, BindingUpdate))
    assert lm.table("bindings")[0]["remaining_s"] > BINDING_S / 2 + 1


def test_a_move_inside_the_network_is_not_told_at_home_unless_it_cannot_wait(lm: Visited) -> None:
    lm.visit("ar31")
    early = lm.receive("ar32", lm.update(HNP1, after_s=BINDING_S / 2))
    assert sent(early) == [("BindingAcknowledgement", "ar32")]
    late = lm.receive("ar31", lm.update(HNP1, after_s=BINDING_S / 3))
    assert ("BindingUpdate", "gw1") in sent(late)


def test_an_agreement_counts_from_when_it_was_asked_for(lm: Visited) -> None:
    """So nothing here outlives what the home LM remembers, however late its answer is."""
    asked_at = lm.now
    asked = message(lm.receive("ar31", lm.update(HNP1)), BindingUpdate)
    effects = lm.home_answers(asked, after_s=3)
    assert timer(effects, "expiry").at_s == asked_at + BINDING_S


def test_with_its_time_all_but_up_the_home_lm_is_asked_first(lm: Visited) -> None:
    lm.visit("ar31")
    lm.now += BINDING_S - 3
    assert sent(lm.receive("ar31", lm.update(HNP1))) == [("BindingUpdate", "gw1")]


@pytest.mark.parametrize(
    ("status", "is_kept"),
    [
        pytest.param(BindingStatus.TIMESTAMP_MISMATCH, True, id="that copy came too late"),
        pytest.param(
            BindingStatus.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX, False, id="not its prefix"
        ),
        pytest.param(
            BindingStatus.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED, False, id="another place is newer"
        ),
    ],
)
def test_a_refused_refresh_ends_the_entry_unless_only_the_copy_was_late(
    lm: Visited, *, status: int, is_kept: bool
) -> None:
    lm.visit("ar31")
    refresh = message(lm.receive("ar31", lm.refresh(HNP1, after_s=30)), BindingUpdate)
    lm.home_answers(refresh, status=status, lifetime_s=0)
    assert bool(lm.locations()) is is_kept


def test_a_refused_copy_that_was_overtaken_ends_nothing(lm: Visited) -> None:
    lm.visit("ar31")
    overtaken = message(lm.receive("ar31", lm.refresh(HNP1, after_s=30)), BindingUpdate)
    lm.receive("ar31", lm.update(HNP1, after_s=1))
    status = BindingStatus.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED
    lm.home_answers(overtaken, status=status, lifetime_s=0)
    assert lm.locations() == {str(HNP1): "ar31"}


def test_an_entry_that_nobody_refreshes_ends_and_the_home_lm_is_told(lm: Visited) -> None:
    lm.visit("ar31")
    leaving = lm.receive("ar31", lm.update(HNP1, lifetime_s=0, after_s=1))
    effects = lm.fire(timer(leaving, "expiry"))
    told = message(effects, BindingUpdate)
    assert (told.lifetime_s, prefixes(told)) == (0, [HNP1])
    assert [type(e.route) for e in all_of(effects, Remove)] == [BindingRoute, VisitorRoute]


def test_a_node_that_left_before_the_home_lm_answered_gets_no_entry(lm: Visited) -> None:
    asked = message(lm.receive("ar31", lm.update(HNP1)), BindingUpdate)
    lm.receive("ar31", lm.update(HNP1, lifetime_s=0, after_s=0.05))
    assert lm.home_answers(asked) == []
    assert lm.locations() == {}


def test_an_answer_that_comes_after_the_node_moved_on_inside_is_no_news(lm: Visited) -> None:
    first = message(lm.receive("ar31", lm.update(HNP1)), BindingUpdate)
    second = message(lm.receive("ar32", lm.update(HNP1, after_s=0.05)), BindingUpdate)
    lm.home_answers(second)
    effects = lm.home_answers(first)
    assert verdict(effects)[0] == BindingStatus.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED
    assert lm.locations() == {str(HNP1): "ar32"}


def test_another_nodes_claim_to_a_visiting_prefix_is_refused_at_once(lm: Visited) -> None:
    lm.visit("ar31")
    effects = lm.receive("ar32", lm.update(HNP1, mn_id=MN2, after_s=1))
    assert sent(effects) == [("BindingAcknowledgement", "ar32")]
    assert verdict(effects)[0] == BindingStatus.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX


def test_the_home_lm_can_revoke_a_visitor(lm: Visited) -> None:
    lm.visit("ar31")
    effects = lm.receive("gw1", revocation(lm.now + 1), after_s=1)
    answer = message(effects, BindingRevocationAcknowledgement)
    assert (answer.status, answer.sequence) == (RevocationStatus.SUCCESS, 3)
    assert answer.flags == RevocationFlag.PROXY
    assert prefixes(answer) == [HNP1]
    assert lm.locations() == {}


def test_a_revocation_that_the_nodes_return_has_overtaken_is_refused(lm: Visited) -> None:
    lm.visit("ar31")
    lm.receive("ar31", lm.update(HNP1, after_s=5))
    effects = lm.receive("gw1", revocation(lm.now - 1))
    answer = message(effects, BindingRevocationAcknowledgement)
    assert answer.status == RevocationStatus.REVOCATION_FAILED_MN_IS_ATTACHED
    assert answer.first(Timestamp) == Timestamp.at(lm.now), "when it came"
    assert lm.locations() == {str(HNP1): "ar31"}


def test_a_node_that_has_left_is_let_go_however_late_its_old_access_router_noticed(
    lm: Visited,
) -> None:
    """The link's loss is noticed after the node has come home, and bears the newer time."""
    lm.visit("ar31")
    came_home = lm.now + 1
    lm.receive("ar31", lm.update(HNP1, lifetime_s=0, after_s=1.01))
    effects = lm.receive("gw1", revocation(came_home))
    answer = message(effects, BindingRevocationAcknowledgement)
    assert answer.status == RevocationStatus.SUCCESS
    assert lm.locations() == {}


def test_a_revocation_that_overtook_the_acceptance_has_the_last_word(lm: Visited) -> None:
    asked = message(lm.receive("ar31", lm.update(HNP1)), BindingUpdate)
    lm.receive("gw1", revocation(lm.now + 0.05), after_s=0.1)
    effects = lm.home_answers(asked)
    assert verdict(effects)[0] == BindingStatus.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED
    assert lm.locations() == {}


def test_a_revocation_of_what_is_not_here_is_answered_so(lm: Visited) -> None:
    answer = message(lm.receive("gw1", revocation(lm.now)), BindingRevocationAcknowledgement)
    assert answer.status == RevocationStatus.BINDING_DOES_NOT_EXIST


def test_only_the_home_lm_can_revoke(lm: Visited) -> None:
    lm.visit("ar31")
    effects = lm.receive("gw2", revocation(lm.now + 1), after_s=1)
    answer = message(effects, BindingRevocationAcknowledgement)
    assert answer.status == RevocationStatus.BINDING_DOES_NOT_EXIST
    assert lm.locations() == {str(HNP1): "ar31"}


def test_the_access_router_learns_no_longer_lifetime_than_the_home_lm_gave(lm: Visited) -> None:
    asked = message(lm.receive("ar31", lm.update(HNP1)), BindingUpdate)
    effects = lm.home_answers(asked, lifetime_s=8)
    assert verdict(effects) == (BindingStatus.ACCEPTED, 8, [HNP1])


def test_nor_a_longer_one_than_is_usual_here(lm: Visited) -> None:
    asked = message(lm.receive("ar31", lm.update(HNP1)), BindingUpdate)
    effects = lm.home_answers(asked, lifetime_s=LONGEST_LIFETIME_S)
    assert verdict(effects) == (BindingStatus.ACCEPTED, BINDING_S, [HNP1])


def test_its_own_lease_goes_on_beside_the_visiting_prefix(lm: Visited) -> None:
    """New sessions use this network's prefix (draft, 5), and for that no entry is needed."""
    assert verdict(lm.receive("ar31", lm.update())) == (0, LEASE_S, [HNP3])
    lm.visit("ar31")
    assert lm.locations() == {str(HNP1): "ar31"}


def test_an_acceptance_without_lifetime_is_none(lm: Visited) -> None:
    asked = message(lm.receive("ar31", lm.update(HNP1)), BindingUpdate)
    effects = lm.home_answers(asked, lifetime_s=0)
    assert all_of(effects, BindingAcknowledgement) == []
    assert lm.locations() == {}


def ended(lm: Steps, *hnps: IPv6Network, after_s: float = 1.0) -> BindingUpdate:
    """Let time pass, then say that a node stays, but needs prefixes no longer."""
    return lm.update(*hnps, after_s=after_s, handoff=Handoff.UNCHANGED, lifetime_s=0)


def test_when_sessions_end_the_visitor_is_forgotten_at_once_and_its_home_lm_told(
    lm: Visited,
) -> None:
    lm.visit("ar31")
    update = ended(lm, HNP1)
    effects = lm.receive("ar31", update)
    assert sent(effects) == [("BindingUpdate", "gw1")]
    passed_on = message(effects, BindingUpdate)
    assert (passed_on.lifetime_s, prefixes(passed_on)) == (0, [HNP1])
    assert passed_on.first(HandoffIndicator) == HandoffIndicator(Handoff.UNCHANGED)
    assert passed_on.first(Timestamp) == update.first(Timestamp), "one order of updates everywhere"
    assert {effect.route for effect in all_of(effects, Remove)} == {
        BindingRoute(HNP1, address("ar31")),
        VisitorRoute(HNP1, address("gw1")),
    }
    assert lm.locations() == {}


def test_the_access_router_is_answered_once_the_home_lm_has_heard_of_the_end(lm: Visited) -> None:
    lm.visit("ar31")
    passed_on = message(lm.receive("ar31", ended(lm, HNP1)), BindingUpdate)
    again = message(lm.receive("ar31", ended(lm, HNP1)), BindingUpdate)
    assert again.sequence != passed_on.sequence, "each copy is passed on"
    assert sent(lm.home_answers(again, lifetime_s=0, sender="gw2")) == []
    assert verdict(lm.home_answers(again, lifetime_s=0)) == (BindingStatus.ACCEPTED, 0, [HNP1])


def test_an_end_that_the_home_lm_refuses_is_for_the_access_router_to_repeat(lm: Visited) -> None:
    lm.visit("ar31")
    passed_on = message(lm.receive("ar31", ended(lm, HNP1)), BindingUpdate)
    status = BindingStatus.TIMESTAMP_MISMATCH
    assert lm.home_answers(passed_on, lifetime_s=0, status=status) == []


def test_an_end_from_where_the_node_is_no_longer_changes_nothing(lm: Visited) -> None:
    lm.visit("ar31")
    lm.receive("ar32", lm.update(HNP1, after_s=1))
    effects = lm.receive("ar31", ended(lm, HNP1))
    assert sent(effects) == [("BindingAcknowledgement", "ar31")]
    assert lm.locations() == {str(HNP1): "ar32"}


def test_an_end_that_comes_after_a_newer_registration_changes_nothing(lm: Visited) -> None:
    lm.visit("ar31")
    late = ended(lm, HNP1)
    lm.receive("ar31", lm.update(HNP1, after_s=0.1))
    assert sent(lm.receive("ar31", late)) == [("BindingAcknowledgement", "ar31")]
    assert lm.locations() == {str(HNP1): "ar31"}
