"""The nftables set-up: who may tunnel here, which packets the agent hears of, what is dropped.

It depends on the configuration alone. Handovers touch nothing of it but, where mobile nodes tunnel
here themselves, one set (`node_tunnels`).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from dmm_agent.attachment.icmpv6 import ROUTER_LINK_LOCAL
from dmm_agent.dataplane import rewriting
from dmm_agent.dataplane.layout import (
    IP_PROTOCOL_IPV6,
    MARK_FROM_NODE,
    MARK_HELD,
    MARK_MASK,
    MARK_TUNNELLED,
    tunnel_mark,
)
from dmm_agent.functions.events import Interception
from dmm_agent.wire import DESTINATION_OPTIONS, ROUTING
from dmm_agent.wire import NEXT_HEADER as MOBILITY_HEADER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dmm_agent.config import AgentConfig, NetworkEntry
    from dmm_agent.dataplane.tunnels import Tunnel

TABLE = "dmm"
OBSERVED_GROUP = 5
INTERCEPTED_GROUP = 6
HOME_ADDRESS_GROUP = 7
USED_GROUP = 8

NODE_TUNNELS = f"ip6 {TABLE} node_tunnels"
MAX_NODE_TUNNELS = 1 << 17

OBSERVED_EVERY = "100ms"
INTERCEPTED_EVERY = "100ms"
USED_EVERY = "1s"
ANSWERS_A_SECOND = 200
"""Most packets from withdrawn prefixes that are answered, of each kind; the others are dropped."""
SAMPLED_AT_ONCE = 4096
"""Most sources or destinations remembered as told; more wait their turn."""

SUBNET = "ffff:ffff:ffff:ffff::"
INNER_DESTINATION_BIT = 192
"""Of a packet inside a tunnel, counted from its own header."""
INNER_SUBNET = f"@th,{INNER_DESTINATION_BIT},64"


class Ruleset(NamedTuple):
    """The table: as text for `nft -f -`, and the counter in it whose name tells its rules."""

    text: str
    counter: str


def ruleset(
    config: AgentConfig,
    tunnel: Tunnel,
    intercepts: frozenset[Interception],
    *,
    rewrites: bool = False,
    home_addresses: bool = False,
    node_tunnels: Iterable[str] = (),
) -> Ruleset:
    """The whole table, which replaces an older one in one transaction.

    Its counter counts nothing; elements of `node_tunnels` do not change its name.

    Args:
        config: what the host is, and whom it serves.
        tunnel: how it tunnels.
        intercepts: which packets its functions want to see, or to have held.
        rewrites: whether they want packets rewritten instead of tunnelled.
        home_addresses: whether they take messages that home addresses travel in front of.
        node_tunnels: elements that are to be in that set from the beginning.
    """
    if config.radio is None:
        rules = [*_trust_rules(config), *tunnel.guards(config.address)]
    else:
        rules = [*_home_agent_rules(config), *tunnel.guards(None)]
    if rewrites:
        rules += rewriting.prerouting(config)
    if config.access_links:
        rules += [_link_messages(config), *_access_rules(config)]
    if Interception.HELD in intercepts:
        rules += _held_rules(config, intercepts)
    for interception, its_rules in _INTERCEPTING.items():
        if interception in intercepts:
            rules += its_rules(config)
    used = _used_rules(config) if Interception.BROUGHT_ALONG in intercepts else ([], [])
    rules += used[0]
    body = "\n".join(f"    {rule}" for rule in rules)
    fixed = f"""\
{"".join(_sets(config, intercepts))}\
{rewriting.definitions(config) if rewrites else ""}\
  chain prerouting {{
    type filter hook prerouting priority mangle
{body}
  }}
{_HOME_ADDRESS_CHAIN if home_addresses else ""}\
{_forward_chain(used[1])}\
"""
    counter = f"ruleset_{hashlib.sha256(fixed.encode()).hexdigest()[:16]}"
    text = f"""\
