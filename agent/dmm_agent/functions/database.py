"""The location database of one LM at work: bindings change, end, and others hear of it.

The draft's section 3 (a mapping of the home network prefix to who knows how to reach the node) and
section 5: a prefix whose node is at home has no entry, and no entry outlives its lease.
"""

from __future__ import annotations

from ipaddress import IPv6Network
from typing import TYPE_CHECKING

from dmm_agent.functions.bindings import Binding, BindingTable
from dmm_agent.functions.effects import (
    CancelTimer,
    Effect,
    Forget,
    Record,
    Remember,
    SetTimer,
    Tell,
)
from dmm_agent.functions.events import BindingGone, BindingSet, NodeLeft
from dmm_agent.wire import Timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv6Address

    from dmm_agent.functions.base import Context
    from dmm_agent.functions.events import Restored
    from dmm_agent.functions.notices import Notices
    from dmm_agent.wire import BindingUpdate


class Database:
    """The bindings of one LM, their timers, and the telling of others."""

    def __init__(self, owner: str, context: Context, max_bindings: int, notices: Notices) -> None:
        self._owner = owner
        self._context = context
        self._notices = notices
        self.bindings = BindingTable(max_bindings)
        self._untold: list[tuple[Binding | None, Binding | None, BindingUpdate | None]] = []
        """Changes that others have yet to hear of: before, after, and what brought them about."""

    def is_ours(self, hnp: IPv6Network) -> bool:
        """Whether this LM is the one that serves the prefix (draft, 6: each its own data)."""
        home = self._context.directory.home_of(hnp)
        return home is not None and home.lm == self._context.address

    def bind(self, binding: Binding, displaced_by: BindingUpdate | None = None) -> Iterator[Effect]:
        """Add, move or prolong a binding; who relies on the place it moved from hears of it."""
        old = self.bindings.get(binding.hnp)
        self.bindings.put(binding)
        yield from self.keep(binding)
        if old is not None and old.location == binding.location and not old.leaving:
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
        yield self._tell_beside(binding)
        if binding.home_lm is None:
            self._untold.append((old, binding, displaced_by))

    def unbind(
        self, hnp: IPv6Network, displaced_by: BindingUpdate | None = None
    ) -> Iterator[Effect]:
        """End a binding for a reason known here, and tell those who rely on it."""
        old = self.bindings.get(hnp)
        if old is None:
            return
        yield from self.drop(hnp)
        if old.home_lm is None:
            self._untold.append((old, None, displaced_by))

    def drop(self, hnp: IPv6Network) -> Iterator[Effect]:
        """End a binding that is there, telling nobody outside this host."""
        old = self.bindings.drop(hnp)
        assert old is not None, "only a binding that is there is dropped"
        yield Forget(self._owner, "bindings", str(hnp))
        yield CancelTimer(self._owner, ("expiry", hnp))
        yield Record("binding_gone", {"hnp": str(hnp), "mn_id": old.mn_id})
        yield Tell(BindingGone(hnp))

    def _tell_beside(self, binding: Binding) -> Tell:
        home = self._context.directory.home_of(binding.hnp)
        visiting = binding.home_lm is not None and home is not None
        via = home.mr if visiting and home else None
        return Tell(BindingSet(binding.hnp, binding.location, via, by_node=binding.by_node))

    def accept(self, hnp: IPv6Network, time_units: int) -> Iterator[Effect]:
        """A registration of this time was accepted: older ones come too late from now on.

        Also after a restart, and where there is no entry (RFC 5213, 5.5).
        """
        for forgotten in self.bindings.accept(hnp, time_units):
            yield Forget(self._owner, "newest", str(forgotten))
        yield Remember(self._owner, "newest", str(hnp), {"time_units": time_units})

    def keep(self, binding: Binding) -> Iterator[Effect]:
        """A binding is new or has changed: it lasts, also over a restart, until its time is up."""
        yield Remember(self._owner, "bindings", str(binding.hnp), binding.fields())
        yield self.expiry_timer(binding)

    def restore(self, memory: Restored) -> Iterator[Effect]:
        """Take back what an earlier run held, and tell the functions beside.

        That includes bindings whose time ran out meanwhile; ending them is the caller's.
        """
        newest = sorted((f["time_units"], k) for k, f in memory.of(self._owner, "newest"))
        for time_units, key in newest:
            self.bindings.accept(IPv6Network(key), time_units)
        for key, fields in memory.of(self._owner, "bindings"):
            binding = Binding.of_fields(IPv6Network(key), fields)
            self.bindings.put(binding)
            yield self.expiry_timer(binding)
            yield self._tell_beside(binding)
            if binding.leaving:
                yield Tell(NodeLeft(binding.hnp))

    def expiry_timer(self, binding: Binding) -> SetTimer:
        """Wakes the owner with the key ``("expiry", hnp)`` when the binding's time is up."""
        return SetTimer(self._owner, ("expiry", binding.hnp), binding.expires_at)

    def tell_others(self, now: float) -> Iterator[Effect]:
        """Tell the rest of the world what changed; whoever waits for an answer comes first."""
        for old, new, displaced_by in self._untold:
            yield from self._tell_others(old, new, now, displaced_by)
        self._untold.clear()

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
        assert known is not None, "a change has a before or an after"
        revoked = None if displaced_by is None else was
        if revoked is not None and displaced_by is not None:
            time = displaced_by.first(Timestamp) or Timestamp.at(now)
            until = known.expires_at
            yield from self._notices.revoke(revoked, known.hnp, known.mn_id, time, until, now)
        yield from self._notices.answer_changed(known.hnp, known.mn_id, is_now, revoked, now)

    def is_away(self, binding: Binding) -> bool:
        """Whether a prefix of this network is in another."""
        return binding.home_lm is None and self._seen_from_outside(binding) is not None

    def _seen_from_outside(self, binding: Binding | None) -> IPv6Address | None:
        """The other network's MR that a prefix is reached through; None while it is in this one."""
        if binding is None:
            return None
        owner = self._context.directory.owner_of(binding.location)
        inside = owner is not None and owner.network == self._context.network
        return None if inside else binding.location
