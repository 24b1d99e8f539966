"""Mobility routing: intercept packets to and from home network prefixes, forward them by location.

The draft's section 3 and, for the direct route, section 7: this MR asks the LM that serves a
prefix and caches the answer for as long as it holds.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from dmm_agent.functions.admission import is_infrastructure
from dmm_agent.functions.base import Context, Function, Options
from dmm_agent.functions.effects import (
    BindingRoute,
    CacheRoute,
    CancelTimer,
    Effect,
    Install,
    Record,
    Remove,
    Send,
    SetTimer,
    VisitorRoute,
    VisitorShortcut,
)
from dmm_agent.functions.events import (
    BindingGone,
    BindingSet,
    Event,
    Intercepted,
    Received,
    TimerFired,
)
from dmm_agent.functions.prefix import hnp_of
from dmm_agent.functions.queries import fixed_part
from dmm_agent.functions.requests import Patience, Requests
from dmm_agent.wire import (
    AnswerStatus,
    HomeNetworkPrefix,
    LocationAnswer,
    LocationQuery,
    MagAddress,
    UpdateNotification,
    UpdateNotificationAcknowledgement,
    UpdateNotificationFlag,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from dmm_agent.config import NetworkEntry

QUERY_PATIENCE = Patience(attempts=4, first_wait_s=0.5, longest_wait_s=2.0)
MAX_PENDING = 1024
IN_USE_S = 3.0
"""A cached location counts as in use for this long after its last sampled packet."""
REFRESH_AHEAD_S = 1.0
"""A location in use is asked for again this long before it lapses."""


class RoutingOptions(Options):
    """Options of `mr`; see the draft's section 7 for what they choose between."""

    interception: Literal["gateway"] = "gateway"
    """RS1: where packets meet the MR."""
    resolution: Literal["query"] = "query"
    """RS2: how the MR learns of a location."""
    while_resolving: Literal["triangle"] = "triangle"
    """What happens to packets meanwhile: they go by the home network."""
    forwarding: Literal["encapsulate"] = "encapsulate"
    """How packets get to the location: IPv6 in IPv6 (RFC 2473)."""
    resolve_after_s: float = Field(0.0, ge=0, le=10)
    """Ask for a destination once it has been in use for this long, not for a stray packet."""
    max_cache: int = Field(65_536, ge=1)


@dataclass(slots=True)
class Entry:
    """One cached answer."""

    prefix: IPv6Network
    status: AnswerStatus
    endpoint: IPv6Address | None
    route: CacheRoute | VisitorShortcut | None
    """What the answer put into the data plane, if anything."""
    expires_at: float
    used_at: float


@dataclass(frozen=True, slots=True)
class _Question:
    """A query without an answer yet."""

    sequence: int
    asked_at: float
    """When its first copy was sent."""


