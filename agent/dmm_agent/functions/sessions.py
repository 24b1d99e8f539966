"""Sessions at a mobile node: says to its access router which of its prefixes they use.

So the network gives mobility support where a session needs it, as long as it needs it, and nowhere
else (draft, 4.4 and 5; `session_discovery: signalled`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from dmm_agent.functions.base import Context, Function, Options
from dmm_agent.functions.effects import (
    ACCESS_ROUTER_LINK_LOCAL,
    CancelTimer,
    Effect,
    KeepAddress,
    Record,
    SetTimer,
)
from dmm_agent.functions.events import (
    Addressed,
    Event,
    HeardOnLink,
    LinkUp,
    OwnAddress,
    PrefixesAdvertised,
    SocketsInUse,
    TimerFired,
)
from dmm_agent.functions.prefix import hnp_of
from dmm_agent.functions.proxy_messages import MAX_PREFIXES
from dmm_agent.functions.replacement import Replacement
from dmm_agent.functions.requests import Patience, Requests
from dmm_agent.wire import (
    HomeNetworkPrefix,
    ReportStatus,
    SessionReport,
    SessionReportAcknowledgement,
)

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping
    from ipaddress import IPv6Address, IPv6Network

REPORT_PATIENCE = Patience(attempts=8, first_wait_s=0.1, longest_wait_s=1.6)
"""The access router is one hop away, and a copy that is lost in a handover delays sessions."""
REPORTS_A_SECOND = 4
"""More than any node makes in the long run."""
REPORT, REFRESH, REPLACED = "report", "refresh", "replaced"


class SessionsOptions(Options):
    """Options of `sessions`."""

    report_interval_s: float = Field(3.0, gt=0, le=3600, description="seconds, up to an hour")
    """Pause between reports that say nothing new, while a session needs its prefix."""
    reports_missed: int = Field(4, ge=2, le=100, description="a number from 2 to 100")
    """A report holds for so many intervals: that many in a row may be lost."""
    graceful_replacement_s: float = Field(30.0, ge=0, le=3600, description="seconds, up to an hour")
    """How long a deprecated address is kept for sockets that asked for no more (RFC 8653, 3.2)."""


class Sessions(Function[SessionsOptions]):
    """Reports prefixes in use: at once when they change or the link does, then again and again."""

    name: ClassVar[str] = "sessions"
    options_class: ClassVar[type[Options]] = SessionsOptions
    runs_on: ClassVar[Literal["router", "mobile_node"]] = "mobile_node"
    steers: ClassVar[bool] = False

    def __init__(self, context: Context, options: SessionsOptions) -> None:
        super().__init__(context, options)
        nodes = context.mobile_nodes.nodes
        self._offered = all(node.mobility == "offered" for node in nodes)
        self._own: dict[IPv6Address, OwnAddress] = {}
        self._in_use: frozenset[IPv6Address] = frozenset()
        self._replaceable: frozenset[IPv6Address] = frozenset()
        self._replacement = Replacement(options.graceful_replacement_s)
        self._replaced_at: float | None = None
        self._prefixes: tuple[IPv6Network, ...] = ()
        """As reported last."""
        self._acknowledged = True
        self._sequence: int | None = None
        self._requests = Requests(self.name)

    def handle(self, event: Event, now: float) -> Iterable[Effect]:
        """Follow the node's sockets, addresses and link, and what its access router says."""
        if not self._offered:
            return  # there is nobody to tell: nothing is kept for this node (draft, REQ2)
        match event:
            case LinkUp():
                yield from self._report(now)
            case SocketsInUse(addresses, replaceable):
                self._in_use, self._replaceable = addresses, replaceable
                yield from self._report_change(now)
            case Addressed(addresses):
                self._own = {own.address: own for own in addresses}
                self._replacement.addressed({a.address: a.preferred_until for a in addresses}, now)
                yield from self._report_change(now)
                # A router was heard: it knows the node by now, if it did not before.
                yield from self._requests.hurry(REPORT, now)
            case PrefixesAdvertised(link, prefixes) if prefixes:
                yield from self._deprecate(link, prefixes, now)
            case HeardOnLink(_, _, source, SessionReportAcknowledgement() as answer):
                if source == ACCESS_ROUTER_LINK_LOCAL:
                    yield from self._answered(answer)
            case TimerFired(_, key):
                yield from self._woken(key, now)
            case _:
                return

    def _woken(self, timer: Hashable, now: float) -> Iterator[Effect]:
        match timer:
            case ("request", key):
                yield from self._requests.again(key, now)
            case "refresh":
                yield from self._report(now)
            case "replaced":
                self._replaced_at = None
                yield from self._report_change(now)

    def _deprecate(
        self, link: str, advertised: frozenset[IPv6Network], now: float
    ) -> Iterator[Effect]:
        """New sessions are to have the present network's prefix (draft, 4.4).

        The network does not know of older ones that no session uses, so it cannot say that they are
        deprecated; what it does say of one replaces this.
        """
        for own in self._own.values():
            hnp = hnp_of(own.address)
            mobile = self.context.directory.home_of(hnp) is not None
            if mobile and hnp not in advertised and own.preferred_until > now:
                yield KeepAddress(link, own.address, own.valid_until - now)

    def _used(self, now: float) -> frozenset[IPv6Address]:
        """Addresses that sockets use, but for those whose time to be replaced is over."""
        used = self._in_use | self._replacement.kept(self._replaceable, now)
        return used & self._own.keys()

    def _needed(self, now: float) -> tuple[IPv6Network, ...]:
        """The node's mobile prefixes that sessions use, the same ones always in the same order."""
        directory = self.context.directory
        needed = {hnp_of(a) for a in self._used(now) if directory.home_of(a) is not None}
        return tuple(sorted(needed)[:MAX_PREFIXES])

    def _report_change(self, now: float) -> Iterator[Effect]:
        if self._needed(now) != self._prefixes:
            yield from self._report(now)
        replaced_at = self._replacement.next_end_at(self._replaceable & self._own.keys(), now)
        if replaced_at != self._replaced_at:
            self._replaced_at = replaced_at
            if replaced_at is None:
                yield CancelTimer(self.name, REPLACED)
            else:
                yield SetTimer(self.name, REPLACED, replaced_at)

    def _report(self, now: float) -> Iterator[Effect]:
        """Say it with a new number, until it is acknowledged."""
        before, self._prefixes = self._prefixes, self._needed(now)
        if before != self._prefixes:
            yield Record("sessions_changed", {"prefixes": [str(p) for p in self._prefixes]})
        self._sequence = self._next_sequence(now)
        self._acknowledged = False
        report = SessionReport(
            self._sequence, self._lifetime_s, tuple(map(HomeNetworkPrefix, self._prefixes))
        )
        yield from self._requests.start(
            REPORT,
            ACCESS_ROUTER_LINK_LOCAL,
            lambda _attempt, _now: report,
            REPORT_PATIENCE,
            now,
            link=self.context.radio,
        )
        if self._prefixes:
            yield SetTimer(self.name, REFRESH, now + self.options.report_interval_s)
        else:
            yield CancelTimer(self.name, REFRESH)

    def _next_sequence(self, now: float) -> int:
        """Begins with the time, so that after a restart it is newer than all before."""
        if self._sequence is None:
            return int(now * REPORTS_A_SECOND) % 0x10000
        return (self._sequence + 1) % 0x10000

    @property
    def _lifetime_s(self) -> int:
        return min(0xFFFF, math.ceil(self.options.report_interval_s * self.options.reports_missed))

    def _answered(self, answer: SessionReportAcknowledgement) -> Iterator[Effect]:
        if answer.sequence != self._sequence or answer.status is ReportStatus.NOT_ATTACHED:
            return  # it is asked again until it knows the node
        self._acknowledged = answer.status is ReportStatus.ACCEPTED
        if not self._acknowledged:
            yield Record("report_refused", {"status": answer.status.name.lower()})
        yield from self._requests.finish(REPORT)

    def snapshot(self, now: float) -> Mapping[str, list[dict[str, Any]]]:
        """The prefixes that sessions use."""
        used = sorted(self._used(now))
        return {
            "sessions": [
                {
                    "hnp": str(prefix),
                    "addresses": [str(a) for a in used if a in prefix],
                    "acknowledged": self._acknowledged,
                }
                for prefix in self._prefixes
            ]
        }
