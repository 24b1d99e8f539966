"""A world whose access networks run no agent: mobile nodes see to their own mobility.

Gateways are those of `world`; access routers only advertise a plain prefix on each link. Messages
travel with the home addresses in front of them, in octets.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network
from random import Random
from typing import TYPE_CHECKING, Any

from dmm_agent.config import AgentConfig, MobileNodePolicy
from dmm_agent.functions.effects import (
    BindingRoute,
    DropAddress,
    Effect,
    Install,
    KeepAddress,
    Remove,
    Send,
)
from dmm_agent.functions.events import (
    Addressed,
    Event,
    OwnAddress,
    PrefixesAdvertised,
    Received,
    SocketsInUse,
)
from dmm_agent.functions.node import build_node
from dmm_agent.simulator.forwarding import Tables
from dmm_agent.simulator.world import World
from dmm_agent.wire import MobilityPacket, decode_packet, encode_packet, verify_packet_checksum

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dmm_agent.functions.base import Function
    from dmm_agent.functions.node import Node
    from dmm_agent.simulator.faults import Faults
    from dmm_agent.simulator.plan import Plan, Router

RADIO = "radio0"
ADVERTISED_EVERY_S, PREFERRED_S, VALID_S = 3.0, 10.0, 30.0
"""As the testbed's access routers do where they run nothing but routing."""
SOLICITED_WITHIN_S = 1.0
INTERFACE_IDENTIFIER = 0x0000_00FF_FE00_0000
MOST_TUNNELS = 8


@dataclass(slots=True)
class ClientNode:
    """A mobile node with a client: where it is, and what its kernel has."""

    mn_id: str
    number: int
    """Of its link at each access router."""
    identifier: int
    node: Node
    at: Router | None = None
    visit: int = 0
    addresses: dict[IPv6Address, tuple[float, float]] = field(default_factory=dict)
    """Until when each is preferred and valid."""
    sessions: set[IPv6Address] = field(default_factory=set)
    """Addresses that sockets use."""
    broken: set[IPv6Address] = field(default_factory=set)
    """Addresses that were taken away while sockets used them."""

    @property
    def prefix(self) -> IPv6Network | None:
        """The prefix of the link that it is on."""
        return None if self.at is None else self.at.plain_prefix(self.number)

    def is_on_link(self, address: IPv6Address) -> bool:
        """Whether the address belongs there, so that packets to it arrive by plain routing."""
        return self.prefix is not None and address in self.prefix and address in self.addresses


