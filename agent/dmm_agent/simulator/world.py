"""Nodes, mobile nodes and messages on a virtual clock; the same seed gives the same trace."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from dmm_agent.functions.allocator import AllocatorOptions
from dmm_agent.functions.attachments import LINGERING_S
from dmm_agent.functions.effects import (
    Advertise,
    CancelTimer,
    Effect,
    Forget,
    Install,
    Probe,
    Record,
    Release,
    Remember,
    Remove,
    Send,
    SendOnLink,
    SetTimer,
)
from dmm_agent.functions.events import (
    Attached,
    Detached,
    Event,
    Inherited,
    ProbeAnswered,
    Received,
    Restored,
    Started,
    TimerFired,
)
from dmm_agent.functions.node import Node, build_node
from dmm_agent.simulator.disk import Crash, CrashPoint, Disk
from dmm_agent.simulator.faults import Faults
from dmm_agent.simulator.forwarding import Forwarding, Tables
from dmm_agent.simulator.mobile_agents import MobileAgents
from dmm_agent.simulator.mobile_node import MobileNodeModel
from dmm_agent.simulator.traffic import Traffic
from dmm_agent.wire import decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence
    from ipaddress import IPv6Address

    from dmm_agent.config import AgentConfig
    from dmm_agent.functions.base import Function
    from dmm_agent.functions.effects import Route
    from dmm_agent.simulator.plan import Plan

Rows = Mapping[str, list[dict[str, Any]]]
"""The rows of each table of a host."""

START_S = 1_700_000_000.0
SOLICIT_EVERY_S = 1.0
MOST_AT_ONCE = 10_000
"""Most things that can happen at one moment."""
ADOPTION_GRACE_S = 30.0
"""How long a restarted agent leaves routes in place that it has not asked for."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that some node sent, for observers."""

    at_s: float
    source: IPv6Address
    destination: IPv6Address
    message: Any


