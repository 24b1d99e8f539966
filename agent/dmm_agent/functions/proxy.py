"""The proxy at an access router: to the LM it behaves like the MN, to the MN like the LM.

This is PMIPv6's mobile access gateway (draft, 3.1; RFC 5213, section 6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from dmm_agent.functions.attachments import UNANSWERED_PROBES, Attachment
from dmm_agent.functions.base import Context, Function, Options
from dmm_agent.functions.effects import (
    CancelTimer,
    Effect,
    Probe,
    Record,
    SetTimer,
)
from dmm_agent.functions.events import (
    Attached,
    BindingGone,
    BindingSet,
    Detached,
    Event,
    HeardOnLink,
    Inherited,
    Interception,
    Observed,
    ProbeAnswered,
    Received,
    Started,
    TimerFired,
    Used,
)
from dmm_agent.functions.observed_sessions import ObservedSessions
from dmm_agent.functions.plain_nodes import PlainNodes
from dmm_agent.functions.proxy_messages import (
    ANY_PREFIX,
    LONGEST_LIFETIME_S,
    granted_by,
    handoff_of,
    node_of,
)
from dmm_agent.functions.proxy_registration import Registrations
from dmm_agent.functions.serving import Serving
from dmm_agent.functions.session_discovery import ALL_NODES, SessionDiscovery
from dmm_agent.functions.signalled_sessions import SignalledSessions
from dmm_agent.wire import BindingAcknowledgement, BindingStatus, Handoff

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from ipaddress import IPv6Address, IPv6Network

CONFIRM_PAUSE_S = 1.0
"""Solicitations of an attached node make the access router register it no more often than this."""


class ProxyOptions(Options):
    """Options of `proxy`."""

    mobility: Literal["network"] = "network"
    session_discovery: Literal["observed", "signalled"] = "observed"
    """How the network learns which prefixes that a node brought along sessions need: from the
    node's own traffic, or from its reports (function `sessions` on the node)."""
    report_hold_s: float = Field(15.0, ge=1, le=3600)
    """How long the network waits for the first report of a node that has come, with `signalled`.

    Until then what it knew of the node's sessions stands; a report itself says how long it holds.
    """
    idle_s: float = Field(60.0, ge=2, le=86400)
    """How long a prefix that a node brought along stays registered without a packet from or to it,
    with `observed`.

    Packets are sampled once a second, so no less than two.
    """
    preferred_lifetime_s: int = Field(15, ge=1)
    """How long a prefix stays preferred after its network was last heard of."""
    advertisement_interval_s: float = Field(5.0, gt=0)
    """Pause between unsolicited advertisements, which also ask whether the node is there."""


