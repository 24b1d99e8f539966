"""The nftables set-up: who may tunnel here, which packets the agent hears of, what is dropped.

It depends on the configuration alone. Handovers touch nothing of it but, where mobile nodes tunnel
here themselves, one set (`node_tunnels`).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from dmm_agent.attachment.icmpv6 import ROUTER_LINK_LOCAL
from dmm_agent.dataplane import interception, rewriting
from dmm_agent.dataplane.interception import SUBNET, told
from dmm_agent.dataplane.layout import (
    IP_PROTOCOL_IPV6,
    MARK_FROM_NODE,
    MARK_TUNNELLED,
    tunnel_mark,
)
from dmm_agent.dataplane.nft import chain, elements
from dmm_agent.functions.events import Interception
from dmm_agent.wire import DESTINATION_OPTIONS, ROUTING
from dmm_agent.wire import NEXT_HEADER as MOBILITY_HEADER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from ipaddress import IPv6Network

    from dmm_agent.config import AgentConfig
    from dmm_agent.dataplane.tunnels import Tunnel

TABLE = "dmm"
OBSERVED_GROUP = 5
HOME_ADDRESS_GROUP = 7
USED_GROUP = 8

NODE_TUNNELS = "node_tunnels"
MAX_NODE_TUNNELS = 1 << 17

OBSERVED_EVERY = "100ms"
USED_EVERY = "1s"
ANSWERS_A_SECOND = 200
"""Most packets from withdrawn prefixes that are answered, of each kind; the others are dropped."""


class Ruleset(NamedTuple):
    """What the table has, as `nft` reads it, and the counter in it whose name tells its rules."""

    content: str
    sets: dict[str, str]
    """Those that who may tunnel here depends on, by name."""
    counter: str


def ruleset(
    config: AgentConfig,
    tunnel: Tunnel,
    intercepts: frozenset[Interception],
    *,
    rewrites: bool = False,
    home_addresses: bool = False,
) -> Ruleset:
    """All that the table has. Its counter counts nothing.

    Args:
        config: what the host is, and whom it serves.
        tunnel: how it tunnels.
        intercepts: which packets its functions want to see, or to have held.
        rewrites: whether they want packets rewritten instead of tunnelled.
        home_addresses: whether they take messages that home addresses travel in front of.
    """
    to_us, own = "fib daddr type local", None
    if config.radio is None:
        to_us, own = f"ip6 daddr {config.address}", config.address
    rules = [f"meta l4proto {IP_PROTOCOL_IPV6} {to_us} jump tunnelled", *tunnel.guards(own)]
    if rewrites:
        rules.append(rewriting.CHECKED)
    if config.access_links:
        rules.append(f"iifname {_links(config)} jump from_access_links")
    rules += interception.rules(config, intercepts)
    used = _used_rules(config) if Interception.BROUGHT_ALONG in intercepts else ([], [])
    rules += used[0]
    forward = [*([rewriting.REWRITTEN] if rewrites else []), *used[1]]
    routers, where_routers_are = _routers(config)
    sets = {NODE_TUNNELS: _NODE_TUNNELS} | ({routers: where_routers_are} if own else {})
    fixed = f"""\
{"".join(_sets(config, intercepts))}\
{rewriting.definitions(config) if rewrites else ""}\
{_trust_chains(routers) if own else _home_agent_chain(config)}\
{_access_chains(config) if config.access_links else ""}\
{interception.chains(config, intercepts)}\
{chain("prerouting", "type filter hook prerouting priority mangle", *rules)}\
{_HOME_ADDRESS_CHAIN if home_addresses else ""}\
{_forward_chain(forward)}\
"""
    counter = f"ruleset_{_digest(fixed + ''.join(sets.values()))}"
    return Ruleset(f"  counter {counter} {{ }}\n{fixed}", sets, counter)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _forward_chain(rules: list[str]) -> str:
    """What is looked at once a packet's way is known; also what came out of a tunnel passes it."""
    return chain("forward", "type filter hook forward priority filter", *rules) if rules else ""


_HOME_ADDRESS_CHAIN = chain(
    "input",
    "type filter hook input priority filter",
    f"meta l4proto {MOBILITY_HEADER} ip6 nexthdr {{ {ROUTING}, {DESTINATION_OPTIONS} }} "
    f"log group {HOME_ADDRESS_GROUP} drop",
)
"""The agent answers messages with home addresses in front; the kernel would refuse the headers."""

_INNER_SOURCE = "ip6 saddr . @nh,384,128"
"""Of an outer header followed by an inner one: its source, and the source inside."""


_NODE_TUNNELS = f"""\
  set {NODE_TUNNELS} {{
    typeof {_INNER_SOURCE}
    flags interval
    size {MAX_NODE_TUNNELS}
  }}
"""
"""Which mobile nodes may tunnel here from where, as what."""


def _sets(config: AgentConfig, intercepts: frozenset[Interception]) -> Iterator[str]:
    """What has been told a moment ago, so that it is not told again."""
    if config.access_links:
        yield told("observed", "ip6 saddr", OBSERVED_EVERY)
    if Interception.BROUGHT_ALONG in intercepts:
        yield told("used", "ip6 saddr", USED_EVERY)
    yield from interception.sets(intercepts)


def _links(config: AgentConfig) -> str:
    return elements(f'"{link}"' for link in config.access_links)


