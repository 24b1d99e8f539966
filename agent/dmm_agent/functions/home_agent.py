"""The database takes updates of mobile nodes themselves: an LM as home agent (RFC 6275, 10.3).

The home address is one that the node formed on a link of this LM's network, where it needed nobody
for that. The allocator leases it to the node when it registers for the first time, and its binding
is an entry like any other. Who may register what is in `home_admission`.
"""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv6Network
from typing import TYPE_CHECKING

from dmm_agent.functions.binding_update_list import SEQUENCES
from dmm_agent.functions.bindings import Binding
from dmm_agent.functions.effects import Effect, Forget, Record, Remember
from dmm_agent.functions.home_admission import HomeUpdate, refusal
from dmm_agent.functions.mobile_networks import MobileNetworks
from dmm_agent.functions.proxy_messages import lifetime_of
from dmm_agent.wire import BindingStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmm_agent.functions.allocator import Allocator
    from dmm_agent.functions.base import Context
    from dmm_agent.functions.database import Database
    from dmm_agent.functions.events import Restored
    from dmm_agent.functions.location import LocationOptions


class HomeAgent:
    """Answers the binding updates that mobile nodes send."""

    def __init__(
        self,
        owner: str,
        context: Context,
        options: LocationOptions,
        allocator: Allocator,
        database: Database,
    ) -> None:
        self._owner = owner
        self._context = context
        self._options = options
        self._allocator = allocator
        self._database = database
        self._networks = MobileNetworks(context, database)
        self._sequences: OrderedDict[IPv6Network, int] = OrderedDict()
        """The newest of each home address, for longer than its binding: late copies are old."""

    def take(self, update: HomeUpdate, now: float) -> Iterator[Effect]:
        """Refuse an update, or do what it says (9.5.1, 10.3.1 and 10.3.2)."""
        status = refusal(self._context, self._database.bindings, update)
        status = status or self._networks.refusal(update)
        last = self._sequences.get(update.binding)
        if status is not None:
            yield update.answer(status)
        elif last is not None and not is_newer(update.sequence, last):
            yield update.answer(BindingStatus.SEQUENCE_OUT_OF_WINDOW, sequence=last)
        elif update.ends:
            yield from self._deregister(update, now)
        else:
            yield from self._register(update, now)

    def forget(self, binding: IPv6Network) -> Iterator[Effect]:
        """The lease of a home address has ended: whoever gets it next counts from anywhere."""
        if self._sequences.pop(binding, None) is not None:
            yield Forget(self._owner, "sequences", str(binding))

    def restore(self, memory: Restored) -> None:
        """Take back what an earlier run knew of the order of updates."""
        for key, fields in memory.of(self._owner, "sequences"):
            self._sequences[IPv6Network(key)] = fields["sequence"]

    def _register(self, update: HomeUpdate, now: float) -> Iterator[Effect]:
        """Lease the home address, or renew its lease, and point at the care-of address."""
        holder = self._allocator.holder(update.binding)
        if holder is not None and holder.mn_id != update.mn_id:
            yield update.answer(BindingStatus.DUPLICATE_ADDRESS_DETECTION_FAILED)
            return
        room = self._database.bindings.has_room(update.binding)
        lease = self._allocator.claim(update.binding, update.mn_id, now) if room else None
        if lease is None:
            yield Record("pool_exhausted", {"mn_id": update.mn_id, "hoa": str(update.home)})
            yield update.answer(BindingStatus.INSUFFICIENT_RESOURCES)
            return
        yield from self._allocator.keep(lease)
        yield from self._accept(update)
        longest_s = min(self._options.binding_lifetime_s, lease.expires_at - now)
        granted_s = min(update.lifetime_s, lifetime_of(longest_s))
        expires_at = now + granted_s
        binding = Binding(
            update.binding,
            update.mn_id,
            update.care_of,
            None,
            expires_at,
            expires_at,
            by_node=True,
        )
        yield from self._database.bind(binding)
        yield from self._networks.register(update, binding)
        yield update.answer(BindingStatus.ACCEPTED, granted_s)

    def _deregister(self, update: HomeUpdate, now: float) -> Iterator[Effect]:
        """The node is home, or no session needs the address any more.

        The sequence number counts also where nothing is bound: the update that it takes back may
        yet arrive. It is remembered for as long as the lease.
        """
        lease = self._allocator.claim(update.binding, update.mn_id, now)
        if lease is not None:
            yield from self._allocator.keep(lease)
            yield from self._accept(update)
        if self._database.bindings.get(update.binding) is None:
            yield update.answer(BindingStatus.NOT_HOME_AGENT_FOR_THIS_MOBILE_NODE)
            return
        yield from self._networks.deregister(update)
        yield from self._database.unbind(update.binding)
        yield update.answer(BindingStatus.ACCEPTED)

    def _accept(self, update: HomeUpdate) -> Iterator[Effect]:
        self._sequences[update.binding] = update.sequence
        self._sequences.move_to_end(update.binding)
        fields = {"sequence": update.sequence}
        yield Remember(self._owner, "sequences", str(update.binding), fields)
        while len(self._sequences) > 2 * self._options.max_bindings:
            yield Forget(self._owner, "sequences", str(self._sequences.popitem(last=False)[0]))


def is_newer(sequence: int, last: int) -> bool:
    """Whether a sequence number comes after another one, modulo 2^16 (RFC 6275, 9.5.1)."""
    return 0 < (sequence - last) % SEQUENCES < SEQUENCES // 2
