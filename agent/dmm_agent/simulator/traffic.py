"""Packets of mobile nodes' sessions, and what the routers on their way show to the agents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmm_agent.functions.events import Held, Intercepted, Interception, Observed, Used
from dmm_agent.functions.prefix import hnp_of
from dmm_agent.simulator.forwarding import Outcome, Trace

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator
    from ipaddress import IPv6Address, IPv6Network

    from dmm_agent.functions.events import Event
    from dmm_agent.simulator.mobile_node import MobileNodeModel
    from dmm_agent.simulator.world import World

SAMPLE_EVERY_S = 1.0
"""A data plane shows a packet of a flow to its agent this often."""


@dataclass(frozen=True, slots=True)
class HeldPacket:
    """A packet that waits."""

    since: float
    source: IPv6Address
    destination: IPv6Address


@dataclass(frozen=True, slots=True)
class Sample:
    """What a router may show of a packet to its agent."""

    router: str
    of: Hashable
    """What it shows one packet of in a while."""
    event: Event


class Traffic:
    """Sends packets through the routers' tables as they are at that moment."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._shown_at: dict[tuple[str, Hashable], float] = {}
        """When a router last showed a packet of a kind to its agent."""
        self._samples: dict[tuple[IPv6Address, IPv6Address], tuple[Trace, list[Sample]]] = {}
        """What routers show of a flow, as long as its packets take that path."""
        self.held: dict[tuple[str, IPv6Network], list[HeldPacket]] = {}
        """What waits at a router for the way to a prefix to be known, oldest first."""

    def start(self, mn: MobileNodeModel, network: str, every_s: float) -> None:
        """The node uses its prefix of a network from now on, wherever it is."""
        mn.sessions[network] = None
        self._world.at(every_s, lambda: self._exchange(mn, network, every_s))

    def _exchange(self, mn: MobileNodeModel, network: str, every_s: float) -> None:
        """A packet to and from each correspondent, and one to each other node's sessions."""
        if network not in mn.sessions:
            return
        self._world.at(every_s, lambda: self._exchange(mn, network, every_s))
        address = self._world.address(mn.policy.id, network)
        if address is None:
            return
        for router, correspondent in self._world.plan.correspondents():
            self.send(router.name, correspondent, address)
            self.from_node(mn, address, correspondent)
        for peer_address in self.peers(mn):
            self.from_node(mn, address, peer_address)

    def peers(self, mn: MobileNodeModel) -> Iterator[IPv6Address]:
        """The addresses that other mobile nodes' sessions use."""
        for peer in self._world.mobile_nodes.values():
            if peer is mn:
                continue
            for network in peer.sessions:
                address = self._world.address(peer.policy.id, network)
                if address is not None:
                    yield address

    def from_node(
        self, mn: MobileNodeModel, source: IPv6Address, destination: IPv6Address
    ) -> Trace | None:
        """A packet from a mobile node; None if its access router does not admit the source."""
        at = mn.at
        if at is None:
            return None
        if self._world.tables[at].delivers(source, mn.link):
            self._show(self._use(at, source))
            return self.send(at, source, destination)
        seen = Observed(mn.link, mn.policy.link_layer, source)
        self._show([Sample(at, (mn.link, source), seen)])
        home = self._world.plan.directory.home_of(source)
        rejected = self._world.tables[at].rejects(source, mn.link)
        if home is not None and rejected and mn.has(source, self._world.now):
            mn.reset(home.network)
        return None

    def send(self, start: str, source: IPv6Address, destination: IPv6Address) -> Trace:
        """A packet from a host below access router `start`.

        Raises:
            AssertionError: it goes round.
        """
        trace = self._world.forwarding.trace(start, source, destination)
        if trace.outcome is Outcome.LOOP:
            raise AssertionError(f"a packet from {source} to {destination} goes round: {trace}")
        flow = source, destination
        known, samples = self._samples.get(flow, (None, []))
        if known is not trace:
            samples = list(self._samples_of(trace, source, destination))
            self._samples[flow] = trace, samples
        self._show(samples)
        if trace.outcome is Outcome.HELD:
            self._hold(trace.path[-1], source, destination)
        return trace

    def _samples_of(
        self, trace: Trace, source: IPv6Address, destination: IPv6Address
    ) -> Iterator[Sample]:
        """What the routers on a path may show of a packet."""
        if trace.outcome is Outcome.DELIVERED:
            yield from self._use(trace.path[-1], destination)
        for name in trace.plain:
            yield from self._intercepted(name, source, destination)
        routers = self._world.plan.routers
        for name, by in trace.tunnelled:
            if self._is_homebound(name, destination):
                event = Intercepted(source, destination, routers[by].address)
                yield Sample(name, (by, hnp_of(destination)), event)

    def _use(self, name: str, address: IPv6Address) -> Iterator[Sample]:
        """A packet from or to a prefix that was brought along passes an access link."""
        home = self._world.plan.directory.home_of(address)
        brought = home is not None and home.network != self._world.plan.routers[name].network
        if brought and Interception.BROUGHT_ALONG in self._world.nodes[name].intercepts:
            hnp = hnp_of(address)
            yield Sample(name, ("used", hnp), Used(hnp))

    def _hold(self, name: str, source: IPv6Address, destination: IPv6Address) -> None:
        waiting = self.held.setdefault((name, hnp_of(destination)), [])
        waiting.append(HeldPacket(self._world.now, source, destination))
        if len(waiting) == 1:
            self._tell(name, Held(source, destination))

    def release(self, name: str, prefix: IPv6Network) -> None:
        """Let the packets that wait at a router for a prefix go on."""
        for packet in self.held.pop((name, prefix), []):
            self.send(name, packet.source, packet.destination)

    def lose_held(self, name: str) -> None:
        """The agent that kept a router's packets has died."""
        self.held = {key: packets for key, packets in self.held.items() if key[0] != name}

    def _intercepted(
        self, name: str, source: IPv6Address, destination: IPv6Address
    ) -> Iterator[Sample]:
        """What the rules of `dmm_agent.dataplane.nftables` show of plain packets."""
        directory, at = self._world.plan.directory, self._world.plan.routers[name]
        wanted = self._world.nodes[name].intercepts
        owner, home = directory.owner_of(destination), directory.home_of(source)
        if owner is None:
            return
        of: Hashable = hnp_of(destination)
        if owner.network == at.network:
            shown = source not in owner.prefix and self._is_homebound(name, destination)
            of = hnp_of(source), of
        elif home is not None and home.network != at.network:
            shown = Interception.VISITORS in wanted
        else:
            own = directory.named(at.network)
            below = own.mr_of(source) != own.mr or source in own.mobile_pool
            asks = Interception.OUTBOUND in wanted or (
                Interception.REMAINING in wanted and not below
            )
            shown = asks and destination in owner.mobile_pool
        if shown:
            yield Sample(name, of, Intercepted(source, destination))

    def _is_homebound(self, name: str, destination: IPv6Address) -> bool:
        """Packets to a network's own mobile nodes are shown to a gateway that wants to see them."""
        if Interception.HOMEBOUND not in self._world.nodes[name].intercepts:
            return False
        home = self._world.plan.directory.home_of(destination)
        return home is not None and home.network == self._world.plan.routers[name].network

    def _show(self, samples: Iterable[Sample]) -> None:
        """Let routers show what they have not shown the like of for a while."""
        now = self._world.now
        for sample in samples:
            of = sample.router, sample.of
            if now - self._shown_at.get(of, 0.0) >= SAMPLE_EVERY_S:
                self._shown_at[of] = now
                self._tell(sample.router, sample.event)

    def _tell(self, name: str, event: Event) -> None:
        self._world.at(0.0, lambda: self._world.tell(name, event))