table ip6 {TABLE}
delete table ip6 {TABLE}
table ip6 {TABLE} {{
  counter {counter} {{ }}
{_node_tunnels(node_tunnels)}\
{fixed}\
}}
"""
    return Ruleset(text, counter)


def _forward_chain(rules: list[str]) -> str:
    """What is looked at once a packet's way is known; also what came out of a tunnel passes it."""
    if not rules:
        return ""
    body = "\n".join(f"    {rule}" for rule in rules)
    return f"""\
  chain forward {{
    type filter hook forward priority filter
{body}
  }}
"""


_HOME_ADDRESS_CHAIN = f"""\
  chain input {{
    type filter hook input priority filter
    meta l4proto {MOBILITY_HEADER} ip6 nexthdr {{ {ROUTING}, {DESTINATION_OPTIONS} }} \
log group {HOME_ADDRESS_GROUP} drop
  }}
"""
"""The agent answers messages with home addresses in front; the kernel would refuse the headers."""

_INNER_SOURCE = "ip6 saddr . @nh,384,128"
"""Of an outer header followed by an inner one: its source, and the source inside."""


def _node_tunnels(elements: Iterable[str]) -> str:
    """Which mobile nodes may tunnel here from where, as what."""
    there = ", ".join(elements)
    return f"""\
  set node_tunnels {{
    typeof {_INNER_SOURCE}
    flags interval
    size {MAX_NODE_TUNNELS}
{f"    elements = {{ {there} }}" if there else ""}
  }}
"""


def _sets(config: AgentConfig, intercepts: frozenset[Interception]) -> Iterator[str]:
    """What has been told a moment ago, so that it is not told again."""
    if config.access_links:
        yield _set("observed", "ip6 saddr", OBSERVED_EVERY)
    if Interception.BROUGHT_ALONG in intercepts:
        yield _set("used", "ip6 saddr", USED_EVERY)
    if intercepts & {Interception.OUTBOUND, Interception.REMAINING, Interception.VISITORS}:
        yield _set("intercepted", "ip6 daddr", INTERCEPTED_EVERY)
    if Interception.HOMEBOUND in intercepts:
        yield _set("homebound", "ip6 saddr . ip6 daddr", INTERCEPTED_EVERY)
        yield _set("homebound_inside", f"ip6 saddr . {INNER_SUBNET}", INTERCEPTED_EVERY)


def _set(name: str, of: str, every: str) -> str:
    return f"""\
  set {name} {{
    typeof {of}
    size {SAMPLED_AT_ONCE}
    flags dynamic,timeout
    timeout {every}
  }}
"""


def _elements(values: Iterable[object]) -> str:
    return "{ " + ", ".join(str(value) for value in values) + " }"


def _trust_rules(config: AgentConfig) -> list[str]:
    """Only routers of the directory's networks may tunnel to us; the mark says from which.

    And mobile nodes from where a binding says that they are, as who it says that they are.
    `meta l4proto` finds an inner packet also behind destination options, as the kernel does.
    """
    networks = config.directory.networks
    tunnelled = f"meta l4proto {IP_PROTOCOL_IPV6} ip6 daddr {config.address}"
    plain = [n.plain for n in networks if n.plain is not None]
    nodes = _elements([*(n.mobile_pool for n in networks), *plain])
    marks = _elements(f"{n.prefix} : {tunnel_mark(i):#x}" for i, n in enumerate(networks))
    return [
        f"{tunnelled} ip6 nexthdr {IP_PROTOCOL_IPV6} {_INNER_SOURCE} @node_tunnels "
        f"meta mark set {MARK_TUNNELLED:#x}",
        f"{tunnelled} {_PLAIN} ip6 saddr {nodes} counter drop",
        f"{tunnelled} {_PLAIN} meta mark set ip6 saddr map {marks}",
        f"{tunnelled} meta mark and {MARK_MASK:#x} != {MARK_TUNNELLED:#x} counter drop",
    ]


