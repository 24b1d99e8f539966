"""The agent of one host: opens everything, runs the loop, closes everything."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from dmm_agent.attachment.access import QUESTION_PAUSE_S, AccessLinks
from dmm_agent.attachment.links import LinkMonitor, list_links, look_up
from dmm_agent.attachment.own_addresses import OwnAddresses
from dmm_agent.dataplane.lifecycle import bring_up, mobile_node_mtu
from dmm_agent.dataplane.netlink import Netlink
from dmm_agent.dataplane.nflog import Nflog
from dmm_agent.dataplane.tunnels import TUNNELS
from dmm_agent.functions.events import Started
from dmm_agent.runtime import samples
from dmm_agent.runtime.clock import Clock
from dmm_agent.runtime.control import ControlServer
from dmm_agent.runtime.counters import Counters
from dmm_agent.runtime.error_relay import ErrorRelay
from dmm_agent.runtime.executor import Executor
from dmm_agent.runtime.hold_device import HoldDevice
from dmm_agent.runtime.home_signalling import HomeSignalling
from dmm_agent.runtime.journal import Journal
from dmm_agent.runtime.mobile_node import MobileNode
from dmm_agent.runtime.no_data_plane import NoDataPlane
from dmm_agent.runtime.readiness import tell_ready
from dmm_agent.runtime.recorder import Recorder
from dmm_agent.runtime.signalling import Signalling
from dmm_agent.runtime.timers import Timers
from dmm_agent.sockets.monitor import LOOK_EVERY_S
from dmm_agent.store.store import Store, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from dmm_agent.attachment.links import Link
    from dmm_agent.config import AgentConfig
    from dmm_agent.runtime.executor import DataPlane, Functions

log = logging.getLogger(__name__)

SNAPSHOT_TABLES = ("leases", "bindings", "cache", "attachments", "sessions")
ETHERNET_MTU = 1500
CLOCK_TOLERANCE_S = 1.0
"""A host's clock that is set back by less, as it is kept right, is nothing to tell of."""


class AddressError(Exception):
    """The agent's address is not on this host."""


class _Closable(Protocol):
    def close(self) -> None: ...


ClosableT = TypeVar("ClosableT", bound=_Closable)


