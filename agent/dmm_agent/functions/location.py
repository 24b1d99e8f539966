"""Location management: the database of where home network prefixes are reached (draft, 3 and 6).

Updated by proxy binding updates, asked by location queries. A prefix whose node is at home has no
entry: plain routing serves it (draft, section 5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from dmm_agent.functions.allocator import Allocator, Lease
from dmm_agent.functions.base import Context, Function, Options
from dmm_agent.functions.bindings import Binding, BindingTable
from dmm_agent.functions.effects import CancelTimer, Effect, Record, Send, SetTimer, Tell
from dmm_agent.functions.events import (
    BindingGone,
    BindingSet,
    Event,
    LeaseEnded,
    Received,
    TimerFired,
)
from dmm_agent.functions.notices import Notices
from dmm_agent.functions.proxy_messages import (
    ANY_PREFIX,
    acknowledge,
    lifetime_of,
    node_of,
    prefixes_of,
)
from dmm_agent.functions.queries import answer_query
from dmm_agent.functions.requests import Requests
from dmm_agent.functions.upstream import Answered, Registration, Upstream
from dmm_agent.wire import (
    AccessTechnologyType,
    BindingAcknowledgement,
    BindingRevocationAcknowledgement,
    BindingRevocationIndication,
    BindingStatus,
    BindingUpdate,
    BindingUpdateFlag,
    HandoffIndicator,
    LocationQuery,
    RevocationStatus,
    Timestamp,
    UpdateNotificationAcknowledgement,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from ipaddress import IPv6Address, IPv6Network


class LocationOptions(Options):
    """Options of `lm`."""

    database: Literal["home-network"] = "home-network"
    """Each LM serves the prefixes that its own network allocated."""
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
    """The LM of one network."""

    name: ClassVar[str] = "lm"
    options_class: ClassVar[type[Options]] = LocationOptions
    requires: ClassVar[frozenset[str]] = frozenset({"allocator"})

    def __init__(self, context: Context, options: LocationOptions) -> None:
        super().__init__(context, options)
        self._bindings = BindingTable(options.max_bindings)
        self._requests = Requests(self.name)
        self._notices = Notices(context, self._requests)
        self._upstream = Upstream(context)

    @property
    def _allocator(self) -> Allocator:
        allocator = self.context.beside["allocator"]
        assert isinstance(allocator, Allocator)
        return allocator

    def handle(self, event: Event, now: float) -> Iterable[Effect]:
        """Serve updates, queries and the answers to our own messages."""
        match event:
            case Received(source, BindingUpdate() as update):
                yield from self._updated(source, update, now)
            case Received(source, LocationQuery() as query):
                yield from self._queried(source, query, now)
            case Received(source, BindingAcknowledgement() as answer):
                yield from self._home_answered(source, answer, now)
            case Received(source, BindingRevocationIndication() as indication):
                yield from self._revoked(source, indication)
            case Received(source, BindingRevocationAcknowledgement(sequence=sequence)):
                yield from self._notices.revoked(source, sequence)
            case Received(source, UpdateNotificationAcknowledgement(sequence=sequence)):
                yield from self._notices.notified(source, sequence)
            case TimerFired(_, ("request", key)):
                yield from self._requests.again(key, now)
            case TimerFired(_, ("expiry", hnp)):
                yield from self._expired(hnp, now)
            case LeaseEnded(hnp):
                yield from self._lease_ended(hnp, now)
            case _:
                return

    # Updates (RFC 5213, 5.3)

    def _updated(self, source: IPv6Address, update: BindingUpdate, now: float) -> Iterator[Effect]:
        status = self._refusal(source, update, now)
        hnps = prefixes_of(update)
        if status is not None:
            yield self._answer(source, update, status, 0, hnps, now)
        elif update.lifetime_s == 0:
            yield from self._deregister(source, update, hnps, now)
        elif ANY_PREFIX in hnps:
            yield from self._attach(source, update, now)
        else:
            yield from self._register(source, update, hnps, now)

    def _refusal(
        self, source: IPv6Address, update: BindingUpdate, now: float
    ) -> BindingStatus | None:
        """Why an update is refused before its prefixes are looked at, in the order of 5.3.1."""
        mn_id = node_of(update)
        time = update.first(Timestamp)
        window = self.options.timestamp_window_ms / 1000
        checks = (
            (bool(mn_id), BindingStatus.MISSING_MN_IDENTIFIER_OPTION),
            (self._is_infrastructure(source), BindingStatus.MAG_NOT_AUTHORIZED_FOR_PROXY_REG),
            (
                BindingUpdateFlag.PROXY in update.flags
                and self.context.mobile_nodes.named(mn_id) is not None,
                BindingStatus.PROXY_REG_NOT_ENABLED,
            ),
            (
                time is not None and abs(time.seconds - now) <= window,
                BindingStatus.TIMESTAMP_MISMATCH,
            ),
            (bool(prefixes_of(update)), BindingStatus.MISSING_HOME_NETWORK_PREFIX_OPTION),
            (
                update.first(HandoffIndicator) is not None,
                BindingStatus.MISSING_HANDOFF_INDICATOR_OPTION,
            ),
            (
                update.first(AccessTechnologyType) is not None,
                BindingStatus.MISSING_ACCESS_TECH_TYPE_OPTION,
            ),
        )
        return next((status for holds, status in checks if not holds), None)

    def _is_infrastructure(self, address: IPv6Address) -> bool:
        directory = self.context.directory
        return directory.owner_of(address) is not None and directory.home_of(address) is None

    def _attach(self, source: IPv6Address, update: BindingUpdate, now: float) -> Iterator[Effect]:
        """A node came to an access router of this network: lease, and move all it has here."""
        mn_id = node_of(update)
        lease = self._allocator.lease(mn_id, source, now)
        if lease is None:
            yield Record("pool_exhausted", {"mn_id": mn_id, "access_router": str(source)})
            yield self._answer(
                source, update, BindingStatus.INSUFFICIENT_RESOURCES, 0, [ANY_PREFIX], now
            )
            return
        yield self._allocator.timer(lease)
        visiting = [b.hnp for b in self._bindings.of_node(mn_id) if b.home_lm is not None]
        yield from self._register(source, update, [lease.hnp, *visiting], now)

    def _register(
        self, source: IPv6Address, update: BindingUpdate, hnps: list[IPv6Network], now: float
    ) -> Iterator[Effect]:
        """Point each prefix at the sender; for another network's new prefix ask its LM first."""
        registration = Registration(source, update)
        refresh: list[IPv6Network] = []
        for hnp in hnps:
            refusal = self._prefix_refusal(source, update, hnp)
            if refusal is not None:
                registration.status = registration.status or refusal
            elif self._is_ours(hnp):
                yield from self._place_own(source, update, hnp, registration, now)
            elif self._bindings.get(hnp) is None:
                registration.waiting.add(hnp)
            else:
                yield from self._place_visiting(source, update, hnp, registration, refresh, now)
        yield from self._upstream.register(update, refresh, None)
        if registration.waiting:
            waiting = [hnp for hnp in hnps if hnp in registration.waiting]
            yield from self._upstream.register(update, waiting, registration)
        else:
            yield self._conclude(registration, now)

    def _prefix_refusal(
        self, source: IPv6Address, update: BindingUpdate, hnp: IPv6Network
    ) -> BindingStatus | None:
        mn_id = node_of(update)
        binding = self._bindings.get(hnp)
        if binding is not None and binding.mn_id != mn_id:
            return BindingStatus.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX
        if self._is_ours(hnp):
            lease = self._allocator.holder(hnp)
            if lease is None or lease.mn_id != mn_id:
                return BindingStatus.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX
        elif not (self.options.hierarchy and self.context.directory.home_of(hnp)):
            return BindingStatus.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX
        if not self._bindings.has_room(hnp):
            return BindingStatus.INSUFFICIENT_RESOURCES
        newest, time = self._bindings.newest(hnp), _time_units(update)
        repeated = time == newest and (binding is None or binding.location == source)
        if time < newest or (time == newest and not repeated):
            return BindingStatus.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED
        return None

    def _is_ours(self, hnp: IPv6Network) -> bool:
        home = self.context.directory.home_of(hnp)
        return home is not None and home.lm == self.context.address

    def _place_own(
        self,
        source: IPv6Address,
        update: BindingUpdate,
        hnp: IPv6Network,
        registration: Registration,
        now: float,
    ) -> Iterator[Effect]:
        lease = self._allocator.lease(node_of(update), source, now)
        assert lease is not None, "a standing lease cannot be refused"
        assert lease.hnp == hnp, "a node has one lease here"
        yield self._allocator.timer(lease)
        self._bindings.accept(hnp, _time_units(update))
        registration.accepted.append(hnp)
        if source == lease.access_router:
            registration.lifetime_s = min(
                registration.lifetime_s, lifetime_of(lease.expires_at - now)
            )
            yield from self._unbind(hnp, now, displaced_by=update)
            return
        lifetime_s = self._granted(lease, now)
        registration.lifetime_s = min(registration.lifetime_s, lifetime_s)
        expires_at = now + lifetime_s
        binding = Binding(hnp, lease.mn_id, source, None, expires_at, expires_at)
        yield from self._bind(binding, now, displaced_by=update)

    def _granted(self, lease: Lease, now: float) -> int:
        return lifetime_of(min(self.options.binding_lifetime_s, lease.expires_at - now))

    def _place_visiting(
        self,
        source: IPv6Address,
        update: BindingUpdate,
        hnp: IPv6Network,
        registration: Registration,
        refresh: list[IPv6Network],
        now: float,
    ) -> Iterator[Effect]:
        known = self._bindings.get(hnp)
        assert known is not None, "only a known visitor is placed without its home LM"
        self._bindings.accept(hnp, _time_units(update))
        remaining_s = known.home_expires_at - now
        if remaining_s < self.options.binding_lifetime_s * 2 / 3:
            refresh.append(hnp)
        lifetime_s = lifetime_of(min(self.options.binding_lifetime_s, remaining_s))
        registration.accepted.append(hnp)
        registration.lifetime_s = min(registration.lifetime_s, lifetime_s)
        expires_at = min(now + lifetime_s, known.home_expires_at)
        binding = Binding(
            hnp, known.mn_id, source, known.home_lm, expires_at, known.home_expires_at
        )
        yield from self._bind(binding, now, displaced_by=update)

    def _conclude(self, registration: Registration, now: float) -> Send:
        """Answer an access router: accepted if any of its prefixes was."""
        if registration.accepted:
            return self._answer(
                registration.requester,
                registration.update,
                BindingStatus.ACCEPTED,
                registration.lifetime_s,
                registration.accepted,
                now,
            )
        hnps = prefixes_of(registration.update)
        return self._answer(
            registration.requester, registration.update, registration.status, 0, hnps, now
        )

    def _answer(
        self,
        destination: IPv6Address,
        update: BindingUpdate,
        status: int,
        lifetime_s: int,
        hnps: list[IPv6Network],
        now: float,
    ) -> Send:
        message = acknowledge(update, status=status, lifetime_s=lifetime_s, hnps=hnps, now=now)
        return Send(destination, message)

    def _deregister(
        self, source: IPv6Address, update: BindingUpdate, hnps: list[IPv6Network], now: float
    ) -> Iterator[Effect]:
        """The sender lost the node: wait a little for it to show up elsewhere (5.3.5)."""
        mn_id, time = node_of(update), _time_units(update)
        self._upstream.forget(mn_id, hnps, source)
        for hnp in hnps:
            binding = self._bindings.get(hnp)
            if (
                binding is not None
                and binding.mn_id == mn_id
                and binding.location == source
                and time > self._bindings.newest(hnp)
            ):
                self._bindings.accept(hnp, time)
                binding.leaving = True
                binding.expires_at = min(binding.expires_at, now + self.options.delete_delay_s)
                yield self._expiry_timer(binding)
        yield self._answer(source, update, BindingStatus.ACCEPTED, 0, hnps, now)

    # The visited side: answers of home LMs and their revocations

    def _home_answered(
        self, source: IPv6Address, answer: BindingAcknowledgement, now: float
    ) -> Iterator[Effect]:
        answered = self._upstream.answered(source, answer)
        if answered is None:
            return
        registration = answered.registration
        for hnp in answered.accepted:
            yield from self._home_points_here(hnp, answered, answer.lifetime_s, now)
        if registration is None:
            for hnp in answered.refused:
                yield from self._unbind(hnp, now)
            return
        registration.waiting.difference_update(answered.accepted, answered.refused)
        registration.accepted.extend(answered.accepted)
        if answered.accepted:
            registration.lifetime_s = min(registration.lifetime_s, answer.lifetime_s)
        registration.status = registration.status or answer.status
        if not registration.waiting:
            yield self._conclude(registration, now)

    def _home_points_here(
        self, hnp: IPv6Network, answered: Answered, lifetime_s: int, now: float
    ) -> Iterator[Effect]:
        known = self._bindings.get(hnp)
        until = now + lifetime_s
        registration = answered.registration
        if registration is None:
            if known is not None:
                known.home_expires_at = max(known.home_expires_at, until)
                if not known.leaving:
                    known.expires_at = min(
                        now + self.options.binding_lifetime_s, known.home_expires_at
                    )
                    yield self._expiry_timer(known)
            return
        time = _time_units(registration.update)
        if time < self._bindings.newest(hnp) or not self._bindings.has_room(hnp):
            return
        self._bindings.accept(hnp, time)
        binding = Binding(
            hnp, answered.mn_id, registration.requester, answered.home_lm, until, until
        )
        yield from self._bind(binding, now)

    def _revoked(
        self, source: IPv6Address, indication: BindingRevocationIndication
    ) -> Iterator[Effect]:
        """A home LM says that its prefix is not served here any more (RFC 5846, 3.4)."""
        time = indication.first(Timestamp)
        status = RevocationStatus.BINDING_DOES_NOT_EXIST
        for hnp in prefixes_of(indication):
            binding = self._bindings.get(hnp)
            if binding is None or binding.home_lm != source:
                continue
            if time is not None and time.units <= self._bindings.newest(hnp):
                status = RevocationStatus.REVOCATION_FAILED_MN_IS_ATTACHED
                continue
            status = RevocationStatus.SUCCESS
            yield from self._drop(hnp)
        answer = BindingRevocationAcknowledgement(
            status=status,
            sequence=indication.sequence,
            flags=indication.flags,
            options=tuple(o for o in indication.options if not isinstance(o, Timestamp)),
        )
        yield Send(source, answer)

    # The table

    def _bind(
        self, binding: Binding, now: float, displaced_by: BindingUpdate | None = None
    ) -> Iterator[Effect]:
        old = self._bindings.get(binding.hnp)
        self._bindings.put(binding)
        yield self._expiry_timer(binding)
        if old is not None and old.location == binding.location:
            return
        yield Record(
            "binding_set",
            {
                "hnp": str(binding.hnp),
                "mn_id": binding.mn_id,
                "location": str(binding.location),
                "before": None if old is None else str(old.location),
            },
        )
        home = self.context.directory.home_of(binding.hnp)
        visiting = binding.home_lm is not None and home is not None
        yield Tell(
            BindingSet(binding.hnp, binding.location, home.mr if visiting and home else None)
        )
        if binding.home_lm is None:
            yield from self._tell_others(old, binding, now, displaced_by)

    def _unbind(
        self, hnp: IPv6Network, now: float, displaced_by: BindingUpdate | None = None
    ) -> Iterator[Effect]:
        """End a binding for a reason known here, and tell those who rely on it."""
        old = self._bindings.get(hnp)
        if old is None:
            return
        yield from self._drop(hnp)
        if old.home_lm is None:
            yield from self._tell_others(old, None, now, displaced_by)

    def _drop(self, hnp: IPv6Network) -> Iterator[Effect]:
        old = self._bindings.drop(hnp)
        assert old is not None
        yield CancelTimer(self.name, ("expiry", hnp))
        yield Record("binding_gone", {"hnp": str(hnp), "mn_id": old.mn_id})
        yield Tell(BindingGone(hnp))

    def _tell_others(
        self,
        old: Binding | None,
        new: Binding | None,
        now: float,
        displaced_by: BindingUpdate | None,
    ) -> Iterator[Effect]:
        """The network that lost the node, and whoever holds an answer that is now untrue."""
        was, is_now = self._seen_from_outside(old), self._seen_from_outside(new)
        if was == is_now:
            return
        known = old or new
        assert known is not None
        if was is not None and displaced_by is not None:
            time = displaced_by.first(Timestamp) or Timestamp.at(now)
            yield from self._notices.revoke(was, known.hnp, known.mn_id, time, now)
        yield from self._notices.answer_changed(known.hnp, known.mn_id, is_now, now)

    def _seen_from_outside(self, binding: Binding | None) -> IPv6Address | None:
        """The other network's MR that a prefix is reached through; None while it is in this one."""
        if binding is None:
            return None
        owner = self.context.directory.owner_of(binding.location)
        inside = owner is not None and owner.network == self.context.network
        return None if inside else binding.location

    def _expiry_timer(self, binding: Binding) -> SetTimer:
        return SetTimer(self.name, ("expiry", binding.hnp), binding.expires_at)

    def _expired(self, hnp: IPv6Network, now: float) -> Iterator[Effect]:
        binding = self._bindings.get(hnp)
        if binding is None:
            return
        if binding.expires_at > now:
            yield self._expiry_timer(binding)
            return
        if binding.home_lm is not None and binding.home_expires_at > now:
            time = Timestamp.at(now)
            yield from self._upstream.deregister(binding.home_lm, binding.mn_id, hnp, time)
        yield from self._unbind(hnp, now)

    def _lease_ended(self, hnp: IPv6Network, now: float) -> Iterator[Effect]:
        yield from self._unbind(hnp, now)
        self._notices.forget(hnp)

    # Queries

    def _queried(self, source: IPv6Address, query: LocationQuery, now: float) -> Iterator[Effect]:
        if not self._is_infrastructure(source):
            yield Record("query_refused", {"source": str(source)})
            return
        answer = answer_query(
            self.context,
            self._bindings,
            self._allocator,
            query,
            now,
            self.options.answer_lifetime_s,
        )
        if answer is None:
            return
        if answer.mobile:
            self._notices.remember(answer.hnp, source, now + answer.message.lifetime_s)
        yield Send(source, answer.message)

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
                for b in self._bindings
            ]
        }


def _time_units(update: BindingUpdate) -> int:
    time = update.first(Timestamp)
    assert time is not None, "an update without timestamp was accepted"
    return time.units