def _link_messages(config: AgentConfig) -> str:
    """The agent has read them (packet sockets come first); the kernel would say that nobody has."""
    links = _elements(f'"{link}"' for link in config.access_links)
    return f"iifname {links} ip6 daddr {ROUTER_LINK_LOCAL} meta l4proto {MOBILITY_HEADER} drop"


def _home_agent_rules(config: AgentConfig) -> list[str]:
    """At a mobile node: only home agents may tunnel to it (RFC 6275, 11.3.3)."""
    tunnelled = f"meta l4proto {IP_PROTOCOL_IPV6} fib daddr type local"
    agents = _elements(sorted({n.lm for n in config.directory.networks}))
    return [
        f"{tunnelled} ip6 saddr {agents} meta mark set {MARK_TUNNELLED:#x}",
        f"{tunnelled} {_PLAIN} counter drop",
    ]


def _access_rules(config: AgentConfig) -> list[str]:
    """Strict reverse path on access links: a global source not delivered there is told, dropped.

    Neighbour discovery stays, so that a node which keeps an older address can find its router. Who
    uses a prefix that was withdrawn is answered: it is found by who looks without the mark.
    """
    links = _elements(f'"{link}"' for link in config.access_links)
    ours = f"iifname {links} ip6 saddr {{ 2000::/3, fc00::/7 }}"
    mark = f"{ours} meta mark set meta mark or {MARK_FROM_NODE:#x}"
    strange = f"{ours} fib saddr . mark . iif oif missing"
    tell = (
        f"{strange} ip6 saddr != @observed update @observed {{ ip6 saddr }} "
        f"log group {OBSERVED_GROUP} snaplen 40"
    )
    withdrawn = f"{strange} fib saddr . iif oif exists"
    reject = f"limit rate {ANSWERS_A_SECOND}/second burst {ANSWERS_A_SECOND} packets reject with"
    answers = [
        f"{withdrawn} meta l4proto tcp {reject} tcp reset",
        f"{withdrawn} meta l4proto != {{ tcp, icmpv6 }} {reject} icmpv6 type policy-fail",
        f"{withdrawn} icmpv6 type echo-request {reject} icmpv6 type policy-fail",
    ]
    neighbours = f"{strange} ip6 daddr {{ fe80::/10, ff00::/8 }} {_NEIGHBOURS} accept"
    drop = f"{strange} counter drop"
    if declined := _declined(config, "dport"):
        # A solicitation does not say for the sake of which flow it is; the flow's packet does.
        return [mark, f"{strange} {declined} counter drop", neighbours, tell, *answers, drop]
    return [mark, tell, *answers, neighbours, drop]


_NEIGHBOURS = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert }"


def _declined(config: AgentConfig, side: str) -> str:
    """Which are packets of flows that no mobility is for, by the port of the correspondent."""
    flows = config.mobile_nodes.declined_flows
    if not flows:
        return ""
    return f"meta l4proto . th {side} {_elements(f'{f.protocol} . {f.port}' for f in flows)}"


def _used_rules(config: AgentConfig) -> tuple[list[str], list[str]]:
    """Tell of packets from and to other networks' prefixes on access links: as they come, and go.

    Not of declined flows: these keep nothing. They are the last rules of their chains.

    What comes is seen before it is routed, and what is not delivered there has been dropped. What
    goes is seen afterwards, because of a packet in a tunnel nothing but the outside is seen before.
    """
    others = _others(config)
    if not config.access_links or not others:
        return [], []
    links = _elements(f'"{link}"' for link in config.access_links)
    pools = _elements(n.mobile_pool for n in others)

    def tell(side: str) -> str:
        key = f"ip6 {side} and {SUBNET}"
        log = f"log group {USED_GROUP} snaplen 40"
        return f"ip6 {side} {pools} {key} != @used update @used {{ {key} }} {log}"

    come, go = [f"iifname {links} {tell('saddr')}"], [f"oifname {links} {tell('daddr')}"]
    if declined := _declined(config, "dport"):
        # What it solicits its router for may be such a flow.
        come[:0] = [f"iifname {links} {each} return" for each in (declined, _NEIGHBOURS)]
        go.insert(0, f"oifname {links} {_declined(config, 'sport')} return")
    return come, go


