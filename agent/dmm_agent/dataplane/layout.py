"""Which tables, rules and marks the data plane uses: computed from the configuration, no I/O.

The order of the rules is the order in which a packet meets them; `docs/dataplane.md` draws it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmm_agent.dataplane.entrance import next_hops
from dmm_agent.dataplane.rtnetlink import (
    KERNEL_PROTOCOL,
    TABLE_LOCAL,
    TABLE_MAIN,
    TUNNEL_NEIGHBOUR,
    KernelRoute,
    Pass,
    Refuse,
    Rule,
    Via,
)
from dmm_agent.functions.events import Interception

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from ipaddress import IPv6Network

    from dmm_agent.config import AgentConfig, NetworkEntry
    from dmm_agent.dataplane.tunnels import Tunnel

TABLE_BOUND = 600
TABLE_CACHE = 601
TABLE_HOLD = 602
TABLE_DECAPSULATE = 605
TABLE_WITHDRAWN = 606
TABLE_INSIDE = 607
"""Nothing is looked up there: at a mobile router it tells what speaks to the hosts inside."""
TABLE_HOMES = 620
TABLE_SHORTCUT = 630
FIRST_VISITOR_TABLE = 640
LAST_VISITOR_TABLE = 895

RULE_DECAPSULATE = 5
RULE_LOCATORS = 7
RULE_LOCAL = 10
RULE_INSIDE = 90
RULE_BOUND = 100
RULE_WITHDRAWN = 105
RULE_SENT_BACK = 200
RULE_REVERSE_TUNNEL = 210
RULE_MISDIRECTED = 220
RULE_CACHE = 250
RULE_ABSENT = 260
RULE_SHORTCUT = 290
RULE_VISITOR = 300
RULE_HOLD = 305
RULE_NEAREST = 310

METRIC_DELIVERY = 10
METRIC_BINDING = 20
"""A node on our own link is served there, whatever a binding says."""
METRIC_REFUSAL = 30
"""A known location is better than the memory that there is none."""

IP_PROTOCOL_IPV6 = 41

MARK_TUNNELLED = 0x41
MARK_MASK = 0xFF
MARK_WITH_NETWORK_MASK = 0xFFFF
MARK_HELD = 0x10000
"""Plain packets that wait while nobody knows a way for them."""
MARK_FROM_NODE = 0x20000
"""Packets from access links, whose sources are looked up without the withdrawn ones."""

LOOPBACK = "lo"
"""Where packets of the host itself come from, as rules see it."""

KERNEL_LOCAL_RULE = Rule(0, table=TABLE_LOCAL, protocol=KERNEL_PROTOCOL)
"""The rule every network namespace is born with; ours of `RULE_LOCAL` stands in for it."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What stays the same for the life of a configuration."""

    rules: tuple[Rule, ...]
    routes: tuple[KernelRoute, ...]
    own_prefix: IPv6Network | None
    """What belongs to this host's network; a mobile node has none."""


def tunnel_mark(position: int) -> int:
    """The mark of packets tunnelled here from the network at this place of the directory."""
    return MARK_TUNNELLED | (position + 1) << 8


def layout(
    config: AgentConfig,
    tunnel: Tunnel,
    tunnel_device: int,
    intercepts: frozenset[Interception] = frozenset(),
    hold_device: int = 0,
    entrance: int = 0,
) -> Layout:
    """The rules and routes that a host needs before the first mobile node comes.

    Args:
        config: what the host is, and whom it serves.
        tunnel: how it tunnels.
        tunnel_device: interface index of what that needs.
        intercepts: which packets its functions want to see, or to have held.
        hold_device: index of the interface by which packets leave to wait.
        entrance: index of the one by which they leave to be rewritten; 0: none do.
    """
    if config.radio is not None:
        return _mobile_node_layout(config, tunnel, tunnel_device)
    holds = Interception.HELD in intercepts
    own = config.directory.named(config.network)
    others = [n for n in config.directory.networks if n is not own]
    return Layout(
        rules=(
            *tunnel.decapsulating_rules(config.address),
            *(_locator_rules(others) if entrance else ()),
            Rule(RULE_LOCAL, table=TABLE_LOCAL),
            Rule(RULE_BOUND, table=TABLE_BOUND),
            *(_WITHDRAWN_RULE if config.access_links else ()),
            *(_home_router_rules(config, own) if own.mr == config.address else ()),
            Rule(
                RULE_MISDIRECTED,
                table=TABLE_HOMES,
                mark=MARK_TUNNELLED,
                mark_mask=MARK_MASK,
            ),
            Rule(RULE_CACHE, table=TABLE_CACHE, mark_mask=MARK_MASK),
            *_absent_rules(config),
            *(
                Rule(RULE_SHORTCUT, table=TABLE_SHORTCUT, source=n.mobile_pool, mark_mask=MARK_MASK)
                for n in others
            ),
            *(_HOLD_RULE if holds else ()),
            *_nearest_rules(intercepts),
        ),
        routes=(
            *tunnel.decapsulating_routes(config.address, tunnel_device),
            KernelRoute(TABLE_SHORTCUT, own.prefix, Pass()),
            *_misdirected_routes(config, own, tunnel, tunnel_device),
            *(
                KernelRoute(TABLE_HOLD, n.mobile_pool, Via(hold_device, TUNNEL_NEIGHBOUR))
                for n in others
                if holds
            ),
            *(_own_locators(config, entrance) if entrance else ()),
        ),
        own_prefix=own.prefix,
    )


