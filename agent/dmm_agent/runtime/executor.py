"""Hands events to the functions and carries out what they ask for; knows no event loop."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

from dmm_agent.functions.effects import (
    Advertise,
    CancelTimer,
    DropAddress,
    Forget,
    Install,
    KeepAddress,
    Probe,
    Record,
    Release,
    Remember,
    Remove,
    Send,
    SendOnLink,
    SetTimer,
    Tell,
)
from dmm_agent.functions.events import Inherited, Restored, TimerFired
from dmm_agent.store.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from ipaddress import IPv6Address, IPv6Network

    from dmm_agent.dataplane.forwarding import Failure
    from dmm_agent.functions.base import HoldLimits
    from dmm_agent.functions.effects import Effect
    from dmm_agent.functions.events import Event, Interception
    from dmm_agent.runtime.clock import Clock
    from dmm_agent.runtime.counters import Counters
    from dmm_agent.runtime.journal import Journal
    from dmm_agent.runtime.recorder import Recorder
    from dmm_agent.runtime.timers import Timers
    from dmm_agent.store.store import Changes
    from dmm_agent.wire import Message

log = logging.getLogger(__name__)


class Functions(Protocol):
    """The functions of the host, as one: `dmm_agent.functions.node.Node`."""

    @property
    def intercepts(self) -> frozenset[Interception]:
        """Which packets they want to hear of."""

    @property
    def hold_limits(self) -> HoldLimits | None:
        """How many packets they want to have held at most, if any."""

    @property
    def rewrites(self) -> bool:
        """Whether they want packets rewritten instead of tunnelled."""

    @property
    def takes_home_addresses(self) -> bool:
        """Whether they take messages that home addresses travel in front of."""

    @property
    def remembers(self) -> bool:
        """Whether they want things kept on disk."""

    @property
    def steers(self) -> bool:
        """Whether they have routes installed."""

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take an event, return effects for the outside."""

    def snapshot(self, now: float) -> dict[str, list[dict[str, Any]]]:
        """Rows by table."""


class DataPlane(Protocol):
    """`dmm_agent.dataplane.forwarding.Forwarding`."""

    def apply(self, effects: Sequence[Install | Remove]) -> list[Failure]:
        """Carry out effects, return what failed."""

    def stale(self) -> list[Remove]:
        """What would take out all that nobody asked for again."""

    def rows(self) -> list[dict[str, Any]]:
        """The routes in the kernel."""


class Access(Protocol):
    """`dmm_agent.attachment.access.AccessLinks`."""

    def advertise(self, effect: Advertise) -> str | None:
        """Send a router advertisement."""

    def probe(self, effect: Probe) -> str | None:
        """Ask for a sign of life."""


class Messenger(Protocol):
    """`dmm_agent.runtime.signalling.Signalling`."""

    def send(
        self, destination: IPv6Address, message: Message, source: IPv6Address | None = None
    ) -> str | None:
        """Send a message."""


class Neighbours(Protocol):
    """Those on the other side of links: `AccessLinks` at an access router."""

    def send_on_link(self, effect: SendOnLink) -> str | None:
        """Send a message between link-local addresses."""


class HomeMessenger(Protocol):
    """`dmm_agent.runtime.home_signalling.HomeSignalling`."""

    def send(self, effect: Send) -> str | None:
        """Send a message with a home address in front."""


class Addresses(Protocol):
    """`dmm_agent.attachment.own_addresses.OwnAddresses`."""

    def keep(self, effect: KeepAddress) -> str | None:
        """Have an address stay, deprecated."""

    def drop(self, effect: DropAddress) -> str | None:
        """Take an address away."""


class Holder(Protocol):
    """`dmm_agent.runtime.hold_device.HoldDevice`."""

    def release(self, prefix: IPv6Network) -> None:
        """Send the packets that wait for a prefix."""


class Memory(Protocol):
    """`dmm_agent.store.store.Store`."""

    def read(self) -> tuple[Remember, ...]:
        """All that is remembered."""

    def write(self, changes: Changes, now: float) -> None:
        """Put changes on the disk; raises `StoreError` if that fails."""