class Agent:
    """Everything of one running agent."""

    def __init__(
        self,
        config: AgentConfig,
        functions: Functions,
        *,
        control_path: Path,
        adoption_grace_s: float,
        store_path: Path,
        record_path: Path | None = None,
    ) -> None:
        self._config = config
        self._functions = functions
        self._control_path = control_path
        self._adoption_grace_s = adoption_grace_s
        self._store_path = store_path
        self._record_path = record_path
        self._clock = Clock()
        self._journal = Journal()
        self._counters = Counters()
        self._timers = Timers()
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at: float | None = None
        self._question: asyncio.TimerHandle | None = None
        self._behind_s = 0.0
        """How much earlier the host's clock was than the store."""

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT; forwarding stays as it is afterwards.

        Raises:
            AddressError: the agent's address is not on this host.
            AlreadyRunningError: another agent runs here.
            DataplaneError, NetlinkError, NftablesError, NflogError: the kernel or a tool does not
                do what is needed.
            StoreError: what the functions remember cannot be read or written.
            OSError: a socket or file cannot be opened.
        """
        loop = asyncio.get_running_loop()
        stopped = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        control = ControlServer(self._control_path, self._commands(), self._journal)
        with ExitStack() as stack:
            control.claim()
            stack.callback(control.stop)
            store = self._open_store(stack)
            self._open(stack, store)
            self._start(loop)
            await control.start()
            tell_ready(f"{self._config.host} runs {', '.join(sorted(self._config.functions))}")
            gc.freeze()  # what start-up made stays: collections need not look at it again
            await stopped.wait()
            self._executor.note("stopped", {"uptime_s": round(self._clock.uptime_s(), 3)})
            if store is not None:
                with suppress(StoreError):  # the next run does not begin before this one's end
                    store.write({}, self._clock.now())

    # Opening

    def _open_store(self, stack: ExitStack) -> Store | None:
        """The store, if some function remembers things; time goes on from its last commit."""
        if not self._functions.remembers:
            return None
        store = self._keep(stack, Store(self._store_path))
        self._behind_s = self._clock.not_before(store.newest_s)
        return store

    def _open(self, stack: ExitStack, store: Store | None) -> None:
        signalling = self._keep(stack, self._open_signalling())
        self._netlink = netlink = self._keep(stack, Netlink())
        home = self._open_home_signalling(stack)
        hold = self._open_hold_device(stack)
        self._forwarding = self._open_data_plane(netlink, hold)
        self._mobile_node = mobile_node = self._open_mobile_node(stack, netlink)
        self._access = access = self._open_access(stack, netlink)
        recorder = None
        if self._record_path is not None:
            recorder = self._keep(stack, Recorder(self._record_path, self._config.address))
        self._executor = Executor(
            self._functions,
            data_plane=self._forwarding,
            access=access,
            messenger=signalling,
            timers=self._timers,
            clock=self._clock,
            journal=self._journal,
            counters=self._counters,
            neighbours=mobile_node.neighbour if mobile_node else access,
            holder=hold,
            home_messenger=home,
            memory=store,
            addresses=OwnAddresses(netlink) if mobile_node else None,
            recorder=recorder,
        )
        if hold is not None:
            self._watch(stack, hold, lambda: self._packets_held(hold))
        self._watch(stack, signalling, lambda: self._receive(signalling))
        if home is not None:
            self._watch(stack, home, lambda: self._receive_at_home(home))
        self._open_error_relay(stack)
        self._open_samples(stack, access)
        if mobile_node is not None:
            self._watch_mobile_node(stack, mobile_node)
        if access is not None:
            self._watch(stack, access, lambda: self._hear(access))
            monitor = self._keep(stack, LinkMonitor())
            self._watch(stack, monitor, lambda: self._links_changed(monitor, access))

    def _keep(self, stack: ExitStack, thing: ClosableT) -> ClosableT:
        stack.callback(thing.close)
        return thing

    def _watch(self, stack: ExitStack, source: Any, ready: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        descriptor = source.fileno()

        def guarded() -> None:
            ready()
            self._arm()

        loop.add_reader(descriptor, guarded)
        stack.callback(loop.remove_reader, descriptor)

    def _open_signalling(self) -> Signalling:
        try:
            return Signalling(self._config.address, self._counters)
        except OSError as error:
            if isinstance(error, PermissionError):
                raise
            raise AddressError(
                f"address: expected {self._config.address} on the loopback interface of this "
                f"host, but it cannot be used ({error.strerror}); add it before the agent starts"
            ) from error

    def _open_home_signalling(self, stack: ExitStack) -> HomeSignalling | None:
        if not self._functions.takes_home_addresses:
            return None
        at_node = self._config.radio is not None
        address = None if at_node else self._config.address
        return self._keep(stack, HomeSignalling(address, self._counters))

    def _open_data_plane(self, netlink: Netlink, hold: HoldDevice | None) -> DataPlane:
        if not self._functions.steers:
            return NoDataPlane()
        return bring_up(
            self._config,
            netlink,
            self._functions.intercepts,
            hold.index if hold else 0,
            rewrites=self._functions.rewrites,
            home_addresses=self._functions.takes_home_addresses,
        )

    def _open_mobile_node(self, stack: ExitStack, netlink: Netlink) -> MobileNode | None:
        radio = self._config.radio
        if radio is None:
            return None
        declined = self._config.mobile_nodes.declined_flows
        return self._keep(stack, MobileNode(radio, declined, netlink, self._clock, self._counters))

    def _watch_mobile_node(self, stack: ExitStack, node: MobileNode) -> None:
        self._watch(stack, node.radio, lambda: self._executor.handle_all(node.radio_changed()))
        self._watch(stack, node.routers, lambda: self._executor.handle_all(node.routers.read()))
        self._watch(stack, node.neighbour, lambda: self._executor.handle_all(node.neighbour.read()))
        self._watch(stack, node.sockets, lambda: self._executor.handle_all(node.sockets_ended()))

    def _open_access(self, stack: ExitStack, netlink: Netlink) -> AccessLinks | None:
        if not self._config.access_links:
            return None
        mtu = mobile_node_mtu(self._config.uplinks)
        return self._keep(
            stack,
            AccessLinks(
                self._config.access_links,
                self._clock.uptime_s,
                lambda index: look_up(netlink, index),
                mtu if mtu < ETHERNET_MTU else None,
            ),
        )

    def _open_hold_device(self, stack: ExitStack) -> HoldDevice | None:
        limits = self._functions.hold_limits
        return self._keep(stack, HoldDevice(limits, self._counters)) if limits else None

    def _open_error_relay(self, stack: ExitStack) -> None:
        if self._functions.steers and not TUNNELS[self._config.dataplane].tells_senders:
            config = self._config
            relay = ErrorRelay(config.address, config.directory, self._counters)
            self._watch(stack, self._keep(stack, relay), relay.pass_on)

    def _open_samples(self, stack: ExitStack, access: AccessLinks | None) -> None:
        groups = samples.groups(self._config, self._functions.intercepts)
        if groups:
            nflog = self._keep(stack, Nflog(groups))
            self._watch(stack, nflog, lambda: self._sampled(nflog, access))

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        fields = {"host": self._config.host, "functions": sorted(self._config.functions)}
        adopted = len(self._forwarding.stale())
        self._executor.note("started", {**fields, "adopted_routes": adopted})
        self._executor.inherit()
        self._restore()
        self._executor.handle(Started())
        if self._access is not None:
            self._follow(self._access, list_links(self._netlink))
        loop.call_later(self._adoption_grace_s, self._executor.sweep)
        if self._mobile_node is not None:
            self._executor.handle_all(self._mobile_node.begin())
            self._look_at_sockets_later(self._mobile_node)
        self._arm()

    def _restore(self) -> None:
        if self._behind_s > CLOCK_TOLERANCE_S:
            fields = {"by_s": round(self._behind_s, 3), "store": str(self._store_path)}
            self._executor.note("clock_behind", fields, warning=True)
        try:
            self._executor.restore()
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"{self._store_path}: a function cannot read what it had remembered ({error!r}): "
                "run the agent that wrote it, or move the file away"
            ) from error

    # The world speaks

    def _receive(self, signalling: Signalling) -> None:
        self._executor.handle_all(signalling.read())

    def _receive_at_home(self, signalling: HomeSignalling) -> None:
        self._executor.handle_all(signalling.read())

    def _look_at_sockets_later(self, node: MobileNode) -> None:
        def look() -> None:
            self._executor.handle_all(node.sockets_looked_at())
            self._arm()
            self._look_at_sockets_later(node)

        asyncio.get_running_loop().call_later(LOOK_EVERY_S, look)

    def _hear(self, access: AccessLinks) -> None:
        self._executor.handle_all(access.read())

    def _links_changed(self, monitor: LinkMonitor, access: AccessLinks) -> None:
        links = monitor.read()
        self._follow(access, list_links(self._netlink) if links is None else links)

    def _follow(self, access: AccessLinks, links: Iterable[Link]) -> None:
        self._executor.handle_all(event for link in links for event in access.link_changed(link))
        self._ask_later(access)

    def _ask_later(self, access: AccessLinks) -> None:
        """Ask silent links again until they answer or the questions are used up."""

        def ask() -> None:
            self._question = None
            if access.ask_again():
                self._ask_later(access)

        if self._question is None:
            self._question = asyncio.get_running_loop().call_later(QUESTION_PAUSE_S, ask)

    def _sampled(self, nflog: Nflog, access: AccessLinks | None) -> None:
        self._executor.handle_all(
            event
            for sample in nflog.read()
            for event in samples.meaning(sample, self._config, access)
        )

    def _packets_held(self, hold: HoldDevice) -> None:
        self._executor.handle_all(hold.read(self._clock.now()))

    # Time passes

    def _arm(self) -> None:
        """Keep one timer of the loop on the earliest of ours."""
        earliest = self._timers.next_at()
        if earliest == self._alarm_at:
            return
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._alarm_at = earliest
        if earliest is not None:
            wait_s = max(0.0, earliest - self._clock.now())
            self._alarm = asyncio.get_running_loop().call_later(wait_s, self._ring)

    def _ring(self) -> None:
        self._alarm = self._alarm_at = None
        self._executor.fire_timers()
        self._arm()

    # `dmmctl` asks

    def _commands(self) -> dict[str, Callable[[], Any]]:
        tables = {name: self._table(name) for name in SNAPSHOT_TABLES}
        return {
            "status": self._status,
            **tables,
            "routes": lambda: self._forwarding.rows(),
            "events": self._journal.rows,
            "counters": self._count_rows,
        }

    def _count_rows(self) -> list[dict[str, Any]]:
        malformed = {} if self._access is None else self._access.malformed
        return self._counters.rows() + [
            {"group": "malformed_on_link", "key": link, "count": count}
            for link, count in malformed.items()
        ]

    def _table(self, name: str) -> Callable[[], list[dict[str, Any]]]:
        return lambda: self._functions.snapshot(self._clock.now()).get(name, [])

    def _status(self) -> dict[str, Any]:
        tables = self._functions.snapshot(self._clock.now())
        return {
            "host": self._config.host,
            "network": self._config.network,
            "address": str(self._config.address),
            "dataplane": self._config.dataplane,
            "functions": sorted(self._config.functions),
            "pid": os.getpid(),
            "started_at_s": self._clock.started_at,
            "uptime_s": round(self._clock.uptime_s(), 3),
            "timers": len(self._timers),
            "radio": {} if self._mobile_node is None else self._mobile_node.states(),
            "access_links": {} if self._access is None else self._access.states(),
            "entries": {name: len(tables.get(name, [])) for name in SNAPSHOT_TABLES},
            # Cached answers that send packets elsewhere than plain routing would.
            "steering": sum(row["location"] is not None for row in tables.get("cache", [])),
        }