def _mobile_node_layout(config: AgentConfig, tunnel: Tunnel, tunnel_device: int) -> Layout:
    """A mobile node takes what its home agents tunnel to it (RFC 6275).

    It forwards for the network behind it, if it has one (RFC 3963): what is for that goes there,
    also from there itself.
    """
    return Layout(
        rules=(
            *tunnel.decapsulating_rules(None),
            Rule(RULE_LOCAL, table=TABLE_LOCAL),
            *(
                Rule(RULE_INSIDE, table=TABLE_MAIN, destination=prefix)
                for node in config.mobile_nodes.nodes
                for prefix in node.mobile_networks
            ),
        ),
        routes=tuple(tunnel.decapsulating_routes(None, tunnel_device)),
        own_prefix=None,
    )


_HOLD_RULE = (Rule(RULE_HOLD, table=TABLE_HOLD, mark=MARK_HELD, mark_mask=MARK_HELD | MARK_MASK),)


_WITHDRAWN_RULE = (
    Rule(RULE_WITHDRAWN, table=TABLE_WITHDRAWN, incoming=LOOPBACK, mark_mask=MARK_FROM_NODE),
)
"""Only this host's own answers find the way to who sends from a prefix that was withdrawn."""


def _locator_rules(others: Iterable[NetworkEntry]) -> Iterator[Rule]:
    """What is rewritten here takes plain routing, which need not be found out rule by rule."""
    for network in others:
        if network.locators is not None:
            yield Rule(RULE_LOCATORS, table=TABLE_MAIN, destination=network.locators)


def _own_locators(config: AgentConfig, entrance: int) -> Iterator[KernelRoute]:
    """Our own errors about packets that have our locators lead back to who sent them."""
    for hop in next_hops(config):
        if hop.network.network == config.network and hop.network.locators is not None:
            yield KernelRoute(TABLE_CACHE, hop.network.locators, Via(entrance, hop.address))


def _home_router_rules(config: AgentConfig, own: NetworkEntry) -> tuple[Rule, ...]:
    """Let packets of this network's own nodes, tunnelled home, go on by plain routing.

    But nothing that was tunnelled here goes back to who tunnelled it: a node's home network has
    sent it here by a binding that no longer holds.
    """
    sent_back = tuple(
        Rule(
            RULE_SENT_BACK,
            destination=n.mobile_pool,
            mark=tunnel_mark(position),
            mark_mask=MARK_WITH_NETWORK_MASK,
        )
        for position, n in enumerate(config.directory.networks)
        if n is not own
    )
    return (
        *sent_back,
        Rule(
            RULE_REVERSE_TUNNEL,
            table=TABLE_MAIN,
            source=own.mobile_pool,
            mark=MARK_TUNNELLED,
            mark_mask=MARK_MASK,
        ),
    )


def _misdirected_routes(
    config: AgentConfig, own: NetworkEntry, tunnel: Tunnel, device: int
) -> Iterator[KernelRoute]:
    """Where packets go that were tunnelled here although their node is not here any more.

    To its home network, which knows better than whoever sent them: they are late, not lost. Only
    from a network's mobility router though; below it nobody knows more than it does.
    """
    for network in config.directory.networks:
        if own.mr != config.address:
            yield KernelRoute(TABLE_HOMES, network.mobile_pool, Refuse())
        elif network is not own:
            home = tunnel.encapsulate(network.mr, config.address, device)
            yield KernelRoute(TABLE_HOMES, network.mobile_pool, home)


def _nearest_rules(intercepts: frozenset[Interception]) -> tuple[Rule, ...]:
    """Where plain routing ends at the nearest MR, what no rule before took goes to its home."""
    if Interception.NEAREST not in intercepts:
        return ()
    return (Rule(RULE_NEAREST, table=TABLE_HOMES, mark_mask=MARK_MASK),)


def _absent_rules(config: AgentConfig) -> tuple[Rule, ...]:
    """Answer for absent nodes of an access router's own block, or they bounce off the gateway."""
    if config.home_block is None:
        return ()
    return tuple(
        Rule(RULE_ABSENT, destination=config.home_block, incoming=uplink)
        for uplink in config.uplinks
    )
