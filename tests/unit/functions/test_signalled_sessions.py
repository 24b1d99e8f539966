"""What a node brought along is registered while its reports name it (`signalled`)."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

import pytest
from access_router import INTERVAL_S, LINK_LOCAL, Ar
from steps import (
    HNP1,
    HNP3,
    MN1_MAC,
    MN2_MAC,
    all_of,
    attached,
    link_local,
    message,
    one,
    prefixes,
    sent,
    timer,
    updates,
)

from dmm_agent.functions.effects import Delivery, Effect, Probe, Remove, SendOnLink
from dmm_agent.functions.events import (
    Detached,
    HeardOnLink,
    Interception,
    ProbeAnswered,
    TimerFired,
    Used,
)
from dmm_agent.functions.proxy_messages import MAX_PREFIXES
from dmm_agent.functions.session_discovery import ALL_NODES
from dmm_agent.wire import (
    BindingStatus,
    BindingUpdate,
    Handoff,
    HandoffIndicator,
    HomeNetworkPrefix,
    ReportStatus,
    SessionReport,
    SessionReportAcknowledgement,
)

HNP2 = IPv6Network("2001:db8:2:8100::/64")
HOLD_S = 15
REPORT_S = 10
TICK = TimerFired("proxy", ("tick", "mn1"))


class SignalledAr(Ar):
    """The proxy of an access router that believes what nodes report."""

    def __init__(self) -> None:
        super().__init__(session_discovery="signalled", report_hold_s=HOLD_S)
        self.sequence = 0xFFFE

    def report(
        self,
        *hnps: IPv6Network,
        mac: str = MN1_MAC,
        source: IPv6Address = LINK_LOCAL,
        sequence: int | None = None,
        after_s: float = 0.1,
    ) -> list[Effect]:
        """The node reports prefixes as used."""
        if sequence is None:
            sequence = self.sequence = (self.sequence + 1) % 0x10000
        options = tuple(HomeNetworkPrefix(hnp) for hnp in hnps)
        report = SessionReport(sequence=sequence, lifetime_s=REPORT_S, options=options)
        return self(HeardOnLink("mn1", mac, source, report), after_s)

    def granted(self, *hnps: IPv6Network) -> list[Effect]:
        """The node reports prefixes, and the LM grants them."""
        return self.lm_answers(message(self.report(*hnps), BindingUpdate))


@pytest.fixture
def ar() -> SignalledAr:
    """With a node on its link."""
    ar = SignalledAr()
    ar.attach()
    return ar


def said(effects: list[Effect]) -> ReportStatus:
    answer = one(effects, SendOnLink)
    assert (answer.link, answer.link_local) == ("mn1", LINK_LOCAL)
    assert isinstance(answer.message, SessionReportAcknowledgement)
    return answer.message.status


def ended(effects: list[Effect]) -> list[list[IPv6Network]]:
    return [prefixes(update) for update in updates(effects) if update.lifetime_s == 0]


def test_what_a_report_names_is_registered_and_the_report_answered(ar: SignalledAr) -> None:
    effects = ar.report(HNP1, HNP2)
    assert said(effects) == ReportStatus.ACCEPTED
    update = message(effects, BindingUpdate)
    assert prefixes(update) == [HNP1, HNP2]
    assert update.first(HandoffIndicator) == HandoffIndicator(Handoff.BETWEEN_MAGS)
    ar.lm_answers(update)
    assert ar.served() == [str(HNP3), str(HNP1), str(HNP2)]


def test_what_it_names_no_longer_is_given_up_at_once(ar: SignalledAr) -> None:
    ar.granted(HNP1, HNP2)
    effects = ar.report(HNP2)
    assert ended(effects) == [[HNP1]]
    assert one(effects, Remove).route == Delivery(HNP1, "mn1", LINK_LOCAL)
    assert ar.served() == [str(HNP3), str(HNP2)]


def test_a_node_that_reports_again_and_again_keeps_what_it_names(ar: SignalledAr) -> None:
    ar.granted(HNP1)
    for _ in range(20):
        assert sent(ar.report(HNP1, after_s=REPORT_S / 2)) == []
        for refresh in updates(ar(ProbeAnswered("mn1", MN1_MAC))):
            ar.lm_answers(refresh)
        assert ended(ar(TICK)) == []
    assert ar.served() == [str(HNP3), str(HNP1)]


def test_a_node_that_stops_reporting_has_no_sessions_once_its_report_has_ended(
    ar: SignalledAr,
) -> None:
    ar.granted(HNP1)
    reported_at = ar.now
    wakes = timer(ar(TICK, after_s=INTERVAL_S), "tick")
    assert ended(ar.fire(wakes)) == [[HNP1]]
    assert ar.now == reported_at + REPORT_S


def test_what_is_merely_observed_is_not_registered(ar: SignalledAr) -> None:
    """Another function of the network's would have to be told of it, too."""
    assert sent(ar.observe(HNP1)) == []
    assert Interception.BROUGHT_ALONG not in ar.node.intercepts


def test_packets_keep_nothing_that_the_report_does_not_name(ar: SignalledAr) -> None:
    ar.granted(HNP1)
    ar(Used(HNP1))
    assert ended(ar.report()) == [[HNP1]]


