"""Hands events to the functions and carries out what they ask for; knows no event loop."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

from dmm_agent.functions.effects import (
    Advertise,
    CancelTimer,
    DropAddress,
    Install,
    KeepAddress,
    Probe,
    Record,
    Release,
    Remove,
    Send,
    SendOnLink,
    SetTimer,
    Tell,
)
from dmm_agent.functions.events import TimerFired

if TYPE_CHECKING:
    from collections.abc import Sequence
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


class Executor:
    """The functions on one side, the world on the other."""

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
        self._recorder = recorder

    def handle(self, event: Event) -> None:
        """Give an event to the functions now. A fault in a function is logged and survived."""
        now = self._clock.now()
        if self._recorder is not None:
            self._recorder.record(now, event)
        self._counters.count("inputs", type(event).__name__)
        try:
            effects = self._functions.handle(event, now)
        except Exception:
            self._counters.count("faults", "function")
            log.exception("a function failed", extra={"fields": {"input": repr(event)}})
            return
        self._execute(effects, now)

    def fire_timers(self) -> None:
        """Give the timers that are due to the functions."""
        for owner, key in self._timers.due(self._clock.now()):
            self.handle(TimerFired(owner, key))

    def sweep(self) -> None:
        """Take out what an earlier agent left in the kernel and nobody has asked for again."""
        stale = self._data_plane.stale()
        if stale:
            self._forward(stale)
            prefixes = sorted(str(effect.route.prefix) for effect in stale)
            fields = {"routes": len(stale), "prefixes": prefixes[:32]}
            self.note("swept", fields)

    def note(self, name: str, fields: dict[str, Any]) -> None:
        """Record something that the agent itself did."""
        self._record(Record(name, fields), self._clock.now())

    def _record(self, record: Record, now: float) -> None:
        self._counters.count("events", record.name)
        self._journal.record(now, record.name, record.fields)

    def _execute(self, effects: Sequence[Effect], now: float) -> None:
        """Forwarding first, in one exchange with the kernel: nobody is told before it works.

        Writing down what happened comes last: it can wait, a node in a handover cannot.
        """
        self._forward([e for e in effects if isinstance(e, Install | Remove)])
        for effect in effects:
            self._carry_out(effect)
        for effect in effects:
            if isinstance(effect, Record):
                self._record(effect, now)

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
        return self._neighbours.send_on_link(effect)

    def _report(self, what: str, problem: str | None) -> None:
        if problem is not None:
            self._counters.count("faults", what)
            log.error("%s failed", what, extra={"fields": {"reason": problem}})
