"""The visited network's side: prefixes that other networks allocated, tracked while they are here.

The hierarchy LM - proxy - MN of the draft's sections 2.2, 5 and 6: the home LM points at this
network, and this network alone keeps track of the node inside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmm_agent.functions.bindings import Binding
from dmm_agent.functions.effects import Effect, Send, Tell
from dmm_agent.functions.events import BindingGone
from dmm_agent.functions.proxy_messages import (
    SHORTEST_LIFETIME_S,
    handoff_of,
    lifetime_of,
    prefixes_of,
    time_units_of,
)
from dmm_agent.functions.upstream import Upstream
from dmm_agent.wire import (
    BindingRevocationAcknowledgement,
    BindingStatus,
    Handoff,
    RevocationStatus,
    Timestamp,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from ipaddress import IPv6Address, IPv6Network

    from dmm_agent.functions.base import Context
    from dmm_agent.functions.database import Database
    from dmm_agent.functions.location import LocationOptions
    from dmm_agent.functions.registration import Registration
    from dmm_agent.functions.upstream import Answered
    from dmm_agent.wire import (
        BindingAcknowledgement,
        BindingRevocationIndication,
        BindingUpdate,
    )


class Visitors:
    """Stands in for visiting nodes at their home LMs."""

    def __init__(self, context: Context, options: LocationOptions, database: Database) -> None:
        self._context = context
        self._options = options
        self._database = database
        self._upstream = Upstream(context)

    def place(
        self, registration: Registration, hnps: Iterable[IPv6Network], now: float
    ) -> Iterator[Effect]:
        """Point visiting prefixes at an access router of this network.

        A prefix that is known here moves at once, and its home LM hears nothing of it (draft, 6)
        unless its own binding needs to be refreshed. For a new one, or one whose time at home is
        all but up, the home LM is asked first: the registration waits for its answer.
        """
        refresh = []
        for hnp in hnps:
            known = self._database.bindings.get(hnp)
            home_remaining_s = 0.0 if known is None else known.home_expires_at - now
            if known is None or home_remaining_s < SHORTEST_LIFETIME_S:
                registration.waiting.add(hnp)
                continue
            if home_remaining_s < self._refresh_below_s(registration):
                refresh.append(hnp)
            yield from self._move(registration, known, now)
        update = registration.update
        yield from self._upstream.register(update, refresh, None, now)
        waiting = [hnp for hnp in hnps if hnp in registration.waiting]
        yield from self._upstream.register(update, waiting, registration, now)

    def _refresh_below_s(self, registration: Registration) -> float:
        """A refresh from below is the time to refresh above; a move is only when it cannot wait."""
        refreshed = handoff_of(registration.update) == Handoff.UNCHANGED
        return self._options.binding_lifetime_s * (2 / 3 if refreshed else 1 / 4)

    def _move(self, registration: Registration, known: Binding, now: float) -> Iterator[Effect]:
        home_expires_at = known.home_expires_at
        yield from self._database.accept(known.hnp, registration.time_units)
        lifetime_s = lifetime_of(min(self._options.binding_lifetime_s, home_expires_at - now))
        registration.accept(known.hnp, lifetime_s, known.leased_until)
        binding = Binding(
            known.hnp,
            known.mn_id,
            registration.requester,
            known.home_lm,
            expires_at=min(now + lifetime_s, home_expires_at),
            home_expires_at=home_expires_at,
            leased_until=known.leased_until,
        )
        yield from self._database.bind(binding, displaced_by=registration.update)

    def home_answered(
        self, source: IPv6Address, answer: BindingAcknowledgement, now: float
    ) -> Iterator[Effect]:
        """A home LM accepted or refused to point here."""
        if (yield from self._upstream.said_again(source, answer, now)):
            return
        answered = self._upstream.answered(source, answer)
        if answered is None:
            yield from self._upstream.end_answered(source, answer, now)
            return
        registration = answered.registration
        if registration is None:
            yield from self._refreshed(answered, now)
            return
        for hnp in answered.accepted:
            if self._is_news(registration, hnp):
                yield from self._home_points_here(hnp, answered, registration)
            else:
                status = BindingStatus.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED
                registration.refuse(hnp, status)
        for hnp in answered.refused:
            registration.refuse(hnp, answer.status)
        if not registration.waiting:
            yield registration.answer(now)

    def _is_news(self, registration: Registration, hnp: IPv6Network) -> bool:
        """Whether nothing newer came while the home LM was asked, and there still is room."""
        bindings = self._database.bindings
        return registration.time_units >= bindings.newest(hnp) and bindings.has_room(hnp)

    def _home_points_here(
        self, hnp: IPv6Network, answered: Answered, registration: Registration
    ) -> Iterator[Effect]:
        lifetime_s = lifetime_of(min(self._options.binding_lifetime_s, answered.lifetime_s))
        leased_until = answered.leased_until.get(hnp)
        registration.accept(hnp, lifetime_s, leased_until)
        yield from self._database.accept(hnp, registration.time_units)
        binding = Binding(
            hnp,
            registration.mn_id,
            registration.requester,
            answered.home_lm,
            expires_at=answered.asked_at + lifetime_s,
            home_expires_at=answered.expires_at,
            leased_until=leased_until,
        )
        yield from self._database.bind(binding)

    def _refreshed(self, answered: Answered, now: float) -> Iterator[Effect]:
        """A home LM goes on pointing here, or does not any more."""
        for hnp in answered.accepted:
            known = self._database.bindings.get(hnp)
            if known is None:
                continue
            known.home_expires_at = max(known.home_expires_at, answered.expires_at)
            known.leased_until = answered.leased_until.get(hnp, known.leased_until)
            if not known.leaving:
                known.expires_at = min(
                    now + self._options.binding_lifetime_s, known.home_expires_at
                )
            yield from self._database.keep(known)
        time_units = time_units_of(answered.update)
        for hnp in answered.refused:
            # A copy that came late or was overtaken says nothing of the ones after it.
            overtaken = time_units < self._database.bindings.newest(hnp)
            if not overtaken and answered.status != BindingStatus.TIMESTAMP_MISMATCH:
                yield from self._database.unbind(hnp)

    def left(self, mn_id: str, hnps: Iterable[IPv6Network], requester: IPv6Address) -> None:
        """The node left the access router before a home LM answered: the answer is not wanted."""
        self._upstream.forget(mn_id, hnps, requester)

    def sessions_ended(
        self, requester: IPv6Address, update: BindingUpdate, hnps: list[IPv6Network], now: float
    ) -> Iterator[Effect]:
        """No session needs these prefixes here any more: their home LMs need not point here."""
        yield from self._upstream.end(requester, update, hnps, now)

    def expired(self, binding: Binding, now: float) -> Iterator[Effect]:
        """A binding's time is up: if its home LM still points here, say that it need not."""
        if binding.home_lm is not None and binding.home_expires_at > now:
            time = Timestamp.at(now)
            yield from self._upstream.deregister(binding.home_lm, binding.mn_id, binding.hnp, time)

    def revoked(
        self, source: IPv6Address, indication: BindingRevocationIndication
    ) -> Iterator[Effect]:
        """A home LM says that its prefix is not served here any more (RFC 5846, 3.4).

        If the node has come back since, the answer says when; not if it has left again, which its
        access router may have noticed late. The time of the revocation is remembered also where
        there is no entry, because the acceptance of an older registration may yet arrive; and the
        MR beside hears of it, because what it knows of the prefix is no longer true either.
        """
        bindings = self._database.bindings
        clocks = self._upstream.clocks
        time = indication.first(Timestamp)
        time = None if time is None else clocks.here(source, time)
        options = [o for o in indication.options if not isinstance(o, Timestamp)]
        status = RevocationStatus.BINDING_DOES_NOT_EXIST
        for hnp in prefixes_of(indication):
            home = self._context.directory.home_of(hnp)
            if home is None or home.lm != source or self._database.is_ours(hnp):
                continue
            binding, newest = bindings.get(hnp), bindings.newest(hnp)
            if time is not None and time.units > newest:
                yield from self._database.accept(hnp, time.units)
            elif time is not None and binding is not None and not binding.leaving:
                status = RevocationStatus.REVOCATION_FAILED_MN_IS_ATTACHED
                options.append(clocks.there(source, Timestamp(newest)))
                continue
            if binding is not None:
                status = RevocationStatus.SUCCESS
                yield from self._database.drop(hnp)
            else:
                yield Tell(BindingGone(hnp))
        answer = BindingRevocationAcknowledgement(
            status=status,
            sequence=indication.sequence,
            flags=indication.flags,
            options=tuple(options),
        )
        yield Send(source, answer)