class Executor:
    """The functions on one side, the world on the other.

    Nothing leaves the host before what it goes back on is on the disk: that of the same event, of
    events before it, and of what could not be written until now. Events that are handled together
    share one commit.
    """

    def __init__(
        self,
        functions: Functions,
        *,
        data_plane: DataPlane,
        access: Access | None,
        messenger: Messenger,
        timers: Timers,
        clock: Clock,
        journal: Journal,
        counters: Counters,
        neighbours: Neighbours | None = None,
        holder: Holder | None = None,
        home_messenger: HomeMessenger | None = None,
        addresses: Addresses | None = None,
        memory: Memory | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self._functions = functions
        self._data_plane = data_plane
        self._access = access
        self._messenger = messenger
        self._timers = timers
        self._clock = clock
        self._journal = journal
        self._counters = counters
        self._neighbours = neighbours
        self._holder = holder
        self._home_messenger = home_messenger
        self._addresses = addresses
        self._memory = memory
        self._unwritten: dict[tuple[str, str, str], Mapping[str, Any] | None] = {}
        self._held_back: list[Effect] = []
        """What waits for the next commit, in its order."""
        self._writes_fail = False
        self._recorder = recorder

    def inherit(self) -> None:
        """Tell the functions what an earlier agent left in the kernel, if it left anything."""
        routes = tuple(effect.route for effect in self._data_plane.stale())
        if routes:
            self.handle(Inherited(routes))

    def restore(self) -> None:
        """Give the functions back what they had remembered.

        Raises:
            StoreError: the store is damaged.
            Exception: whatever a function raises that cannot make sense of its rows.
        """
        rows = () if self._memory is None else self._memory.read()
        if rows:
            now, event = self._clock.now(), Restored(rows)
            self._count(event, now)
            self._execute(self._functions.handle(event, now), now)
            self._commit()

    def handle(self, event: Event) -> None:
        """Give an event to the functions now."""
        self.handle_all((event,))

    def handle_all(self, events: Iterable[Event]) -> None:
        """Give events that came together to the functions. A fault in one is logged and survived.

        What one of them asks for is done before the next is handled, but what leaves the host, from
        the first on that has something remembered, leaves when all are.
        """
        try:
            for event in events:
                self._handle(event)
        finally:
            self._commit()

    def _handle(self, event: Event) -> None:
        now = self._clock.now()
        self._count(event, now)
        try:
            effects = self._functions.handle(event, now)
        except Exception:
            self._counters.count("faults", "function")
            log.exception("a function failed", extra={"fields": {"input": repr(event)}})
            return
        self._execute(effects, now)

    def _count(self, event: Event, now: float) -> None:
        if self._recorder is not None:
            self._recorder.record(now, event)
        self._counters.count("inputs", type(event).__name__)

    def fire_timers(self) -> None:
        """Give the timers that are due to the functions."""
        due = self._timers.due(self._clock.now())
        self.handle_all(TimerFired(owner, key) for owner, key in due)

    def sweep(self) -> None:
        """Take out what an earlier agent left in the kernel and nobody has asked for again."""
        stale = self._data_plane.stale()
        if stale:
            self._forward(stale)
            prefixes = sorted(str(effect.route.prefix) for effect in stale)
            fields = {"routes": len(stale), "prefixes": prefixes[:32]}
            self.note("swept", fields)

    def note(self, name: str, fields: dict[str, Any], *, warning: bool = False) -> None:
        """Record something that the agent itself did."""
        self._record(Record(name, fields, warning), self._clock.now())

    def _record(self, record: Record, now: float) -> None:
        self._counters.count("events", record.name)
        self._journal.record(now, record.name, record.fields, warning=record.warning)

    def _execute(self, effects: Sequence[Effect], now: float) -> None:
        """Forwarding first, in one exchange with the kernel: nobody is told before it works.

        Writing down what happened comes last: it can wait, a node in a handover cannot.
        """
        self._forward([e for e in effects if isinstance(e, Install | Remove)])
        for effect in effects:
            if isinstance(effect, Remember | Forget):
                fields = effect.fields if isinstance(effect, Remember) else None
                self._unwritten[effect.owner, effect.table, effect.key] = fields
        for effect in effects:
            if self._unwritten and not isinstance(effect, SetTimer | CancelTimer):
                self._held_back.append(effect)
            else:
                self._carry_out(effect)
        for effect in effects:
            if isinstance(effect, Record):
                self._record(effect, now)

    def _commit(self) -> None:
        """Put on the disk what is to be remembered, then let out what waited for that.

        If it cannot be put there, what waited is lost, as a message can be; it is written with the
        next.
        """
        if not self._unwritten:
            return
        held_back, self._held_back = self._held_back, []
        try:
            if self._memory is None:
                raise StoreError(
                    "a function remembers things, but did not say so: no store is open"
                )
            self._memory.write(self._unwritten, self._clock.now())
        except StoreError as error:
            self._counters.count("faults", "store")
            if not self._writes_fail:
                log.error("store failed", extra={"fields": {"reason": str(error)}})
            self._writes_fail = True
            return
        self._counters.count("store", "commits")
        self._counters.count("store", "rows", len(self._unwritten))
        self._unwritten.clear()
        if self._writes_fail:
            self._writes_fail = False
            self.note("store_recovered", {})
        for effect in held_back:
            self._carry_out(effect)

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Send() | SendOnLink():
                self._report("send", self._send(effect))
            case KeepAddress() | DropAddress():
                self._report("address", self._address(effect))
            case Advertise():
                self._report("advertise", self._advertise(effect))
            case Probe():
                self._report("probe", self._probe(effect))
            case SetTimer():
                self._timers.set(effect)
            case CancelTimer():
                self._timers.cancel(effect)
            case Release(prefix):
                if self._holder is not None:
                    self._holder.release(prefix)
            case Tell():
                self._report("tell", f"{effect} was meant for another function")

    def _send(self, effect: Send | SendOnLink) -> str | None:
        if isinstance(effect, SendOnLink):
            return self._send_on_link(effect)
        if effect.home_source is None and effect.home_destination is None:
            return self._messenger.send(effect.destination, effect.message, effect.source)
        if self._home_messenger is None:
            return f"{effect}: no function here takes home addresses"
        return self._home_messenger.send(effect)

    def _address(self, effect: KeepAddress | DropAddress) -> str | None:
        if self._addresses is None:
            return f"{effect}: this host is no mobile node"
        if isinstance(effect, KeepAddress):
            return self._addresses.keep(effect)
        return self._addresses.drop(effect)

    def _forward(self, effects: Sequence[Install | Remove]) -> None:
        if not effects:
            return
        for effect in effects:
            verb = type(effect).__name__.lower()
            self._counters.count("forwarding", f"{verb} {type(effect.route).__name__}")
        for failure in self._data_plane.apply(effects):
            self._report("forwarding", f"{failure.effect}: {failure.reason}")

    def _advertise(self, effect: Advertise) -> str | None:
        if self._access is None:
            return f"{effect.link} is not an access link of this host"
        self._counters.count("advertised", effect.link)
        return self._access.advertise(effect)

    def _probe(self, effect: Probe) -> str | None:
        if self._access is None:
            return f"{effect.link} is not an access link of this host"
        return self._access.probe(effect)

    def _send_on_link(self, effect: SendOnLink) -> str | None:
        if self._neighbours is None:
            return f"{effect.link} is not a link to mobile nodes or their routers"
        self._counters.count("sent_on_link", type(effect.message).__name__)
        return self._neighbours.send_on_link(effect)

    def _report(self, what: str, problem: str | None) -> None:
        if problem is not None:
            self._counters.count("faults", what)
            log.error("%s failed", what, extra={"fields": {"reason": problem}})