class MobilityRouter(Function[RoutingOptions]):
    """The MR of one network or access router."""

    name: ClassVar[str] = "mr"
    options_class: ClassVar[type[Options]] = RoutingOptions

    def __init__(self, context: Context, options: RoutingOptions) -> None:
        super().__init__(context, options)
        self._bound: dict[IPv6Network, BindingSet] = {}
        self._visitors: dict[IPv6Network, BindingSet] = {}
        """Those of `_bound` that another network leased."""
        self._visitor_homes: Counter[IPv6Address] = Counter()
        """How many of them each home MR has."""
        self._cache: OrderedDict[IPv6Network, Entry] = OrderedDict()
        self._requests = Requests(self.name, MAX_PENDING)
        self._pending: dict[IPv6Network, _Question] = {}
        self._noticed: OrderedDict[IPv6Network, tuple[float, float]] = OrderedDict()
        """Destinations in use that were not asked for yet: first and last sampled packet."""
        self._sequence = context.random.randrange(0x10000)

    def handle(self, event: Event, now: float) -> Iterable[Effect]:
        """Follow the bindings of the LM beside, and resolve what is intercepted."""
        match event:
            case BindingSet():
                yield from self._bind(event)
            case BindingGone(hnp):
                yield from self._unbind(hnp)
            case Intercepted(source, destination):
                yield from self._intercepted(source, destination, now)
            case Received(source, LocationAnswer() as answer):
                yield from self._answered(source, answer, now)
            case Received(source, UpdateNotification() as notice):
                yield from self._notified(source, notice, now)
            case TimerFired(_, ("request", IPv6Network() as asked)):
                yield from self._requests.again(asked, now)
                if asked not in self._requests:
                    self._pending.pop(asked, None)
            case TimerFired(_, ("lapse", IPv6Network() as prefix)):
                yield from self._lapsed(prefix, now)
            case _:
                return

    # Bindings of this network: home prefixes that are away, foreign prefixes that visit

    def _bind(self, binding: BindingSet) -> Iterator[Effect]:
        self._bound[binding.hnp] = binding
        yield Install(BindingRoute(binding.hnp, binding.location))
        if binding.home is None:
            return
        yield Install(VisitorRoute(binding.hnp, binding.home))
        yield from self._forget(binding.hnp)
        if binding.hnp not in self._visitors:
            self._visitor_homes[binding.home] += 1
        self._visitors[binding.hnp] = binding
        if len(self._visitors) == 1:
            yield from self._shorten()

    def _unbind(self, hnp: IPv6Network) -> Iterator[Effect]:
        binding = self._bound.pop(hnp, None)
        yield from self._forget(hnp)
        if self._pending.pop(hnp, None) is not None:
            yield from self._requests.finish(hnp)
        if binding is None:
            return
        yield Remove(BindingRoute(hnp, binding.location))
        if binding.home is None:
            return
        yield Remove(VisitorRoute(hnp, binding.home))
        del self._visitors[hnp]
        self._visitor_homes -= Counter([binding.home])
        if not self._visitors:
            yield from self._drop_shortcuts()

    def _shorten(self) -> Iterator[Effect]:
        """The first visitor has come: spare it the way by its home where a better one is known."""
        for entry in self._cache.values():
            if entry.route is None:
                entry.route = self._route(entry.prefix, entry.status, entry.endpoint)
                if entry.route is not None:
                    yield Install(entry.route)
                    yield self._lapse_timer(entry)

    def _drop_shortcuts(self) -> Iterator[Effect]:
        """The last visitor has gone, and shortcuts serve visitors alone."""
        for entry in tuple(self._cache.values()):
            if entry.status == AnswerStatus.FIXED:
                yield from self._forget(entry.prefix)
            elif isinstance(entry.route, VisitorShortcut):
                yield Remove(entry.route)
                entry.route = None

    # Resolution (draft, 7: RS2.query)

    def _intercepted(
        self, source: IPv6Address, destination: IPv6Address, now: float
    ) -> Iterator[Effect]:
        owner = self.context.directory.owner_of(destination)
        if owner is None or owner.network == self.context.network:
            return
        entry = self._cache.get(_unit(owner, destination))
        if entry is not None:
            entry.used_at = now
            self._cache.move_to_end(entry.prefix)
            return
        asked = _unit(owner, destination)
        if asked in self._bound or asked in self._pending:
            return
        from_visitor = hnp_of(source) in self._visitors
        if destination not in owner.mobile_pool and not (from_visitor and self._is_detour(owner)):
            return
        if self._in_use_for_s(asked, now) >= self.options.resolve_after_s:
            self._noticed.pop(asked, None)
            yield from self._ask(asked, owner.lm, now)

    def _in_use_for_s(self, asked: IPv6Network, now: float) -> float:
        """For how long packets to a destination have been seen without a long pause."""
        first, last = self._noticed.pop(asked, (now, now))
        if now - last > IN_USE_S:
            first = now
        self._noticed[asked] = (first, now)
        if len(self._noticed) > MAX_PENDING:
            self._noticed.popitem(last=False)
        return now - first

    def _is_detour(self, owner: NetworkEntry) -> bool:
        """Whether a visitor's way by its home MR is a longer way to a network.

        It is not for those at home in that very network. But shortcuts are for all visitors, and
        the one whose packet was sampled need not be the one that needs it.
        """
        return self._visitor_homes.keys() != {owner.mr}

    def _ask(self, asked: IPv6Network, lm: IPv6Address, now: float) -> Iterator[Effect]:
        if asked not in self._pending and len(self._pending) >= MAX_PENDING:
            return
        self._sequence = (self._sequence + 1) % 0x10000
        self._pending[asked] = _Question(self._sequence, now)
        query = LocationQuery(sequence=self._sequence, options=(HomeNetworkPrefix(asked),))

        def make(_attempt: int, _now: float) -> LocationQuery:
            return query

        yield Record("query", {"prefix": str(asked), "lm": str(lm)})
        yield from self._requests.start(asked, lm, make, QUERY_PATIENCE, now)

    def _answered(
        self, source: IPv6Address, answer: LocationAnswer, now: float
    ) -> Iterator[Effect]:
        waiting = (p for p, q in self._pending.items() if q.sequence == answer.sequence)
        asked = next(waiting, None)
        prefix = answer.first(HomeNetworkPrefix)
        if asked is None or prefix is None or asked != prefix.prefix:
            return
        owner = self.context.directory.owner_of(asked)
        if owner is None or owner.lm != source:
            return
        location = answer.first(MagAddress)
        endpoint = None if location is None else location.address
        if endpoint is not None and not is_infrastructure(self.context.directory, endpoint):
            yield Record("answer_refused", {"prefix": str(asked), "location": str(endpoint)})
            return
        question = self._pending.pop(asked)
        yield from self._requests.finish(asked)
        # What the LM granted began to run out when it was asked, at the earliest.
        expires_at = question.asked_at + answer.lifetime_s
        yield from self._remember(asked, answer.status, endpoint, expires_at, now)

    def _remember(
        self,
        prefix: IPv6Network,
        status: AnswerStatus,
        endpoint: IPv6Address | None,
        expires_at: float,
        now: float,
    ) -> Iterator[Effect]:
        old = self._cache.get(prefix)
        entry = Entry(
            prefix,
            status,
            endpoint,
            self._route(prefix, status, endpoint),
            expires_at,
            used_at=now if old is None else old.used_at,
        )
        if old is not None and old.route is not None and type(old.route) is not type(entry.route):
            yield Remove(old.route)
        if entry.route is not None and (old is None or old.route != entry.route):
            yield Install(entry.route)
        self._cache[prefix] = entry
        self._cache.move_to_end(prefix)
        yield self._lapse_timer(entry)
        yield Record(
            "answer",
            {
                "prefix": str(prefix),
                "status": status.name,
                "location": None if endpoint is None else str(endpoint),
            },
        )
        while len(self._cache) > self.options.max_cache:
            yield from self._forget(next(iter(self._cache)))

    def _route(
        self, prefix: IPv6Network, status: AnswerStatus, endpoint: IPv6Address | None
    ) -> CacheRoute | VisitorShortcut | None:
        if endpoint is None or endpoint == self.context.address or prefix in self._bound:
            return None
        if status == AnswerStatus.AWAY:
            return CacheRoute(prefix, endpoint)
        settled = status in (AnswerStatus.HOME, AnswerStatus.FIXED)
        return VisitorShortcut(prefix, endpoint) if settled and self._visitors else None

    # The life of a cached answer

    def _lapse_timer(self, entry: Entry) -> SetTimer:
        ahead_s = REFRESH_AHEAD_S if entry.route is not None else 0.0
        return SetTimer(self.name, ("lapse", entry.prefix), entry.expires_at - ahead_s)

    def _lapsed(self, prefix: IPv6Network, now: float) -> Iterator[Effect]:
        """Ask again ahead of time for what is in use; let the rest go."""
        entry = self._cache.get(prefix)
        if entry is None:
            return
        owner = self.context.directory.owner_of(prefix)
        in_use = now - entry.used_at <= IN_USE_S
        if entry.expires_at > now and in_use and owner is not None:
            if prefix not in self._pending:
                yield from self._ask(prefix, owner.lm, now)
            yield SetTimer(self.name, ("lapse", prefix), entry.expires_at)
            return
        yield from self._forget(prefix)

    def _forget(self, prefix: IPv6Network) -> Iterator[Effect]:
        entry = self._cache.pop(prefix, None)
        if entry is None:
            return
        yield CancelTimer(self.name, ("lapse", prefix))
        if entry.route is not None:
            yield Remove(entry.route)

    def _notified(
        self, source: IPv6Address, notice: UpdateNotification, now: float
    ) -> Iterator[Effect]:
        """The LM says that its answer no longer holds: drop it, and ask for the next packet.

        That packet goes by the home network meanwhile. Only an answer that may be on its way, and
        old, is asked for again at once.
        """
        named = notice.first(HomeNetworkPrefix)
        owner = None if named is None else self.context.directory.home_of(named.prefix)
        if named is None or owner is None or owner.lm != source:
            return
        hnp = named.prefix
        yield from self._forget(hnp)
        if hnp not in self._bound and hnp in self._pending:
            yield from self._ask(hnp, owner.lm, now)
        if UpdateNotificationFlag.ACKNOWLEDGE in notice.flags:
            yield Send(
                source,
                UpdateNotificationAcknowledgement(
                    sequence=notice.sequence,
                    status=0,
                    options=tuple(
                        o for o in notice.options if not isinstance(o, HomeNetworkPrefix)
                    ),
                ),
            )

    def snapshot(self, now: float) -> Mapping[str, list[dict[str, Any]]]:
        """The cache."""
        return {
            "cache": [
                {
                    "prefix": str(entry.prefix),
                    "status": entry.status.name.lower(),
                    "location": None if entry.route is None else str(entry.route.endpoint),
                    "remaining_s": round(entry.expires_at - now, 3),
                    "used_s_ago": round(now - entry.used_at, 3),
                }
                for entry in self._cache.values()
            ]
        }


def _unit(owner: NetworkEntry, destination: IPv6Address) -> IPv6Network:
    """What is asked for and cached as one: a /64 that can move, or all of a network that cannot."""
    if destination in owner.mobile_pool:
        return hnp_of(destination)
    return fixed_part(owner, destination)
