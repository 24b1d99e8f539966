"""Mobility routing: intercept packets to and from home network prefixes, forward them by location.

The draft's section 3 and, for the direct route, section 7: this MR asks the LM that serves a
prefix and caches the answer for as long as it holds.
"""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any, ClassVar

from dmm_agent.functions.admission import is_infrastructure
from dmm_agent.functions.base import Context, Function, HoldLimits, Options
from dmm_agent.functions.cache import Cache, Entry
from dmm_agent.functions.effects import (
    BindingRoute,
    CacheRoute,
    Effect,
    Install,
    NodeTunnel,
    PassingRoute,
    Record,
    RefusingRoute,
    Release,
    Remove,
    Send,
    Tell,
    VisitorRoute,
    VisitorShortcut,
)
from dmm_agent.functions.events import (
    BindingGone,
    BindingSet,
    Event,
    Held,
    Inherited,
    Intercepted,
    Interception,
    LocationSought,
    NodeLeft,
    Received,
    Started,
    TimerFired,
)
from dmm_agent.functions.holding import Holding
from dmm_agent.functions.notice_order import NoticeOrder
from dmm_agent.functions.prefix import hnp_of
from dmm_agent.functions.queries import fixed_part
from dmm_agent.functions.resolution import Resolver
from dmm_agent.functions.routing_options import RoutingOptions
from dmm_agent.wire import (
    AnswerStatus,
    BindingRefreshAdvice,
    HomeNetworkPrefix,
    LocationAnswer,
    MagAddress,
    MobileNodeIdentifier,
    UpdateNotification,
    UpdateNotificationAcknowledgement,
    UpdateNotificationFlag,
    UpdateReason,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from dmm_agent.config import NetworkEntry
    from dmm_agent.functions.cache import LearntRoute
    from dmm_agent.wire import Message


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
        self._cache = Cache(self.name, options.max_cache)
        self._resolver = Resolver(self.name, context, options)
        self._holding = Holding(self.name, options.hold_s)
        self._notice_order = NoticeOrder(options.max_cache)

    def handle(self, event: Event, now: float) -> Iterable[Effect]:
        """Follow the bindings of the LM beside, and resolve what is intercepted."""
        match event:
            case BindingSet():
                yield from self._bind(event)
            case NodeLeft(hnp):
                yield from self._suspend(hnp)
            case BindingGone(hnp):
                yield from self._unbind(hnp)
            case Intercepted():
                yield from self._intercepted(event, now)
            case Held():
                yield from self._held(event, now)
            case Received(source, message):
                yield from self._received(source, message, now)
            case TimerFired(_, (what, IPv6Network() as prefix)):
                yield from self._woken(str(what), prefix, now)
            case Inherited(routes):
                self._cache.inherit(routes)
            case Started() if not self._visitors:
                yield from self._cache.forget_inherited_shortcuts()
            case _:
                return

    def _received(self, source: IPv6Address, message: Message, now: float) -> Iterator[Effect]:
        if isinstance(message, LocationAnswer):
            yield from self._answered(source, message, now)
        elif isinstance(message, UpdateNotification):
            yield from self._notified(source, message, now)

    def _woken(self, what: str, prefix: IPv6Network, now: float) -> Iterator[Effect]:
        if what == "request":
            yield from self._ask_again(prefix, now)
        elif what == "hold":
            yield from self._holding.overdue(prefix)
        elif what == "lapse":
            yield from self._lapsed(prefix, now)

    # Bindings of this network: home prefixes that are away, foreign prefixes that visit

    def _bind(self, binding: BindingSet) -> Iterator[Effect]:
        self._bound[binding.hnp] = binding
        if binding.location != self.context.address:  # else the proxy beside delivers it
            yield Install(BindingRoute(binding.hnp, binding.location))
        if binding.by_node:
            yield Install(NodeTunnel(binding.hnp, binding.location))
        if binding.home is None:
            return
        yield Install(VisitorRoute(binding.hnp, binding.home))
        yield from self._cache.forget(binding.hnp)
        yield from self._holding.end(binding.hnp)
        if self._holds:  # nobody is asked: while the node is away for a moment, they go home
            yield Install(PassingRoute(binding.hnp))
        if binding.hnp not in self._visitors:
            self._visitor_homes[binding.home] += 1
        self._visitors[binding.hnp] = binding
        if len(self._visitors) == 1:
            yield from self._shorten()

    def _suspend(self, hnp: IPv6Network) -> Iterator[Effect]:
        """Nobody is there now: what still comes goes back home, which may know better by now."""
        binding = self._bound.get(hnp)
        if binding is not None:
            yield Remove(BindingRoute(hnp, binding.location))

    def _unbind(self, hnp: IPv6Network) -> Iterator[Effect]:
        binding = self._bound.pop(hnp, None)
        yield from self._cache.forget(hnp)
        yield from self._resolver.forget(hnp)
        yield from self._holding.end(hnp)
        if binding is None:
            return
        yield Remove(BindingRoute(hnp, binding.location))
        if binding.by_node:
            yield Remove(NodeTunnel(hnp, binding.location))
        if binding.home is None:
            return
        yield Remove(VisitorRoute(hnp, binding.home))
        if self._holds:
            yield Remove(PassingRoute(hnp))
        del self._visitors[hnp]
        self._visitor_homes -= Counter([binding.home])
        if not self._visitors:
            yield from self._drop_shortcuts()

    def _shorten(self) -> Iterator[Effect]:
        """The first visitor has come: spare it the way by its home where a better one is known.

        Where nobody is asked, the way by the destination's own home is the better one.
        """
        if self.options.resolution == "push":
            yield from map(Install, self._ways_to_homes())
        for entry in self._cache:
            for route in self._routes(entry.prefix, entry.status, entry.endpoint):
                if route not in entry.routes:
                    yield from self._cache.steer(entry, route)

    def _drop_shortcuts(self) -> Iterator[Effect]:
        """The last visitor has gone, and shortcuts serve visitors alone."""
        yield from self._cache.forget_inherited_shortcuts()
        if self.options.resolution == "push":
            yield from map(Remove, self._ways_to_homes())
        for entry in self._cache:
            if entry.status == AnswerStatus.FIXED:
                yield from self._cache.forget(entry.prefix)
                continue
            for route in entry.routes:
                if isinstance(route, VisitorShortcut):
                    yield from self._cache.unsteer(entry, route)

    def _ways_to_homes(self) -> Iterator[VisitorShortcut]:
        for network in self.context.directory.networks:
            if network.network != self.context.network:
                yield VisitorShortcut(network.prefix, network.mr)

    # Resolution (draft, 7: RS2)

    @property
    def intercepts(self) -> frozenset[Interception]:
        """To ask it must see what leaves; to tell others also what comes here on a longer way.

        Where access routers have an MR of their own, that of the network asks for the others alone.
        It is still told for mobile nodes, and sees whether they use what it was told.
        """
        own = self.context.directory.named(self.context.network)
        wanted = {Interception.HELD} if self._holds else set()
        if self.options.interception == "anycast":
            wanted.add(Interception.NEAREST)
        if self.options.resolution == "none":
            return frozenset(wanted)
        if own.mr != self.context.address:
            return frozenset(wanted | {Interception.OUTBOUND})
        wanted.add(Interception.VISITORS)
        if self.options.resolution == "push":
            wanted |= {Interception.OUTBOUND, Interception.HOMEBOUND}
        else:
            wanted.add(Interception.REMAINING if own.access_mrs else Interception.OUTBOUND)
        return frozenset(wanted)

    @property
    def hold_limits(self) -> HoldLimits | None:
        """How much may wait for answers."""
        options = self.options
        if not self._holds:
            return None
        return HoldLimits(options.hold_packets, options.hold_octets, options.hold_s)

    @property
    def rewrites(self) -> bool:
        """Whether packets go to other networks under locators."""
        return self.options.forwarding == "rewrite"

    @property
    def _holds(self) -> bool:
        return self.options.while_resolving == "hold"

    def _intercepted(self, packet: Intercepted, now: float) -> Iterator[Effect]:
        destination = packet.destination
        owner = self.context.directory.owner_of(destination)
        if owner is None:
            return
        if owner.network == self.context.network:
            yield from self._came_home(packet)
            return
        wanted = _unit(owner, destination)
        if self._cache.use(wanted, now) or self.options.resolution != "query":
            return
        if wanted in self._bound or wanted in self._resolver:
            return
        from_visitor = hnp_of(packet.source) in self._visitors
        if destination in owner.mobile_pool or (from_visitor and self._is_detour(owner)):
            yield from self._resolver.notice(wanted, owner, now)

    def _held(self, packet: Held, now: float) -> Iterator[Effect]:
        """A packet waits: for an answer, unless that has come while the packet was on its way."""
        yield from self._intercepted(Intercepted(packet.source, packet.destination), now)
        prefix = hnp_of(packet.destination)
        if prefix in self._resolver:
            yield from self._holding.begin(prefix, now)
        elif prefix in self._bound or self._cache.get(prefix) is not None:
            yield Release(prefix)

    def _ask_again(self, prefix: IPv6Network, now: float) -> Iterator[Effect]:
        yield from self._resolver.again(prefix, now)
        if prefix not in self._resolver:
            yield from self._holding.end(prefix)

    def _came_home(self, packet: Intercepted) -> Iterator[Effect]:
        """A packet to a node of this network that is away: who sent it here need not (RS2.push)."""
        hnp = hnp_of(packet.destination)
        binding = self._bound.get(hnp)
        if self.options.resolution != "push" or binding is None or binding.home is not None:
            return
        sender = self.context.directory.owner_of(packet.source)
        served_here = hnp_of(packet.source) in self._visitors
        by = packet.tunnelled_by
        if by is None and sender is not None and not served_here:
            by = sender.mr_of(packet.source)
        if by is not None and by != self.context.address:
            yield Tell(LocationSought(hnp, by))

    def _is_detour(self, owner: NetworkEntry) -> bool:
        """Whether a visitor's way by its home MR is a longer way to a network.

        It is not for those at home in that very network. But shortcuts are for all visitors, and
        the one whose packet was sampled need not be the one that needs it.
        """
        return self._visitor_homes.keys() != {owner.mr}

    def _answered(
        self, source: IPv6Address, answer: LocationAnswer, now: float
    ) -> Iterator[Effect]:
        resolved = yield from self._resolver.answered(source, answer, now)
        if resolved is None:
            return
        prefix, status, endpoint = resolved.prefix, resolved.status, resolved.endpoint
        routes = self._routes(prefix, status, endpoint)
        entry = Entry(prefix, status, endpoint, routes, resolved.expires_at, learnt_at=now)
        yield from self._cache.put(entry)
        yield from self._holding.end(prefix, passing=PassingRoute(prefix) in routes)

    def _routes(
        self, prefix: IPv6Network, status: AnswerStatus, endpoint: IPv6Address | None
    ) -> tuple[LearntRoute, ...]:
        """What an answer means for packets."""
        if prefix in self._bound:
            return ()
        if status == AnswerStatus.UNKNOWN:
            return (RefusingRoute(prefix),)
        elsewhere = endpoint if endpoint != self.context.address else None
        if status == AnswerStatus.AWAY and elsewhere is not None:
            return (CacheRoute(prefix, elsewhere),)
        held = self._holds and status != AnswerStatus.FIXED
        passing = (PassingRoute(prefix),) if held else ()
        settled = status in (AnswerStatus.HOME, AnswerStatus.FIXED)
        if settled and elsewhere is not None and self._visitors:
            return (*passing, VisitorShortcut(prefix, elsewhere))
        return passing

    # The life of a cached answer

    def _lapsed(self, prefix: IPv6Network, now: float) -> Iterator[Effect]:
        """Ask again ahead of time for what is in use; let the rest go."""
        entry = self._cache.get(prefix)
        if entry is None:
            return
        owner = self.context.directory.owner_of(prefix)
        if entry.expires_at > now and entry.is_in_use(now) and owner is not None:
            if prefix not in self._resolver:
                yield from self._resolver.ask_home(prefix, owner, now)
            yield self._cache.last_timer(entry)
            return
        yield from self._cache.forget(prefix)

    def _notified(
        self, source: IPv6Address, notice: UpdateNotification, now: float
    ) -> Iterator[Effect]:
        """An LM says where a prefix is, or that what it said no longer holds; the newest counts."""
        named = notice.first(HomeNetworkPrefix)
        owner = None if named is None else self.context.directory.home_of(named.prefix)
        if named is None or owner is None or owner.lm != source:
            return
        hnp = named.prefix
        if self._notice_order.is_news(hnp, notice):
            if notice.reason == UpdateReason.UPDATE_SESSION_PARAMETERS:
                yield from self._pushed(hnp, notice, now)
            else:
                yield from self._voided(hnp, owner, now)
        if UpdateNotificationFlag.ACKNOWLEDGE in notice.flags:
            ids = tuple(o for o in notice.options if isinstance(o, MobileNodeIdentifier))
            acknowledgement = UpdateNotificationAcknowledgement(notice.sequence, 0, ids)
            yield Send(source, acknowledgement)

    def _voided(self, hnp: IPv6Network, owner: NetworkEntry, now: float) -> Iterator[Effect]:
        """Drop the answer, and ask for the next packet, which goes by the home network.

        Only an answer that may be on its way, and old, is asked for again at once.
        """
        yield from self._cache.forget(hnp)
        if hnp not in self._bound and hnp in self._resolver:
            yield from self._resolver.ask_home(hnp, owner, now)

    def _pushed(self, hnp: IPv6Network, notice: UpdateNotification, now: float) -> Iterator[Effect]:
        """Send packets straight to where the node is (RS2.push)."""
        where, life = notice.first(MagAddress), notice.first(BindingRefreshAdvice)
        if self.options.resolution != "push" or where is None or life is None:
            return
        if not is_infrastructure(self.context.directory, where.address):
            yield Record("push_refused", {"prefix": str(hnp), "location": str(where.address)})
            return
        routes = self._routes(hnp, AnswerStatus.AWAY, where.address)
        expires_at = now + life.interval_s
        entry = Entry(hnp, AnswerStatus.AWAY, where.address, routes, expires_at, learnt_at=now)
        yield Record("pushed", {"prefix": str(hnp), "location": str(where.address)})
        yield from self._cache.put(entry)

    def snapshot(self, now: float) -> Mapping[str, list[dict[str, Any]]]:
        """The cache."""
        return {"cache": self._cache.rows(now)}


def _unit(owner: NetworkEntry, destination: IPv6Address) -> IPv6Network:
    """What is asked for and cached as one: a /64 that can move, or all of a network that cannot."""
    if destination in owner.mobile_pool:
        return hnp_of(destination)
    return fixed_part(owner, destination)