class Proxy(Function[ProxyOptions]):
    """Registers the nodes on its access links and tells them their prefixes."""

    name: ClassVar[str] = "proxy"
    options_class: ClassVar[type[Options]] = ProxyOptions

    def __init__(self, context: Context, options: ProxyOptions) -> None:
        super().__init__(context, options)
        self._serving = Serving(context, options)
        self._registrations = Registrations(self.name, context)
        self._sessions = self._session_discovery()
        self._plain = PlainNodes(self.name, context, options.advertisement_interval_s)
        self._attachments = self._serving.attachments

    def _session_discovery(self) -> SessionDiscovery:
        common = self.context, self._serving, self._registrations
        if self.options.session_discovery == "signalled":
            return SignalledSessions(*common, self.options.report_hold_s)
        return ObservedSessions(*common, self.options.idle_s)

    @property
    def intercepts(self) -> frozenset[Interception]:
        """Whether prefixes are still used, if that is to be seen by packets."""
        observes = self.options.session_discovery == "observed"
        return frozenset({Interception.BROUGHT_ALONG} if observes else ())

    def handle(self, event: Event, now: float) -> Iterable[Effect]:
        """Follow the access links, the answers of the LM, and the lifetimes."""
        if self._plain.concerns(event):
            yield from self._plain.handle(event, now)
            return
        match event:
            case Inherited() | Started():
                yield from self._begin(event)
            case Attached():
                yield from self._attached(event, now)
            case Detached(link):
                yield from self._plain.detached(link)
                yield from self._detached(link, now)
            case Observed() | Used() | HeardOnLink():
                yield from self._sessions.noticed(event, now)
            case ProbeAnswered(link, link_layer):
                yield from self._answered_probe(link, link_layer, now)
            case BindingSet() | BindingGone():
                yield from self._told(event, now)
            case Received(source, BindingAcknowledgement() as answer):
                yield from self._acknowledged(source, answer, now)
            case TimerFired():
                yield from self._woken(event, now)
            case _:
                return

    def _begin(self, event: Inherited | Started) -> Iterator[Effect]:
        """Go on with what an earlier run delivered, and find out who is there."""
        if isinstance(event, Inherited):
            self._serving.inherit(event.routes)
        else:
            yield from (Probe(link, ALL_NODES) for link in self.context.access_links)

    def _woken(self, timer: TimerFired, now: float) -> Iterator[Effect]:
        match timer.key:
            case ("request", key):
                yield from self._registrations.again(key, now)
            case ("tick", str() as link):
                yield from self._tick(link, now)

    # The node comes and goes

    def _attached(self, event: Attached, now: float) -> Iterator[Effect]:
        policy = self.context.mobile_nodes.by_link_layer(event.link_layer)
        if policy is None:
            yield Record("unknown_node", {"link": event.link, "link_layer": event.link_layer})
            return
        known = self._attachments.get(event.link)
        if known is not None and known.mn_id == policy.id:
            yield from self._seen_again(known, event, now)
            return
        if known is not None:
            yield from self._detached(event.link, now)
        elsewhere = [a for a in self._attachments.values() if a.mn_id == policy.id]
        for before in elsewhere:
            # Nothing to de-register: to the LM the node is where it was.
            yield from self._let_go(before)
        # A copy from now on would have a newer time than what it takes back.
        yield from self._registrations.deregistered(policy.id)
        yield from self._serving.stop_inherited_on(event.link, but=event.link_local)
        here = Attachment(
            event.link,
            policy.id,
            event.link_layer,
            event.link_local,
            since=now,
            confirmed_at=now,
        )
        self._attachments[event.link] = here
        yield Record("attached", {"link": here.link, "mn_id": here.mn_id})
        yield from self._registrations.register(here, (ANY_PREFIX,), Handoff.UNKNOWN, now)
        yield from self._tick_in_time(here, now)

    def _seen_again(self, here: Attachment, event: Attached, now: float) -> Iterator[Effect]:
        here.unanswered_probes = 0
        if here.link_local != event.link_local:
            yield from self._serving.reached_at(here, event.link_local)
        if event.solicited:
            yield from self._solicited(here, now)

    def _solicited(self, here: Attachment, now: float) -> Iterator[Effect]:
        if here.prefixes:
            yield self._serving.advertisement(here, now)
            yield from self._confirm(here, now)
        elif here.asked:
            yield from self._registrations.hurry(here, ANY_PREFIX, now)
        else:
            yield from self._registrations.register(here, (ANY_PREFIX,), Handoff.UNKNOWN, now)

    def _confirm(self, here: Attachment, now: float) -> Iterator[Effect]:
        """A node that asks anew may have been elsewhere, and back before it was missed.

        Its link may have no carrier to lose. So all its prefixes are registered as after a move,
        once a second at most; what comes sooner is left to the next tick.
        """
        here.in_doubt = now < here.confirmed_at + CONFIRM_PAUSE_S
        if here.in_doubt:
            return
        here.confirmed_at = now
        waiting = here.waiting()
        if ANY_PREFIX in waiting:
            yield from self._registrations.hurry(here, ANY_PREFIX, now)
        else:
            yield from self._registrations.register(here, (ANY_PREFIX,), Handoff.UNKNOWN, now)
        brought = tuple(
            h for h in here.prefixes if not self._serving.is_own(h) and h not in waiting
        )
        if brought:
            yield from self._registrations.register(here, brought, Handoff.BETWEEN_MAGS, now)

    def _detached(self, link: str, now: float) -> Iterator[Effect]:
        self._sessions.forget(link)
        yield CancelTimer(self.name, ("tick", link))
        yield from self._serving.stop_inherited_on(link)
        gone = self._attachments.get(link)
        if gone is None:
            return
        yield from self._let_go(gone)
        # Of what was only asked for, the LM may have granted any part.
        known = {*gone.prefixes, *gone.waiting()}
        known.update(self._registrations.not_known_to_have_ended(gone.mn_id))
        away = [hnp for hnp in sorted(known) if not self._serving.is_home(hnp)]
        if away:
            yield from self._registrations.deregister(gone.mn_id, away, now)

    def _told(self, change: BindingSet | BindingGone, now: float) -> Iterator[Effect]:
        """The LM beside has a node elsewhere, whose link here may have no carrier to lose.

        Unanswered probes would tell much later, and packets would go to that link until then. Of
        another network's prefix it may know only that it is not here.
        """
        if isinstance(change, BindingGone):
            elsewhere = not self._serving.is_own(change.hnp)
        else:
            elsewhere = change.location != self.context.address
        if not elsewhere:
            return
        yield from self._serving.stop_inherited(change.hnp)
        for here in [a for a in self._attachments.values() if change.hnp in a.prefixes]:
            if isinstance(change, BindingGone):
                yield from self._serving.stop(here, change.hnp)
            else:
                yield from self._detached(here.link, now)
                yield self._look_later(here.link, now)

    def _look_later(self, link: str, now: float) -> SetTimer:
        """A link without its node is up still: what was missed may have been its answers alone."""
        return SetTimer(self.name, ("tick", link), now + self.options.advertisement_interval_s)

    def _let_go(self, gone: Attachment) -> Iterator[Effect]:
        del self._attachments[gone.link]
        yield Record("detached", {"link": gone.link, "mn_id": gone.mn_id})
        yield CancelTimer(self.name, ("tick", gone.link))
        yield from self._serving.leave(gone)
        yield from self._registrations.give_up(gone)

    # The LM answers

    def _acknowledged(
        self, source: IPv6Address, answer: BindingAcknowledgement, now: float
    ) -> Iterator[Effect]:
        if not self._registrations.settles(source, answer):
            yield from self._registrations.ask_again(source, answer, now)
            return
        answer = self._registrations.in_own_time(answer)
        yield from self._registrations.deregistered(node_of(answer), answer.sequence)
        here = next((a for a in self._attachments.values() if answer.sequence in a.asked), None)
        if here is None or here.mn_id != node_of(answer):
            return
        asked = here.asked[answer.sequence]
        yield from self._registrations.answered(here, answer)
        granted = granted_by(answer, asked, self.context.directory)
        for hnp in granted:
            yield from self._serving.serve(here, hnp, answer, now)
        for hnp in asked:
            if hnp == ANY_PREFIX or hnp in granted:
                continue
            if len(asked) > 1:  # one status says nothing of each of them
                yield from self._registrations.register(here, (hnp,), handoff_of(answer), now)
            else:
                yield from self._refused(here, hnp, int(answer.status), now)
        yield self._serving.advertisement(here, now)
        yield from self._tick_in_time(here, now)
        yield from self._sessions.answered(here, asked, now)

    def _refused(
        self, here: Attachment, hnp: IPv6Network, status: int, now: float
    ) -> Iterator[Effect]:
        """The LM does not let the node have a prefix here; perhaps because its lease is over."""
        here.refused(hnp, now)
        yield Record("refused", {"hnp": str(hnp), "status": status})
        if status == BindingStatus.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX:
            yield from self._serving.withdraw(here, hnp, now)
        else:
            yield from self._serving.stop(here, hnp)

    # Advertising and keeping alive

    def _tick_in_time(self, here: Attachment, now: float) -> Iterator[Effect]:
        """Wake up for the next advertisement and probe, or when a prefix's time is up before."""
        prefixes = here.prefixes.values()
        shortest_s = min((p.lifetime_s for p in prefixes), default=LONGEST_LIFETIME_S)
        pause_s = min(self.options.advertisement_interval_s, shortest_s / 8)
        review_at = self._sessions.next_review_at(here)
        ends = (*(p.expires_at for p in prefixes), *here.lapsed.values())
        at_s = min([now + pause_s, review_at, *ends])
        if here.tick_at <= now or at_s < here.tick_at:
            here.tick_at = at_s
            yield SetTimer(self.name, ("tick", here.link), at_s)

    def _tick(self, link: str, now: float) -> Iterator[Effect]:
        here = self._attachments.get(link)
        if here is not None and here.unanswered_probes >= UNANSWERED_PROBES:
            yield Record("silent", {"link": link, "mn_id": here.mn_id})
            yield from self._detached(link, now)
            here = None
        if here is None:
            yield Probe(link, ALL_NODES)
            yield self._look_later(link, now)
            return
        yield from self._serving.stop_expired(here, now)
        yield from self._sessions.review(here, now)
        self._registrations.tidy(here)
        if ANY_PREFIX not in here.waiting() and not any(map(self._serving.is_own, here.prefixes)):
            yield from self._registrations.register(here, (ANY_PREFIX,), Handoff.UNKNOWN, now)
        if here.in_doubt:
            yield from self._confirm(here, now)
        here.unanswered_probes += 1
        yield Probe(link, here.link_local)
        if here.prefixes or here.withdrawn:
            yield self._serving.advertisement(here, now)
        yield from self._tick_in_time(here, now)

    def _answered_probe(self, link: str, link_layer: str, now: float) -> Iterator[Effect]:
        """The node is there now: only this justifies refreshing its registrations."""
        here = self._attachments.get(link)
        if here is None or here.link_layer != link_layer:
            return
        here.unanswered_probes = 0
        waiting = here.waiting()
        due = tuple(
            p.hnp for p in here.prefixes.values() if p.refresh_at <= now and p.hnp not in waiting
        )
        if due:
            yield from self._registrations.register(here, due, Handoff.UNCHANGED, now)

    def snapshot(self, now: float) -> Mapping[str, list[dict[str, Any]]]:
        """The nodes on the access links."""
        return {
            "attachments": [
                {
                    "link": here.link,
                    "mn_id": here.mn_id,
                    "link_layer": here.link_layer,
                    "prefixes": [str(hnp) for hnp in here.prefixes],
                    "withdrawn": [str(hnp) for hnp in here.withdrawn],
                    "waiting": len(here.asked),
                    "remaining_s": round(
                        min((p.expires_at - now for p in here.prefixes.values()), default=0.0), 3
                    ),
                }
                for here in self._attachments.values()
            ]
            + self._plain.rows()
        }