class World:
    """Everything that is, and what happens next."""

    def __init__(
        self,
        plan: Plan,
        seed: int,
        faults: Faults | None = None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        registry: Mapping[str, type[Function[Any]]] | None = None,
        clocks: Mapping[str, float] | None = None,
        mobile_functions: Sequence[str] = (),
    ) -> None:
        self.plan = plan
        self.seed = seed
        self.faults = faults or Faults()
        self.observers: list[Callable[[Sent], None]] = []
        self.on_change: list[Callable[[World, Route], None]] = []
        """Called whenever a route was installed or removed."""
        self.on_death: list[Callable[[str, Rows], None]] = []
        """Called with what an agent that dies has on its disk, by table."""
        self.on_start: list[Callable[[str], None]] = []
        """Called when an agent has started again."""
        self.clocks = dict(clocks or {})
        """By how many seconds a router's clock is ahead, as its agent reads it at start."""
        self.now = START_S
        self.trace: list[tuple[float, str, object]] = []
        """All that happened: when (seconds since 1970), where, what."""
        self.nodes: dict[str, Node] = {}
        self.tables: dict[str, Tables] = {}
        self.disks: dict[str, Disk] = {}
        self.mobile_nodes: dict[str, MobileNodeModel] = {}
        self._random = Random(seed)
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._timers: dict[tuple[str, str, Hashable], int] = {}
        self._ahead_s: dict[str, float] = {}
        """By how much the time of each running agent is ahead."""
        self._crashes: dict[str, Crash] = {}
        self._registry = registry
        self._configs: dict[str, AgentConfig] = {}
        chosen = {name: dict(values) for name, values in (options or {}).items()}
        for name, router in sorted(plan.routers.items()):
            self._configs[name] = plan.config(router, chosen)
            self.nodes[name] = self._new_node(name)
            self.tables[name] = Tables()
            self.disks[name] = Disk()
            self._ahead_s[name] = self.clocks.get(name, 0.0)
        for policy in plan.mobile_nodes.nodes:
            self.mobile_nodes[policy.id] = MobileNodeModel(policy)
        self.forwarding = Forwarding(plan, self.tables)
        self.traffic = Traffic(self)
        self.mobile_agents = MobileAgents(self, chosen, registry, mobile_functions)
        for name in (*self.nodes, *self.mobile_agents.nodes):
            self.tell(name, Started())

    def _new_node(self, router: str) -> Node:
        seed = self._random.random()
        keys = self.plan.keys(self.plan.mobile_nodes.nodes, [self.plan.routers[router].address])
        return build_node(self._configs[router], Random(seed), self._registry, keys)

    # The clock

    @property
    def elapsed_s(self) -> float:
        """Time since the world began."""
        return self.now - START_S

    def at(self, delay_s: float, action: Callable[[], None]) -> None:
        """Do something `delay_s` from now."""
        heapq.heappush(self._queue, (self.now + delay_s, next(self._order), action))

    def every(self, period_s: float, action: Callable[[], None]) -> None:
        """Do something again and again."""

        def again() -> None:
            self.at(period_s, again)
            action()

        self.at(period_s, again)

    def run(self, for_s: float) -> None:
        """Let time pass.

        Raises:
            AssertionError: it does not, because things go on happening at one moment.
        """
        until = self.now + for_s
        at_once = 0
        while self._queue and self._queue[0][0] <= until:
            then = self.now
            self.now, _, action = heapq.heappop(self._queue)
            at_once = at_once + 1 if self.now == then else 0
            if at_once > MOST_AT_ONCE:
                raise AssertionError(f"time stands still: more than {MOST_AT_ONCE} actions at once")
            action()
        self.now = until

    def run_until(self, condition: Callable[[], bool], limit_s: float) -> None:
        """Let time pass until a condition holds.

        Raises:
            AssertionError: it did not within `limit_s`.
        """
        deadline = self.now + limit_s
        while not condition():
            if self.now >= deadline:
                raise AssertionError(f"expected it within {limit_s} s")
            self.run(0.5)

    # What a tester does

    def attach(self, mn_id: str, access_router: str, *, silently: bool = False) -> None:
        """The node's radio leaves its access router, if any, and comes up at another one.

        Silently, the link to the one it leaves stays up, as links without a carrier do.
        """
        self.leave(mn_id, silently=silently)
        mn = self.mobile_nodes[mn_id]
        mn.at = access_router
        mn.visit += 1
        self._log(mn_id, f"attaches at {access_router}")
        self._solicit(mn, mn.visit)
        self.mobile_agents.link_came_up(mn)

    def leave(self, mn_id: str, *, silently: bool = False) -> None:
        """The node's radio goes down; silently, the access router's link stays up."""
        mn = self.mobile_nodes[mn_id]
        if mn.at is None:
            return
        self._log(mn_id, f"leaves {mn.at}{' silently' if silently else ''}")
        router, mn.at = mn.at, None
        if not silently:
            self.tell(router, Detached(mn.link))

    def restart(self, router: str) -> None:
        """The agent on a router dies and starts anew with what is on its disk."""
        self.kill(router)
        self.start(router)

    def kill(self, router: str) -> None:
        """The agent on a router dies. Its kernel forwards on, but nobody hears what arrives."""
        if self.nodes[router].functions:
            self._die(router, self.rows(router))

    def _die(self, router: str, rows: Rows) -> None:
        for inspect in self.on_death:
            inspect(router, rows)
        self._log(router, "dies")
        self._crashes.pop(router, None)
        self._timers = {key: mark for key, mark in self._timers.items() if key[0] != router}
        self.nodes[router] = Node(self.plan.routers[router].address, {})
        self.tables[router].adopt()
        self._attend(router, attended=False)
        self.traffic.lose_held(router)

    def start(self, router: str) -> None:
        """An agent starts on a router whose last one died.

        As in the runtime, it goes on from what is on the disk, takes over the routes that it asks
        for again and, after a while, removes the others.
        """
        self._log(router, "starts")
        disk, tables = self.disks[router], self.tables[router]
        self._ahead_s[router] = max(self.clocks.get(router, 0.0), disk.newest_s - self.now)
        self.nodes[router] = node = self._new_node(router)
        self._attend(router, attended=True)

        def sweep() -> None:
            if self.nodes[router] is node:
                for route in tables.unclaimed():
                    self._do(router, Remove(route))

        self.at(ADOPTION_GRACE_S, sweep)
        if inherited := tables.unclaimed():
            self.tell(router, Inherited(tuple(inherited)))
        if remembered := disk.read():
            self.tell(router, Restored(remembered))
        if self.nodes[router] is not node:
            return  # that killed it
        for inspect in self.on_start:
            inspect(router)
        self.tell(router, Started())

    def _attend(self, router: str, *, attended: bool) -> None:
        self.tables[router].attended = attended
        self.forwarding.agents_changed()

    def crash(self, router: str, point: CrashPoint, down_s: float) -> None:
        """Let the agent on a router die when it next remembers something, and come back later."""
        self._crashes[router] = Crash(point, down_s)

    def time_of(self, router: str) -> float:
        """What the agent on a router, or a mobile node, takes for the time."""
        return self.now + self._ahead_s.get(router, 0.0)

    def rows(self, router: str) -> Rows:
        """What the functions of a router hold, by table."""
        return self.nodes[router].snapshot(self.time_of(router))

    def address(self, mn_id: str, network: str) -> IPv6Address | None:
        """The node's address out of a network's mobile pool, while its lease lasts."""
        pool = self.plan.directory.named(network).mobile_pool
        return self.mobile_nodes[mn_id].address_in(pool, self.now + LINGERING_S)

    def start_session(self, mn_id: str, prefix_of_network: str, every_s: float = 0.5) -> None:
        """The node uses its prefix of a network from now on, wherever it is."""
        mn = self.mobile_nodes[mn_id]
        self.traffic.start(mn, prefix_of_network, every_s)
        self.mobile_agents.sockets_changed(mn)

    def stop_session(self, mn_id: str, prefix_of_network: str) -> None:
        """The session is over."""
        mn = self.mobile_nodes[mn_id]
        mn.sessions.pop(prefix_of_network, None)
        self.mobile_agents.sockets_changed(mn)

    def lease_lifetime_s(self, router: str) -> float:
        """For how long the allocator on a router leases prefixes."""
        functions = self._configs[router].functions
        return float(AllocatorOptions.model_validate(functions["allocator"]).lease_lifetime_s)

    # Messages, timers, effects

    def tell(self, name: str, event: Event) -> None:
        """Give an event to the agent on a router or mobile node, and do what it asks for."""
        self._log(name, event)
        on_node = self.mobile_agents.nodes.get(name)
        if on_node is not None:
            self._do_all(name, on_node.handle(event, self.time_of(name)))
            return
        crash = self._crashes.get(name)
        before = self.rows(name) if crash else {}
        effects = self.nodes[name].handle(event, self.time_of(name))
        kept = [e for e in effects if isinstance(e, Remember | Forget)]
        if crash is None or not kept:
            self.disks[name].write(kept, self.time_of(name))
            self._do_all(name, effects)
            return
        self._do_all(name, [e for e in effects if isinstance(e, Install | Remove)])
        written = crash.point is not CrashPoint.BEFORE_WRITE
        if written:
            self.disks[name].write(kept, self.time_of(name))
        if written or isinstance(event, Restored):  # before that it held nothing of its disk
            before = self.rows(name)
        if crash.point is CrashPoint.AFTER:
            self._do_all(name, [e for e in effects if not isinstance(e, Install | Remove)])
        self._die(name, before)
        dead = self.nodes[name]
        self.at(crash.down_s, lambda: self.start(name) if self.nodes[name] is dead else None)

    def _do_all(self, name: str, effects: list[Effect]) -> None:
        for effect in effects:
            self._log(name, effect)
            self._do(name, effect)

    def _do(self, name: str, effect: Effect) -> None:
        match effect:
            case Send(destination, message):
                self._send(name, destination, message)
            case SendOnLink():
                self.mobile_agents.send_on_link(name, effect)
            case SetTimer(owner, key, at_s):
                self._set_timer(name, owner, key, at_s)
            case CancelTimer(owner, key):
                self._timers.pop((name, owner, key), None)
            case Install() | Remove():
                self._steer(name, effect)
            case Advertise():
                self._advertise(name, effect)
            case Probe(link, target):
                self._probe(name, link, to_all=target.is_multicast)
            case Release(prefix):
                self.traffic.release(name, prefix)
            case Record() | Remember() | Forget():
                pass

    def _steer(self, name: str, effect: Install | Remove) -> None:
        route, tables = effect.route, self.tables[name]
        steer = tables.install if isinstance(effect, Install) else tables.remove
        if not steer(route):
            return
        self.forwarding.route_changed(route)
        for inspect in self.on_change:
            inspect(self, route)

    def _send(self, name: str, destination: IPv6Address, message: Any) -> None:
        source = self.plan.routers[name].address
        sent = Sent(self.now, source, destination, message)
        for observer in self.observers:
            observer(sent)
        octets = encode(message, source, destination)
        receiver = self.plan.by_address[destination].name
        for delay_s in self.faults.delays(self._random):
            self.at(delay_s, lambda: self.tell(receiver, Received(source, decode(octets))))

    def _set_timer(self, name: str, owner: str, key: Hashable, at_s: float) -> None:
        mark = next(self._order)
        self._timers[name, owner, key] = mark

        def fire() -> None:
            if self._timers.get((name, owner, key)) == mark:
                del self._timers[name, owner, key]
                self.tell(name, TimerFired(owner, key))

        self.at(max(0.0, at_s - self.time_of(name)), fire)

    def delays(self) -> list[float]:
        """When the copies of a message arrive that somebody sends now."""
        return self.faults.delays(self._random)

    # The access link

    def _on_link(self, name: str, link: str) -> MobileNodeModel | None:
        here = (m for m in self.mobile_nodes.values() if m.at == name and m.link == link)
        return next(here, None)

    def _solicit(self, mn: MobileNodeModel, visit: int) -> None:
        """Solicit until a router answers with a prefix of its network (RFC 4861, 6.3.7)."""
        if mn.visit != visit or mn.at is None or mn.heard_visit == visit:
            return
        router = mn.at
        event = Attached(mn.link, mn.policy.link_layer, mn.link_local, solicited=True)
        for delay_s in self.faults.delays(self._random):
            self.at(
                delay_s, lambda: self.tell(router, event) if mn.visit == visit and mn.at else None
            )
        self.at(SOLICIT_EVERY_S, lambda: self._solicit(mn, visit))

    def _advertise(self, name: str, advertise: Advertise) -> None:
        mn = self._on_link(name, advertise.link)
        if mn is None:
            return
        visit = mn.visit
        for delay_s in self.delays():
            self.at(delay_s, lambda: self._hear(mn, advertise, visit))

    def _hear(self, mn: MobileNodeModel, advertise: Advertise, visit: int) -> None:
        mn.hear(advertise, visit, self.now)
        self.mobile_agents.addresses_changed(mn)

    def _probe(self, name: str, link: str, *, to_all: bool) -> None:
        mn = self._on_link(name, link)
        if mn is None:
            return
        answer: Event = ProbeAnswered(link, mn.policy.link_layer)
        if to_all:
            answer = Attached(link, mn.policy.link_layer, mn.link_local, solicited=False)
        for delay_s in self.faults.delays(self._random):
            self.at(2 * delay_s, lambda: self.tell(name, answer) if mn.at == name else None)

    def _log(self, name: str, what: object) -> None:
        self.trace.append((self.now, name, what))