class PlainWorld(World):
    """Gateways, plain access links, and mobile nodes with clients."""

    def __init__(
        self,
        plan: Plan,
        seed: int,
        faults: Faults,
        options: Mapping[str, Mapping[str, Any]],
        registry: Mapping[str, type[Function[Any]]],
    ) -> None:
        self.clients: dict[str, ClientNode] = {}
        super().__init__(plan, seed, faults, options, registry)
        for router in plan.access_routers():
            del self.nodes[router.name]
        self._timers = {key: mark for key, mark in self._timers.items() if key[0] in self.nodes}
        for number, policy in enumerate(plan.mobile_nodes.nodes):
            config = AgentConfig(
                schema=1,
                host=policy.id.split("@")[0],
                network=plan.directory.networks[0].network,
                radio=RADIO,
                directory=plan.directory,
                mobile_nodes=MobileNodePolicy(nodes=(policy,)),
                functions={"client": dict(options.get("client", {}))},
            )
            keys = plan.keys([policy], [network.lm for network in plan.directory.networks])
            node = build_node(config, Random(f"{seed} {number}"), registry, keys)
            identifier = INTERFACE_IDENTIFIER | int(policy.link_layer.replace(":", "")[-6:], 16)
            name = policy.id.split("@")[0]
            self.clients[name] = ClientNode(policy.id, number, identifier, node)
            self.tables[name] = Tables()
            self._ahead_s[name] = 0.0
        self.every(ADVERTISED_EVERY_S, self._advertise_all)
        self.every(1.0, self._expire_addresses)

    # What a tester does

    def move(self, name: str, access_router: str | None) -> None:
        """The node's radio comes up at an access router, or nowhere."""
        client = self.clients[name]
        client.at = None if access_router is None else self.plan.routers[access_router]
        client.visit += 1
        visit = client.visit
        wait_s = self._random.uniform(0, SOLICITED_WITHIN_S)
        self.at(wait_s, lambda: self._advertise_to(name) if client.visit == visit else None)

    def begin_session(self, name: str) -> bool:
        """A socket takes the address that new sessions take here, if there is one."""
        client = self.clients[name]
        here = [a for a, (preferred, _) in client.addresses.items() if preferred > self.now]
        usable = [address for address in here if client.is_on_link(address)]
        client.sessions.update(usable)
        self.tell(name, SocketsInUse(frozenset(client.sessions)))
        return bool(usable)

    def end_session(self, name: str, address: IPv6Address) -> None:
        """The last socket of an address is closed."""
        client = self.clients[name]
        client.sessions.discard(address)
        self.tell(name, SocketsInUse(frozenset(client.sessions)))

    # The nodes' kernels

    def _advertise_all(self) -> None:
        for name in self.clients:
            self._advertise_to(name)

    def _advertise_to(self, name: str) -> None:
        """A router advertisement: the agent and the kernel hear of it, one before the other."""
        client, prefix = self.clients[name], self.clients[name].prefix
        if prefix is None or self._random.random() < self.faults.loss:
            return
        address = prefix[client.identifier]
        client.addresses[address] = (self.now + PREFERRED_S, self.now + VALID_S)
        heard = PrefixesAdvertised(RADIO, frozenset({prefix}))
        if self._random.random() < 0.5:
            self._tell_addresses(name)
        self.tell(name, heard)
        self._tell_addresses(name)

    def _expire_addresses(self) -> None:
        for name, client in self.clients.items():
            for address, (_, valid_until) in tuple(client.addresses.items()):
                if valid_until <= self.now:
                    self._lose(name, address)

    def _lose(self, name: str, address: IPv6Address) -> None:
        client = self.clients[name]
        if client.addresses.pop(address, None) is None:
            return
        if address in client.sessions:
            client.broken.add(address)
            client.sessions.discard(address)
            self.tell(name, SocketsInUse(frozenset(client.sessions)))
        self._tell_addresses(name)

    def _tell_addresses(self, name: str) -> None:
        listed = sorted(self.clients[name].addresses.items())
        self.tell(name, Addressed(tuple(OwnAddress(a, p, v) for a, (p, v) in listed)))

    def _keep(self, name: str, effect: KeepAddress) -> None:
        self.clients[name].addresses[effect.address] = (self.now, self.now + effect.valid_s)
        self._tell_addresses(name)

    # Messages and effects

    def tell(self, name: str, event: Event) -> None:
        """Give an event to an agent, and do what it asks for."""
        if name not in self.clients:
            super().tell(name, event)
            return
        self._log(name, event)
        for effect in self.clients[name].node.handle(event, self.now):
            self._log(name, effect)
            self._do(name, effect)

    def _do(self, name: str, effect: Effect) -> None:
        match effect:
            case Send():
                self._carry(name, effect)
            case KeepAddress():
                self.at(0.0, lambda: self._keep(name, effect))
            case DropAddress(_, address):
                self.at(0.0, lambda: self._lose(name, address))
            case _:
                super()._do(name, effect)

    def _carry(self, name: str, effect: Send) -> None:
        client = self.clients.get(name)
        source = effect.source or self.plan.routers[name].address
        if client is not None and not client.is_on_link(source):
            return  # routers let no packets in from where their source does not live
        packet = MobilityPacket(effect.message, effect.home_source, effect.home_destination)
        next_header, octets = encode_packet(packet, source, effect.destination)

        def arrive() -> None:
            self._arrive(source, effect.destination, next_header, octets)

        for delay_s in self.faults.delays(self._random):
            self.at(delay_s, arrive)

    def _arrive(
        self, source: IPv6Address, destination: IPv6Address, next_header: int, octets: bytes
    ) -> None:
        assert verify_packet_checksum(next_header, octets, source, destination)
        packet = decode_packet(next_header, octets)
        message, whole = packet.message, packet.octets
        router = self.plan.by_address.get(destination)
        if router is not None:
            self.tell(router.name, Received(source, message, packet.home_source, whole))
            return
        at = self.follow(destination)[-1]
        for name, client in self.clients.items():
            if client.is_on_link(at):
                self.tell(name, Received(source, message, packet.home_destination, whole))

    def follow(self, destination: IPv6Address) -> list[IPv6Address]:
        """An address, and the addresses that packets to it are tunnelled to, one after the other.

        Raises:
            AssertionError: they are tunnelled in circles.
        """
        way = [destination]
        while (route := self._binding_route(way[-1])) is not None:
            way.append(route.endpoint)
            assert len(way) <= MOST_TUNNELS, f"in circles: {way}"
        return way

    def _binding_route(self, address: IPv6Address) -> BindingRoute | None:
        owner = self.plan.directory.plain_of(address)
        if owner is None:
            return None
        routes = self.tables[self.plan.by_address[owner.mr].name].routes
        route = routes.get((BindingRoute, IPv6Network(address)))
        return route if isinstance(route, BindingRoute) else None

    def _steer(self, name: str, effect: Install | Remove) -> None:
        super()._steer(name, effect)
        self.follow(effect.route.prefix.network_address)
