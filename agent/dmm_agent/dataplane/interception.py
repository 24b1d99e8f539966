"""Which packets to and from mobile nodes the agent hears of, or has wait, in nftables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmm_agent.dataplane.layout import IP_PROTOCOL_IPV6, MARK_HELD, MARK_MASK, MARK_TUNNELLED
from dmm_agent.dataplane.nft import chain, elements
from dmm_agent.functions.events import Interception

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv6Network

    from dmm_agent.config import AgentConfig

INTERCEPTED_GROUP = 6
INTERCEPTED_EVERY = "100ms"
SAMPLED_AT_ONCE = 4096
"""Most sources or destinations remembered as told; more wait their turn."""

SUBNET = "ffff:ffff:ffff:ffff::"
INNER_DESTINATION_BIT = 192
"""Of a packet inside a tunnel, counted from its own header."""
INNER_SUBNET = f"@th,{INNER_DESTINATION_BIT},64"

_PLAIN = f"meta mark and {MARK_MASK:#x} != {MARK_TUNNELLED:#x}"


def sets(intercepts: frozenset[Interception]) -> Iterator[str]:
    """What has been told a moment ago."""
    if intercepts & {Interception.OUTBOUND, Interception.REMAINING, Interception.VISITORS}:
        yield told("intercepted", "ip6 daddr", INTERCEPTED_EVERY)
    if Interception.HOMEBOUND in intercepts:
        yield told("homebound", "ip6 saddr . ip6 daddr", INTERCEPTED_EVERY)
        yield told("homebound_inside", f"ip6 saddr . {INNER_SUBNET}", INTERCEPTED_EVERY)


def told(name: str, of: str, every: str) -> str:
    """A set of what need not be told again for a while."""
    return f"""\
  set {name} {{
    typeof {of}
    size {SAMPLED_AT_ONCE}
    flags dynamic,timeout
    timeout {every}
  }}
"""


def chains(config: AgentConfig, intercepts: frozenset[Interception]) -> str:
    """Where plain packets pass, those of other networks' nodes apart."""
    if not rules(config, intercepts):
        return ""
    plain: list[str] = []
    visitors: list[str] = []
    if Interception.HOMEBOUND in intercepts:
        plain.append(_homebound(config))
    if pools_elsewhere(config):
        plain += [
            f"ip6 saddr {elements(pools_elsewhere(config))} goto visitors",
            *_outbound(config, intercepts),
        ]
        visitors += _visitors(config, intercepts)
    return chain("visitors", *visitors) + chain("plain", *plain)


def rules(config: AgentConfig, intercepts: frozenset[Interception]) -> list[str]:
    """What leads there, and what is told of other packets."""
    if not intercepts - {Interception.BROUGHT_ALONG}:
        return []
    inside = [_homebound_inside(config)] if Interception.HOMEBOUND in intercepts else []
    return [f"{_PLAIN} jump plain", *inside]


def pools_elsewhere(config: AgentConfig) -> list[IPv6Network]:
    """What other networks' mobile nodes have their prefixes from."""
    return [n.mobile_pool for n in config.directory.networks if n.network != config.network]


def _outbound(config: AgentConfig, intercepts: frozenset[Interception]) -> Iterator[str]:
    """Of packets to other networks' mobile nodes: mark what waits unless a route takes it; tell.

    In transit, somebody else's packets do not wait.
    """
    own = config.directory.named(config.network)
    outbound = f"ip6 daddr {elements(pools_elsewhere(config))}"
    if Interception.REMAINING in intercepts:
        # No access router of this network has told its own MR of them.
        below = [own.mobile_pool, *(prefix for a in own.access_mrs for prefix in a.prefixes)]
        outbound += f" ip6 saddr != {elements(below)}"
    if Interception.HELD in intercepts:
        senders = "" if Interception.NEAREST in intercepts else f"ip6 saddr {own.prefix} "
        yield f"{senders}{outbound} meta mark set meta mark or {MARK_HELD:#x}"
    if intercepts & {Interception.OUTBOUND, Interception.REMAINING}:
        yield f"{outbound} {_TELL_INTERCEPTED}"


def _visitors(config: AgentConfig, intercepts: frozenset[Interception]) -> Iterator[str]:
    """Tell of visitors' packets to other networks."""
    if Interception.VISITORS in intercepts:
        others = (n.prefix for n in config.directory.networks if n.network != config.network)
        yield f"ip6 daddr {elements(others)} {_TELL_INTERCEPTED}"


def _homebound(config: AgentConfig) -> str:
    """Tell of packets from elsewhere to this network's own mobile nodes."""
    own = config.directory.named(config.network)
    each = f"ip6 saddr and {SUBNET} . ip6 daddr and {SUBNET}"
    return f"ip6 saddr != {own.prefix} ip6 daddr {own.mobile_pool} " + _tell("homebound", each)


def _homebound_inside(config: AgentConfig) -> str:
    """The same in a tunnel to us.

    nftables sees the outer packet, which says who tunnelled it; with `ip6tnl` it sees the inner one
    again, with the mark.
    """
    pool = config.directory.named(config.network).mobile_pool
    bits = int(pool.network_address) >> (128 - pool.prefixlen)
    inside = f"@th,{INNER_DESTINATION_BIT},{pool.prefixlen} {bits:#x}"
    return f"meta l4proto {IP_PROTOCOL_IPV6} ip6 daddr {config.address} {inside} " + _tell(
        "homebound_inside", f"ip6 saddr . {INNER_SUBNET}"
    )


def _tell(known: str, key: str) -> str:
    """Log a packet, unless one with the same key is in a set of those that were a moment ago."""
    return f"{key} != @{known} update @{known} {{ {key} }} log group {INTERCEPTED_GROUP} snaplen 80"


_TELL_INTERCEPTED = _tell("intercepted", f"ip6 daddr and {SUBNET}")
