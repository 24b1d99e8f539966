"""Sessions as a mobile node reports them (`session_discovery: signalled`).

The node alone knows which sockets it has open, also those that are silent, or only listen.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from dmm_agent.functions.attachments import Report
from dmm_agent.functions.effects import Effect, Record, SendOnLink
from dmm_agent.functions.events import HeardOnLink, Observed, Used
from dmm_agent.functions.prefix import HNP_LENGTH
from dmm_agent.functions.proxy_messages import ANY_PREFIX, MAX_PREFIXES, prefixes_of
from dmm_agent.functions.session_discovery import SessionDiscovery
from dmm_agent.wire import Handoff, ReportStatus, SessionReport, SessionReportAcknowledgement

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from ipaddress import IPv6Address, IPv6Network

    from dmm_agent.functions.attachments import Attachment
    from dmm_agent.functions.base import Context
    from dmm_agent.functions.proxy_registration import Registrations
    from dmm_agent.functions.serving import Serving

HALF_THE_SEQUENCE = 0x8000


class SignalledSessions(SessionDiscovery):
    """A prefix is needed for as long as the node's newest report says so."""

    def __init__(
        self, context: Context, serving: Serving, registrations: Registrations, report_hold_s: float
    ) -> None:
        super().__init__(context, serving, registrations)
        self._report_hold_s = report_hold_s

    def noticed(self, event: Observed | Used | HeardOnLink, now: float) -> Iterator[Effect]:
        """What the node says counts; packets only show that somebody is there."""
        match event:
            case Observed(link, _, source):
                yield from self._observed(link, source)
            case HeardOnLink(_, _, _, SessionReport() as report):
                yield from self._reported(event, report, now)
            case _:
                return

    def _observed(self, link: str, source: IPv6Address) -> Iterator[Effect]:
        unknown = link not in self._serving.attachments
        if unknown and self._directory.home_of(source) is not None:
            yield self._look_who_is_there(link)

    def _reported(self, heard: HeardOnLink, report: SessionReport, now: float) -> Iterator[Effect]:
        """Take a report of the node that is on this link, and answer it."""
        here = self._serving.attachments.get(heard.link)
        if here is None or (here.link_layer, here.link_local) != (heard.link_layer, heard.source):
            yield _answer(heard, report, ReportStatus.NOT_ATTACHED)
            if here is None:
                yield self._look_who_is_there(heard.link)
            return
        hnps = prefixes_of(report)
        if len(hnps) > MAX_PREFIXES:
            yield _answer(heard, report, ReportStatus.TOO_MANY)
            return
        known = here.report
        if known is not None and now < known.until and not _is_newer(report, known):
            if report.sequence == known.sequence:
                yield _answer(heard, report, ReportStatus.ACCEPTED)
            return
        needed = frozenset(hnp for hnp in hnps if self._is_brought(hnp))
        here.report = Report(report.sequence, now + report.lifetime_s, needed)
        yield _answer(heard, report, ReportStatus.ACCEPTED)
        if known is None or known.hnps != needed:
            fields = {"link": here.link, "mn_id": here.mn_id, "hnps": sorted(map(str, needed))}
            yield Record("reported", fields)
        for hnp in needed:
            yield from self._registrations.hurry(here, hnp, now)
        yield from self.review(here, now)

    def _is_brought(self, hnp: IPv6Network) -> bool:
        """Whether it may be a prefix that another network leased to the node."""
        mobile = self._directory.home_of(hnp) is not None
        return mobile and hnp.prefixlen == HNP_LENGTH and not self._serving.is_own(hnp)

    def review(self, here: Attachment, now: float) -> Iterator[Effect]:
        """Ask for what is needed, end what is not; before the first report, wait for it."""
        if ANY_PREFIX in here.waiting() or now < self._silent_until(here):
            return
        needed = self._needed(here, now)
        for prefix in self._decided(here):
            if prefix.hnp not in needed:
                yield from self._end(here, prefix.hnp, now)
        new: list[IPv6Network] = []
        for hnp in sorted(needed):
            if here.may_ask(hnp, now, also=len(new)):
                new.append(hnp)
        if new:
            yield from self._registrations.register(here, tuple(new), Handoff.BETWEEN_MAGS, now)

    def _silent_until(self, here: Attachment) -> float:
        """Until when a node that has not reported yet may do so."""
        return -inf if here.report is not None else here.since + self._report_hold_s

    def _needed(self, here: Attachment, now: float) -> frozenset[IPv6Network]:
        report = here.report
        return report.hnps if report is not None and now < report.until else frozenset()

    def next_review_at(self, here: Attachment) -> float:
        """When the report, or the wait for it, ends; if something is left to end then."""
        if not self._decided(here):
            return inf
        return self._silent_until(here) if here.report is None else here.report.until

    def answered(
        self, here: Attachment, asked: Iterable[IPv6Network], now: float
    ) -> Iterator[Effect]:
        """The node may have said something else meanwhile."""
        del asked
        yield from self.review(here, now)


def _is_newer(report: SessionReport, known: Report) -> bool:
    """By serial number arithmetic (RFC 1982, 3.2)."""
    return 0 < (report.sequence - known.sequence) % (2 * HALF_THE_SEQUENCE) < HALF_THE_SEQUENCE


def _answer(heard: HeardOnLink, report: SessionReport, status: ReportStatus) -> SendOnLink:
    answer = SessionReportAcknowledgement(status=status, sequence=report.sequence)
    return SendOnLink(heard.link, heard.source, answer)
