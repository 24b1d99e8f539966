"""The database takes updates: registrations and de-registrations by access routers and other LMs.

In the draft's terms the update of a record (4.5); on the wire RFC 5213, 5.3. What another network
allocated is left to `visitors`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmm_agent.functions.admission import refusal
from dmm_agent.functions.bindings import Binding
from dmm_agent.functions.effects import Effect, Record, Send, Tell
from dmm_agent.functions.events import NodeLeft
from dmm_agent.functions.proxy_messages import (
    ANY_PREFIX,
    MAX_PREFIXES,
    acknowledge,
    handoff_of,
    lifetime_of,
    node_of,
    prefixes_of,
    proxy_binding_update,
    time_units_of,
)
from dmm_agent.functions.registration import Registration
from dmm_agent.wire import BindingStatus, Handoff, Timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv6Address, IPv6Network

    from dmm_agent.functions.allocator import Allocator
    from dmm_agent.functions.base import Context
    from dmm_agent.functions.database import Database
    from dmm_agent.functions.location import LocationOptions
    from dmm_agent.functions.notices import Notices
    from dmm_agent.functions.visitors import Visitors
    from dmm_agent.wire import BindingRevocationAcknowledgement, BindingUpdate


class Updates:
    """Answers proxy binding updates."""

    def __init__(
        self,
        context: Context,
        options: LocationOptions,
        allocator: Allocator,
        database: Database,
        visitors: Visitors,
        notices: Notices,
    ) -> None:
        self._context = context
        self._options = options
        self._allocator = allocator
        self._database = database
        self._visitors = visitors
        self._notices = notices

    def take(self, source: IPv6Address, update: BindingUpdate, now: float) -> Iterator[Effect]:
        """Refuse an update, or do what it says (5.3.1)."""
        window_s = self._options.timestamp_window_ms / 1000
        status = refusal(self._context, source, update, now, window_s)
        hnps = prefixes_of(update)
        if len(hnps) > MAX_PREFIXES:
            yield _answer(source, update, BindingStatus.REASON_UNSPECIFIED, [], now)
        elif status is not None:
            yield _answer(source, update, status, hnps, now)
        elif update.lifetime_s == 0:
            yield from self._deregister(source, update, hnps, now)
        elif ANY_PREFIX in hnps:
            yield from self._attach(source, update, now)
        else:
            yield from self._register(source, update, hnps, now)

    def _attach(self, source: IPv6Address, update: BindingUpdate, now: float) -> Iterator[Effect]:
        """A node came to an access router of this network: lease, and move all it has here."""
        mn_id = node_of(update)
        lease = self._allocator.lease(mn_id, source, now)
        if lease is None:
            yield Record("pool_exhausted", {"mn_id": mn_id, "access_router": str(source)})
            status = BindingStatus.INSUFFICIENT_RESOURCES
            yield _answer(source, update, status, [ANY_PREFIX], now)
            return
        yield from self._allocator.keep(lease)
        of_node = self._database.bindings.of_node(mn_id)
        visiting = [binding.hnp for binding in of_node if binding.home_lm is not None]
        yield from self._register(source, update, [lease.hnp, *visiting], now)

    def _register(
        self, source: IPv6Address, update: BindingUpdate, hnps: list[IPv6Network], now: float
    ) -> Iterator[Effect]:
        """Point each prefix at the sender; for another network's new prefix ask its LM first."""
        registration = Registration(source, update)
        others = []
        for hnp in hnps:
            status = self._prefix_refusal(registration, hnp)
            if status is not None:
                registration.refuse(hnp, status)
            elif self._database.is_ours(hnp):
                yield from self._place(registration, hnp, now)
            else:
                others.append(hnp)
        yield from self._visitors.place(registration, others, now)
        if not registration.waiting:
            yield registration.answer(now)

    def _prefix_refusal(self, registration: Registration, hnp: IPv6Network) -> BindingStatus | None:
        """Why one prefix of an update is refused (5.3.1 and, for the order of updates, 5.5)."""
        bindings = self._database.bindings
        binding = bindings.get(hnp)
        if not self._may_register(registration.mn_id, hnp):
            return BindingStatus.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX
        if not bindings.has_room(hnp):
            return BindingStatus.INSUFFICIENT_RESOURCES
        newest, time = bindings.newest(hnp), registration.time_units
        repeated = binding is None or binding.location == registration.requester
        if time < newest or (time == newest and not repeated):
            return BindingStatus.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED
        return None

    def _may_register(self, mn_id: str, hnp: IPv6Network) -> bool:
        """Whether the prefix is the node's own, as far as this LM can know."""
        binding = self._database.bindings.get(hnp)
        if binding is not None and binding.mn_id != mn_id:
            return False
        if self._database.is_ours(hnp):
            lease = self._allocator.holder(hnp)
            return lease is not None and lease.mn_id == mn_id
        return self._options.hierarchy and self._context.directory.home_of(hnp) is not None

    def _place(self, registration: Registration, hnp: IPv6Network, now: float) -> Iterator[Effect]:
        """Point a prefix of this network at the sender, or at nobody when it is at home there.

        A registration renews the lease, since a session still needs the prefix (draft, 5).
        """
        source, update = registration.requester, registration.update
        lease = self._allocator.lease(registration.mn_id, source, now)
        assert lease is not None, "a standing lease cannot be refused"
        assert lease.hnp == hnp, "a node has one lease here"
        yield from self._allocator.keep(lease)
        yield from self._database.accept(hnp, registration.time_units)
        remaining_s = lease.expires_at - now
        if source == lease.access_router:
            registration.accept(hnp, lifetime_of(remaining_s), lease.expires_at)
            yield from self._database.unbind(hnp, displaced_by=update)
            return
        lifetime_s = lifetime_of(min(self._options.binding_lifetime_s, remaining_s))
        registration.accept(hnp, lifetime_s, lease.expires_at)
        expires_at = now + lifetime_s
        binding = Binding(hnp, lease.mn_id, source, None, expires_at, expires_at)
        yield from self._database.bind(binding, displaced_by=update)

    def _deregister(
        self, source: IPv6Address, update: BindingUpdate, hnps: list[IPv6Network], now: float
    ) -> Iterator[Effect]:
        """The sender lost the node: wait a little for it to show up elsewhere (5.3.5).

        If the node has not moved (handoff indicator 5) there is nothing to wait for: its sessions
        with these prefixes have ended. The home LM of a visiting one hears of it first.

        Where there is no entry the time is remembered all the same, because the registration that
        is taken back may yet arrive.
        """
        mn_id, time = node_of(update), time_units_of(update)
        self._visitors.left(mn_id, hnps, source)
        bindings = self._database.bindings
        ended = handoff_of(update) == Handoff.UNCHANGED
        for_home = []
        for hnp in self._all_of(mn_id) if ANY_PREFIX in hnps else hnps:
            binding = bindings.get(hnp)
            elsewhere = binding is not None and binding.location != source
            if elsewhere or time <= bindings.newest(hnp) or not self._may_register(mn_id, hnp):
                continue
            yield from self._database.accept(hnp, time)
            if ended:
                yield from self._database.unbind(hnp)
                for_home += [] if self._database.is_ours(hnp) else [hnp]
            elif binding is not None:
                binding.leaving = True
                binding.expires_at = min(binding.expires_at, now + self._options.delete_delay_s)
                yield from self._database.keep(binding)
                yield Tell(NodeLeft(hnp))
        if for_home:
            yield from self._visitors.sessions_ended(source, update, for_home, now)
        else:
            yield _answer(source, update, BindingStatus.ACCEPTED, hnps, now)

    def _all_of(self, mn_id: str) -> set[IPv6Network]:
        """Every prefix of a node that this LM knows of."""
        lease = self._allocator.lease_of(mn_id)
        leased = set() if lease is None else {lease.hnp}
        return leased | {binding.hnp for binding in self._database.bindings.of_node(mn_id)}

    def still_there(
        self, source: IPv6Address, answer: BindingRevocationAcknowledgement, now: float
    ) -> Iterator[Effect]:
        """A network refuses to give a node up, because it came back there in the meantime.

        That was a move inside that network, of which this LM heard nothing (draft, 6). The answer
        says when it was: if later than all that is known here, the entry moves back; if not, the
        revocation is sent again with the time of what is.
        """
        time, mn_id = answer.first(Timestamp), node_of(answer)
        bindings = self._database.bindings
        for hnp in prefixes_of(answer):
            mine = self._database.is_ours(hnp) and self._may_register(mn_id, hnp)
            if time is None or not mine or not bindings.has_room(hnp):
                continue
            newest = bindings.newest(hnp)
            if time.units > newest:
                update = proxy_binding_update(
                    sequence=0,
                    mn_id=mn_id,
                    hnps=[hnp],
                    handoff=Handoff.UNKNOWN,
                    time=time,
                    lifetime_s=self._options.binding_lifetime_s,
                )
                yield from self._place(Registration(source, update), hnp, now)
            elif time.units < newest:
                until = now + self._options.binding_lifetime_s
                yield from self._notices.revoke(source, hnp, mn_id, Timestamp(newest), until, now)


def _answer(
    destination: IPv6Address,
    update: BindingUpdate,
    status: BindingStatus,
    hnps: list[IPv6Network],
    now: float,
) -> Send:
    """An acknowledgement that grants no lifetime: of a refusal or a de-registration."""
    return Send(destination, acknowledge(update, status=status, lifetime_s=0, hnps=hnps, now=now))
