"""Location management: the database of where home network prefixes are reached (draft, 3 and 6).

Each part of it has a file of its own:

- `admission` and `updates`: the database takes updates (RFC 5213, 5.3);
- `home_admission` and `home_agent`: those of mobile nodes themselves (RFC 6275, 10.3), which
  `home_authentication` lets through if they are authentic (RFC 4285);
- `mobile_networks`: the prefixes behind them, if they are routers (RFC 3963, 6);
- `database` and `bindings`: what it holds, for how long, and who hears of a change;
- `visitors` and `upstream`: the network a node visits stands in for it at the home LM (draft, 6);
- `queries`: "where is this prefix?" is answered (draft, 4.5 and 7);
- `notices`: whoever relied on what is no longer true hears of it.
"""

from __future__ import annotations

from ipaddress import IPv6Network
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from dmm_agent.functions.admission import is_infrastructure
from dmm_agent.functions.allocator import Allocator
from dmm_agent.functions.base import Context, Function, Options
from dmm_agent.functions.database import Database
from dmm_agent.functions.effects import Effect, Record, Send
from dmm_agent.functions.events import (
    Event,
    LeaseEnded,
    LocationSought,
    Received,
    Restored,
    TimerFired,
)
from dmm_agent.functions.home_admission import HomeUpdate
from dmm_agent.functions.home_agent import HomeAgent
from dmm_agent.functions.home_authentication import HomeAuthentication
from dmm_agent.functions.notices import Notices
from dmm_agent.functions.proxy_messages import lifetime_of
from dmm_agent.functions.queries import answer_query
from dmm_agent.functions.requests import Requests
from dmm_agent.functions.updates import Updates
from dmm_agent.functions.visitors import Visitors
from dmm_agent.wire import (
    BindingAcknowledgement,
    BindingRevocationAcknowledgement,
    BindingRevocationIndication,
    BindingUpdate,
    BindingUpdateFlag,
    LocationQuery,
    RevocationStatus,
    UpdateNotificationAcknowledgement,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from ipaddress import IPv6Address

    from dmm_agent.wire import Message


class LocationOptions(Options):
    """Options of `lm`."""

    database: Literal["home-network"] = "home-network"
    """Each LM serves the prefixes that its own network allocated."""
    mobility: Literal["network", "host"] = "network"
    """Who registers a node: its access router, or (`host`) also the node itself."""
    authentication: Literal["mn-ha", "none"] = "mn-ha"
    """With `mobility: host`: how nodes prove that an update is theirs (RFC 4285, 5.1)."""
    hierarchy: bool = True
    """Stand in for visiting nodes at their home LM, and track them inside the network alone."""
    binding_lifetime_s: int = Field(60, ge=4, le=262140)
    answer_lifetime_s: int = Field(60, ge=1, le=65535)
    delete_delay_s: float = Field(10.0, ge=0)
    """MinDelayBeforeBCEDelete of RFC 5213, 9.1."""
    timestamp_window_ms: int = Field(300, ge=1)
    """TimestampValidityWindow of RFC 5213, 9.1."""
    max_bindings: int = Field(100_000, ge=1)


class LocationManager(Function[LocationOptions]):
    """The LM of one network: updated by access routers and other LMs, asked by MRs."""

    name: ClassVar[str] = "lm"
    options_class: ClassVar[type[Options]] = LocationOptions
    requires: ClassVar[frozenset[str]] = frozenset({"allocator"})
    remembers: ClassVar[bool] = True

    def __init__(self, context: Context, options: LocationOptions) -> None:
        super().__init__(context, options)
        allocator = context.beside["allocator"]
        assert isinstance(allocator, Allocator)
        self._allocator = allocator
        self._requests = Requests(self.name)
        self._notices = Notices(self.name, context, self._requests)
        self._database = Database(self.name, context, options.max_bindings, self._notices)
        self._visitors = Visitors(context, options, self._database)
        self._updates = Updates(
            context, options, allocator, self._database, self._visitors, self._notices
        )
        self._home_agent = HomeAgent(self.name, context, options, allocator, self._database)
        self._authentication = HomeAuthentication(self.name, context, 2 * options.max_bindings)

    @property
    def takes_home_addresses(self) -> bool:
        """Mobile nodes name their home address in an option."""
        return self.options.mobility == "host"

    @property
    def authenticates(self) -> bool:
        """Mobile nodes prove who they are, unless the profile says otherwise."""
        return self.options.mobility == "host" and self.options.authentication == "mn-ha"

    def handle(self, event: Event, now: float) -> Iterable[Effect]:
        """Serve updates, queries and the answers to our own messages; tell others last."""
        if isinstance(event, Received):
            yield from self._serve(event, event.source, event.message, now)
        else:
            yield from self._notice(event, now)
        yield from self._database.tell_others(now)

    def _serve(
        self, event: Received, source: IPv6Address, message: Message, now: float
    ) -> Iterator[Effect]:
        match message:
            case BindingUpdate(flags=flags) if (
                self.options.mobility == "host" and BindingUpdateFlag.PROXY not in flags
            ):
                yield from self._registered(HomeUpdate.of(event, message), now)
            case BindingUpdate():
                yield from self._updates.take(source, message, now)
            case LocationQuery():
                yield from self._queried(source, message, now)
            case BindingAcknowledgement():
                yield from self._visitors.home_answered(source, message, now)
            case BindingRevocationIndication():
                yield from self._visitors.revoked(source, message)
            case BindingRevocationAcknowledgement():
                yield from self._revocation_answered(source, message, now)
            case UpdateNotificationAcknowledgement():
                yield from self._notices.notified(source, message.sequence)
            case _:
                return

    def _registered(self, update: HomeUpdate, now: float) -> Iterator[Effect]:
        """A mobile node speaks for itself, or somebody says so."""
        if self.authenticates:
            yield from self._authentication.guard(update, self._home_agent.take, now)
        else:
            yield from self._home_agent.take(update, now)

    def _notice(self, event: Event, now: float) -> Iterator[Effect]:
        match event:
            case Restored():
                yield from self._restore(event, now)
            case TimerFired(_, ("request", key)):
                yield from self._notices.again(key, now)
            case TimerFired(_, ("expiry", IPv6Network() as hnp)):
                yield from self._expired(hnp, now)
            case LocationSought(hnp, by):
                yield from self._sought(hnp, by, now)
            case LeaseEnded(hnp):
                yield from self._database.unbind(hnp)
                yield from self._notices.forget(hnp)
                yield from self._home_agent.forget(hnp)
                yield from self._authentication.forget(hnp)
            case _:
                return

    def _revocation_answered(
        self, source: IPv6Address, answer: BindingRevocationAcknowledgement, now: float
    ) -> Iterator[Effect]:
        if not self._notices.is_revoking(source, answer.sequence):
            return
        yield from self._notices.revoked(source, answer.sequence)
        if answer.status == RevocationStatus.REVOCATION_FAILED_MN_IS_ATTACHED:
            yield from self._updates.still_there(source, answer, now)

    def _restore(self, memory: Restored, now: float) -> Iterator[Effect]:
        """Go on from what an earlier run remembered; what ran out meanwhile ends, and is told."""
        self._home_agent.restore(memory)
        self._authentication.restore(memory)
        yield from self._notices.restore(memory, now)
        yield from self._database.restore(memory)
        for binding in self._database.bindings:
            if binding.expires_at <= now:
                yield from self._expired(binding.hnp, now)

    def _expired(self, hnp: IPv6Network, now: float) -> Iterator[Effect]:
        """A binding's time may be up."""
        binding = self._database.bindings.get(hnp)
        if binding is None:
            return
        if binding.expires_at > now:
            yield self._database.expiry_timer(binding)
            return
        yield from self._visitors.expired(binding, now)
        yield from self._database.unbind(hnp)

    def _queried(self, source: IPv6Address, query: LocationQuery, now: float) -> Iterator[Effect]:
        """A router asks where a prefix is; whoever is told must hear when that changes."""
        if not is_infrastructure(self.context.directory, source):
            yield Record("query_refused", {"source": str(source)})
            return
        answer = answer_query(
            self.context,
            self._database.bindings,
            self._allocator,
            query,
            now,
            self.options.answer_lifetime_s,
        )
        if answer is None:
            return
        if answer.mobile:
            until = now + answer.message.lifetime_s
            yield from self._notices.remember(answer.hnp, source, until, now)
        yield Send(source, answer.message)

    def _sought(self, hnp: IPv6Network, by: IPv6Address, now: float) -> Iterator[Effect]:
        """An MR sends packets here that it could send to where the node is (draft, 7: RS2.push)."""
        binding = self._database.bindings.get(hnp)
        if binding is None or binding.leaving or not self._database.is_away(binding):
            return
        if by != binding.location and is_infrastructure(self.context.directory, by):
            lifetime_s = min(self.options.answer_lifetime_s, binding.expires_at - now)
            yield from self._notices.push(by, binding, lifetime_of(lifetime_s), now)

    def snapshot(self, now: float) -> Mapping[str, list[dict[str, Any]]]:
        """The bindings."""
        return {
            "bindings": [
                {
                    "hnp": str(b.hnp),
                    "mn_id": b.mn_id,
                    "location": str(b.location),
                    "visiting": b.home_lm is not None,
                    "leaving": b.leaving,
                    "remaining_s": round(b.expires_at - now, 3),
                }
                for b in self._database.bindings
            ]
        }