def _trust_chains(routers: str) -> str:
    """Only routers of the directory's networks may tunnel to us; the mark says from which.

    And mobile nodes from where a binding says that they are, as who it says that they are.
    `meta l4proto` has found an inner packet also behind destination options, as the kernel does.
    """
    return chain(
        "tunnelled_by_a_node",
        f"ip6 nexthdr {IP_PROTOCOL_IPV6} {_INNER_SOURCE} @{NODE_TUNNELS} "
        f"meta mark set {MARK_TUNNELLED:#x} return",
        "counter drop",
    ) + chain(
        "tunnelled",
        f"meta mark set ip6 saddr map @{routers} return",
        "goto tunnelled_by_a_node",
    )


def _routers(config: AgentConfig) -> tuple[str, str]:
    """The map from where routers tunnel to the mark of their network: its name, and all of it.

    Another directory needs another name, since what is in a map stays.
    """
    networks = config.directory.networks
    plain = [n.plain for n in networks if n.plain is not None]
    nodes = [*(n.mobile_pool for n in networks), *plain]
    marks = elements(
        f"{routers} : {tunnel_mark(i):#x}"
        for i, n in enumerate(networks)
        for routers in _without(nodes, n.prefix)
    )
    name = f"routers_{_digest(marks)}"
    body = f"    typeof ip6 saddr : meta mark\n    flags interval\n    elements = {marks}\n"
    return name, f"  map {name} {{\n{body}  }}\n"


def _without(holes: Iterable[IPv6Network], prefix: IPv6Network) -> list[IPv6Network]:
    """What is left of a prefix."""
    left = [prefix]
    for hole in holes:
        apart = [part for part in left if not part.overlaps(hole)]
        around = [part for part in left if hole.subnet_of(part)]
        left = apart + [rest for part in around for rest in part.address_exclude(hole)]
    return left


def _home_agent_chain(config: AgentConfig) -> str:
    """At a mobile node: only home agents may tunnel to it (RFC 6275, 11.3.3)."""
    agents = elements(sorted({n.lm for n in config.directory.networks}))
    trusted = f"ip6 saddr {agents} meta mark set {MARK_TUNNELLED:#x} return"
    return chain("tunnelled", trusted, "counter drop")


def _access_chains(config: AgentConfig) -> str:
    """Strict reverse path on access links: a global source not delivered there is told, dropped.

    Neighbour discovery stays, so that a node which keeps an older address can find its router. Who
    uses a prefix that was withdrawn is answered: it is found by who looks without the mark.
    """
    tell = (
        f"ip6 saddr != @observed update @observed {{ ip6 saddr }} "
        f"log group {OBSERVED_GROUP} snaplen 40"
    )
    neighbours = f"ip6 daddr {{ fe80::/10, ff00::/8 }} {_NEIGHBOURS} accept"
    withdrawn = "fib saddr . iif oif exists jump withdrawn"
    if declined := _declined(config, "dport"):
        # A solicitation does not say for the sake of which flow it is; the flow's packet does.
        strangers = [f"{declined} counter drop", neighbours, tell, withdrawn]
    else:
        strangers = [tell, withdrawn, neighbours]
    answer = f"limit rate {ANSWERS_A_SECOND}/second burst {ANSWERS_A_SECOND} packets reject with"
    return (
        chain(
            "withdrawn",
            f"meta l4proto tcp {answer} tcp reset",
            f"meta l4proto != {{ tcp, icmpv6 }} {answer} icmpv6 type policy-fail",
            f"icmpv6 type echo-request {answer} icmpv6 type policy-fail",
        )
        + chain("strangers", *strangers, "counter drop")
        + chain(
            "from_access_links",
            # The agent has read them (packet sockets come first); the kernel would say that
            # nobody has.
            f"ip6 daddr {ROUTER_LINK_LOCAL} meta l4proto {MOBILITY_HEADER} drop",
            "ip6 saddr != { 2000::/3, fc00::/7 } return",
            f"meta mark set meta mark or {MARK_FROM_NODE:#x}",
            "fib saddr . mark . iif oif missing jump strangers",
        )
    )


_NEIGHBOURS = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert }"


def _declined(config: AgentConfig, side: str) -> str:
    """Which are packets of flows that no mobility is for, by the port of the correspondent."""
    flows = config.mobile_nodes.declined_flows
    if not flows:
        return ""
    return f"meta l4proto . th {side} {elements(f'{f.protocol} . {f.port}' for f in flows)}"


def _used_rules(config: AgentConfig) -> tuple[list[str], list[str]]:
    """Tell of packets from and to other networks' prefixes on access links: as they come, and go.

    Not of declined flows: these keep nothing. They are the last rules of their chains.

    What comes is seen before it is routed, and what is not delivered there has been dropped. What
    goes is seen afterwards, because of a packet in a tunnel nothing but the outside is seen before.
    """
    pools = interception.pools_elsewhere(config)
    if not config.access_links or not pools:
        return [], []
    links = _links(config)

    def tell(side: str) -> str:
        key = f"ip6 {side} and {SUBNET}"
        log = f"log group {USED_GROUP} snaplen 40"
        return f"ip6 {side} {elements(pools)} {key} != @used update @used {{ {key} }} {log}"

    come, go = [f"iifname {links} {tell('saddr')}"], [f"oifname {links} {tell('daddr')}"]
    if declined := _declined(config, "dport"):
        # What it solicits its router for may be such a flow.
        come[:0] = [f"iifname {links} {each} return" for each in (declined, _NEIGHBOURS)]
        go.insert(0, f"oifname {links} {_declined(config, 'sport')} return")
    return come, go
