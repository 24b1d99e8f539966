"""Agents on mobile nodes: what they hear of their radio and sockets, and say on the access link."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from dmm_agent.functions.effects import ACCESS_ROUTER_LINK_LOCAL
from dmm_agent.functions.events import Addressed, HeardOnLink, LinkUp, OwnAddress, SocketsInUse
from dmm_agent.functions.node import build_node
from dmm_agent.wire import decode, encode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from ipaddress import IPv6Address

    from dmm_agent.functions.base import Function
    from dmm_agent.functions.effects import SendOnLink
    from dmm_agent.functions.node import Node
    from dmm_agent.simulator.mobile_node import MobileNodeModel
    from dmm_agent.simulator.world import World

RADIO = "radio0"
LOOK_EVERY_S = 1.0
"""How often an agent looks at its node's sockets, besides when they or the link change."""


class MobileAgents:
    """The functions of all mobile nodes; without any, nodes are unmodified hosts."""

    def __init__(
        self,
        world: World,
        options: Mapping[str, Mapping[str, Any]],
        registry: Mapping[str, type[Function[Any]]] | None,
        functions: Sequence[str],
    ) -> None:
        self._world = world
        self._options = options
        self._registry = registry
        self._functions = functions
        self.nodes: dict[str, Node] = {}
        """By the name of the link to the node."""
        self._mobile_nodes: dict[str, MobileNodeModel] = {}
        self._in_use: dict[str, frozenset[IPv6Address]] = {}
        for mn in world.mobile_nodes.values() if functions else ():
            self._mobile_nodes[mn.link] = mn
            self.nodes[mn.link] = self._new_node(mn)
        if functions:
            world.every(LOOK_EVERY_S, self._look)

    def _new_node(self, mn: MobileNodeModel) -> Node:
        config = self._world.plan.mobile_config(mn.policy, RADIO, self._functions, self._options)
        return build_node(config, Random(mn.link + str(self._world.seed)), self._registry)

    def link_came_up(self, mn: MobileNodeModel) -> None:
        """The node's radio is on an access link, perhaps another one."""
        self.sockets_changed(mn)
        self._tell(mn, LinkUp(RADIO))

    def addresses_changed(self, mn: MobileNodeModel) -> None:
        """The node has heard a router advertisement."""
        valid = [p for p in mn.prefixes.values() if p.valid_until > self._world.now]
        own = [OwnAddress(p.address, p.preferred_until, p.valid_until) for p in valid]
        self._tell(mn, Addressed(tuple(sorted(own, key=lambda a: a.address))))
        self.sockets_changed(mn)

    def sockets_changed(self, mn: MobileNodeModel) -> None:
        """A session of the node has begun or ended, or may have."""
        found = (self._world.address(mn.policy.id, network) for network in mn.sessions)
        in_use = frozenset(address for address in found if address is not None)
        if in_use != self._in_use.get(mn.link, frozenset()):
            self._in_use[mn.link] = in_use
            self._tell(mn, SocketsInUse(in_use))

    def _look(self) -> None:
        for mn in self._mobile_nodes.values():
            self.sockets_changed(mn)

    def _tell(
        self, mn: MobileNodeModel, event: LinkUp | Addressed | SocketsInUse | HeardOnLink
    ) -> None:
        if mn.link in self.nodes:
            self._world.tell(mn.link, event)

    # The access link, in both directions

    def send_on_link(self, sender: str, effect: SendOnLink) -> None:
        """A message between a mobile node and its access router is on its way."""
        if sender in self.nodes:
            self._up(self._mobile_nodes[sender], effect)
        else:
            self._down(sender, effect)

    def _up(self, mn: MobileNodeModel, effect: SendOnLink) -> None:
        router, visit = mn.at, mn.visit
        if router is None:
            return
        octets = encode(effect.message, mn.link_local, effect.link_local)
        heard = HeardOnLink(mn.link, mn.policy.link_layer, mn.link_local, decode(octets))
        for delay_s in self._world.delays():
            self._world.at(
                delay_s,
                lambda: (
                    self._world.tell(router, heard)
                    if (mn.at, mn.visit) == (router, visit)
                    else None
                ),
            )

    def _down(self, router: str, effect: SendOnLink) -> None:
        mn = self._mobile_nodes.get(effect.link)
        if mn is None or mn.at != router or mn.link_local != effect.link_local:
            return  # an unmodified host does not listen
        visit = mn.visit
        octets = encode(effect.message, ACCESS_ROUTER_LINK_LOCAL, effect.link_local)
        heard = HeardOnLink(RADIO, "", ACCESS_ROUTER_LINK_LOCAL, decode(octets))
        for delay_s in self._world.delays():
            self._world.at(delay_s, lambda: self._tell(mn, heard) if mn.visit == visit else None)