def test_what_the_network_knew_waits_for_the_first_report() -> None:
    """After a move inside the network, which its LM tells with its first answer."""
    ar = SignalledAr()
    ar.attach(HNP3, HNP1)
    assert ended(ar(TICK, after_s=INTERVAL_S)) == []
    assert sent(ar.report(HNP1)) == []
    assert ended(ar.report()) == [[HNP1]]


def test_but_not_for_ever() -> None:
    ar = SignalledAr()
    ar.attach(HNP3, HNP1)
    assert ended(ar(TICK, after_s=HOLD_S)) == [[HNP1]]


def test_a_report_before_the_lms_first_answer_waits_for_it() -> None:
    """The LM may know of the prefix and grant it unasked."""
    ar = SignalledAr()
    asked = message(ar(attached()), BindingUpdate)
    effects = ar.report(HNP1, HNP2)
    assert (said(effects), sent(effects)) == (ReportStatus.ACCEPTED, [])
    effects = ar.lm_answers(asked, HNP3, HNP1)
    assert [prefixes(update) for update in updates(effects)] == [[HNP2]]


def test_what_is_needed_no_longer_when_it_is_granted_is_given_up(ar: SignalledAr) -> None:
    asked = message(ar.report(HNP1), BindingUpdate)
    assert ended(ar.report()) == [], "the next copy of the question would register it again"
    assert ended(ar.lm_answers(asked)) == [[HNP1]]


@pytest.mark.parametrize(
    "hnp",
    [
        IPv6Network("2001:db8:1:1::/64"),
        IPv6Network("3fff::/64"),
        IPv6Network("2001:db8:1:8000::/49"),
        IPv6Network("2001:db8:1:8100::5/128"),
        HNP3,
    ],
)
def test_only_other_networks_mobile_prefixes_are_registered(
    ar: SignalledAr, hnp: IPv6Network
) -> None:
    effects = ar.report(hnp)
    assert (said(effects), sent(effects)) == (ReportStatus.ACCEPTED, [])


@pytest.mark.parametrize(("mac", "source"), [(MN2_MAC, LINK_LOCAL), (MN1_MAC, link_local(MN2_MAC))])
def test_only_the_node_on_the_link_is_believed(
    ar: SignalledAr, mac: str, source: IPv6Address
) -> None:
    effects = ar.report(HNP1, mac=mac, source=source)
    (answer,) = all_of(effects, SendOnLink)
    assert answer.message == SessionReportAcknowledgement(ReportStatus.NOT_ATTACHED, ar.sequence)
    assert sent(effects) == []


def test_a_report_of_somebody_unknown_makes_it_look_who_is_there() -> None:
    ar = SignalledAr()
    effects = ar.report(HNP1)
    assert said(effects) == ReportStatus.NOT_ATTACHED
    assert one(effects, Probe) == Probe("mn1", ALL_NODES)


def test_of_a_report_with_too_many_prefixes_nothing_is_taken(ar: SignalledAr) -> None:
    ar.granted(HNP1)
    many = list(IPv6Network("2001:db8:1:8000::/56").subnets(new_prefix=64))[: MAX_PREFIXES + 1]
    effects = ar.report(*many)
    assert (said(effects), sent(effects)) == (ReportStatus.TOO_MANY, [])
    assert ar.served() == [str(HNP3), str(HNP1)]


def test_whatever_it_reports_no_more_is_asked_for_than_is_served(ar: SignalledAr) -> None:
    many = list(IPv6Network("2001:db8:1:8000::/56").subnets(new_prefix=64))[:MAX_PREFIXES]
    assert len(prefixes(message(ar.report(*many), BindingUpdate))) == MAX_PREFIXES - 1
    assert updates(ar.report(*many)) == [], "one of them is its own"


def test_a_copy_is_answered_and_changes_nothing(ar: SignalledAr) -> None:
    ar.granted(HNP1)
    effects = ar.report(sequence=ar.sequence)
    assert (said(effects), sent(effects)) == (ReportStatus.ACCEPTED, [])
    assert ar.served() == [str(HNP3), str(HNP1)]


def test_an_overtaken_report_is_ignored(ar: SignalledAr) -> None:
    before = ar.sequence
    ar.granted(HNP1)
    assert ar.report(sequence=before) == []
    assert ar.served() == [str(HNP3), str(HNP1)]


def test_after_its_time_any_sequence_is_new_because_a_node_may_have_started_anew(
    ar: SignalledAr,
) -> None:
    before = ar.sequence
    ar.granted(HNP1)
    assert said(ar.report(HNP1, sequence=before, after_s=REPORT_S + 1)) == ReportStatus.ACCEPTED


def test_so_it_is_after_the_node_has_been_away(ar: SignalledAr) -> None:
    before = ar.sequence
    ar.granted(HNP1)
    ar(Detached("mn1"))
    ar.attach()
    assert sent(ar.report(HNP1, sequence=before)) == [("BindingUpdate", "gw3")]


def test_a_refused_prefix_is_asked_for_again_after_a_while_if_it_is_still_needed(
    ar: SignalledAr,
) -> None:
    asked = message(ar.report(HNP1), BindingUpdate)
    ar.lm_answers(asked, status=BindingStatus.REASON_UNSPECIFIED, lifetime_s=0)
    assert sent(ar.report(HNP1, after_s=4)) == []
    assert sent(ar.report(HNP1, after_s=2)) == [("BindingUpdate", "gw3")]