def _outbound(config: AgentConfig) -> list[str]:
    """Which are plain packets to other networks' mobile nodes, but for those of visitors."""
    others = _others(config)
    if not others:
        return []
    pools = _elements(n.mobile_pool for n in others)
    return [f"{_PLAIN} ip6 saddr != {pools} ip6 daddr {pools}"]


def _remaining(config: AgentConfig) -> list[str]:
    """Which of them no access router of this network has told its own MR of."""
    own = config.directory.named(config.network)
    below = [own.mobile_pool, *(prefix for a in own.access_mrs for prefix in a.prefixes)]
    senders = f"ip6 saddr != {_elements(below)}"
    return [f"{senders} {match}" for match in _outbound(config)]


def _outbound_rules(config: AgentConfig) -> list[str]:
    return [f"{match} {_TELL_INTERCEPTED}" for match in _outbound(config)]


def _remaining_rules(config: AgentConfig) -> list[str]:
    return [f"{match} {_TELL_INTERCEPTED}" for match in _remaining(config)]


def _held_rules(config: AgentConfig, intercepts: frozenset[Interception]) -> list[str]:
    """Mark what waits unless a route takes it; in transit, somebody else's packets do not wait."""
    matches = _remaining(config) if Interception.REMAINING in intercepts else _outbound(config)
    own = config.directory.named(config.network).prefix
    senders = "" if Interception.NEAREST in intercepts else f"ip6 saddr {own} "
    return [f"{senders}{match} meta mark set meta mark or {MARK_HELD:#x}" for match in matches]


def _visitors_rules(config: AgentConfig) -> list[str]:
    """Tell of visitors' plain packets to other networks."""
    others = _others(config)
    if not others:
        return []
    pools = _elements(n.mobile_pool for n in others)
    prefixes = _elements(n.prefix for n in others)
    return [f"{_PLAIN} ip6 saddr {pools} ip6 daddr {prefixes} {_TELL_INTERCEPTED}"]


def _others(config: AgentConfig) -> list[NetworkEntry]:
    return [n for n in config.directory.networks if n.network != config.network]


def _homebound_rules(config: AgentConfig) -> list[str]:
    """Tell of packets from elsewhere to this network's own mobile nodes.

    Of tunnelled ones nftables sees the outer packet, which says who tunnelled it; with `ip6tnl` it
    sees the inner one again, with the mark.
    """
    own = config.directory.named(config.network)
    pool = own.mobile_pool
    bits = int(pool.network_address) >> (128 - pool.prefixlen)
    inside = f"@th,{INNER_DESTINATION_BIT},{pool.prefixlen} {bits:#x}"
    return [
        f"{_PLAIN} ip6 saddr != {own.prefix} ip6 daddr {pool} "
        + _tell("homebound", f"ip6 saddr and {SUBNET} . ip6 daddr and {SUBNET}"),
        f"meta l4proto {IP_PROTOCOL_IPV6} ip6 daddr {config.address} {inside} "
        + _tell("homebound_inside", f"ip6 saddr . {INNER_SUBNET}"),
    ]


def _tell(known: str, key: str) -> str:
    """Log a packet, unless one with the same key is in a set of those that were a moment ago."""
    return f"{key} != @{known} update @{known} {{ {key} }} log group {INTERCEPTED_GROUP} snaplen 80"


_TELL_INTERCEPTED = _tell("intercepted", f"ip6 daddr and {SUBNET}")
_PLAIN = f"meta mark and {MARK_MASK:#x} != {MARK_TUNNELLED:#x}"
_INTERCEPTING = {
    Interception.OUTBOUND: _outbound_rules,
    Interception.REMAINING: _remaining_rules,
    Interception.VISITORS: _visitors_rules,
    Interception.HOMEBOUND: _homebound_rules,
}
