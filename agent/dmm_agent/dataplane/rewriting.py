"""Rewriting instead of tunnelling, in nftables: which packets get locators, and lose them.

No router needs state of a node for it: all that is here follows from the directory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmm_agent.dataplane.entrance import ENTRANCE, next_hops
from dmm_agent.dataplane.layout import tunnel_mark
from dmm_agent.dataplane.locators import TRANSLATED_BITS, translations
from dmm_agent.dataplane.nft import chain, elements

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from ipaddress import IPv6Network

    from dmm_agent.config import AgentConfig, NetworkEntry

_SOURCE, _DESTINATION = f"@nh,64,{TRANSLATED_BITS}", f"@nh,192,{TRANSLATED_BITS}"
_NEXT_HOP = "rt ip6 nexthop"
_INNER_SOURCE, _INNER_DESTINATION = f"@th,128,{TRANSLATED_BITS}", f"@th,256,{TRANSLATED_BITS}"
"""Of the packet that an ICMPv6 error is about, behind eight octets of the error's own."""
_ERRORS = "{ destination-unreachable, packet-too-big, time-exceeded, parameter-problem }"


def definitions(config: AgentConfig) -> str:
    """Maps and chains of the agent's table."""
    own = config.directory.named(config.network)
    found = list(translations(config.directory))
    hops = {hop.network.network: hop.address for hop in next_hops(config)}
    put_in = [
        f"{hops[t.at.network]} . {t.home:#x} : {t.locator:#x}" for t in found if t.at is not own
    ]
    own_ones = [f"{t.home:#x} : {t.locator:#x}" for t in found if t.at is own]
    taken_out = [f"{t.locator:#x} : {t.home:#x}" for t in found]
    marks = [
        f"{prefix} : {tunnel_mark(position):#x}"
        for position, network in enumerate(config.directory.networks)
        for prefix in (network.prefix, network.locators)
        if prefix is not None and network is not own
    ]
    return "".join(
        (
            _map("locators_there", f"{_NEXT_HOP} . {_DESTINATION}", _DESTINATION, put_in),
            _map("locators_here", _SOURCE, _SOURCE, own_ones),
            *(
                _map(name, field, field, taken_out)
                for name, field in (
                    ("sources", _SOURCE),
                    ("destinations", _DESTINATION),
                    ("inner_sources", _INNER_SOURCE),
                    ("inner_destinations", _INNER_DESTINATION),
                )
            ),
            chain(
                "put_locators_in",
                f"{_DESTINATION} set {_NEXT_HOP} . {_DESTINATION} map @locators_there",
                f"ip6 saddr != {own.prefix} {_SOURCE} set {_SOURCE} map @locators_here",
            ),
            chain(
                "take_locators_out",
                f"meta mark set ip6 saddr map {elements(marks)}",
                f"{_DESTINATION} set {_DESTINATION} map @destinations",
                f"{_SOURCE} set {_SOURCE} map @sources",
            ),
            chain(
                "take_out_of_errors",
                f"{_INNER_SOURCE} set {_INNER_SOURCE} map @inner_sources",
                f"{_INNER_DESTINATION} set {_INNER_DESTINATION} map @inner_destinations",
            ),
            # What passes is not routed once more; a copy is, as if this host had sent it.
            chain("rewritten", "jump put_locators_in", "dup to ip6 daddr drop"),
            # This host's own errors: about what it rewrote, and about what came under its locators.
            chain(
                "own_errors",
                "jump take_out_of_errors",
                f"ip6 daddr {own.locators} {_DESTINATION} set {_DESTINATION} map @destinations",
            ),
            # What this host sends itself is routed once more if it has another destination by then.
            chain(
                "sent",
                "type route hook output priority mangle",
                f"icmpv6 type {_ERRORS} jump own_errors",
                f'oifname "{ENTRANCE}" goto put_locators_in',
            ),
            *_checks(config),
        )
    )


REWRITTEN = f'oifname "{ENTRANCE}" goto rewritten'
"""The first rule for packets that pass this host, once their way is known."""
CHECKED = "jump locators"
"""Which packets lose locators here, or may not have any; before rules that look at addresses."""


def _checks(config: AgentConfig) -> Iterator[str]:
    """Only mobility routers write locators, and they are outside."""
    own = config.directory.named(config.network)
    locators = elements(_locators(config.directory.networks))
    outside = elements(f'"{name}"' for name in config.uplinks)
    yield chain(
        "from_outside",
        f"icmpv6 type {_ERRORS} ip6 daddr {elements((own.prefix, own.locators))} "
        "jump take_out_of_errors",
        f"ip6 daddr {own.locators} jump take_locators_out",
        f"ip6 daddr {own.prefix} ip6 saddr {locators} jump take_locators_out",
    )
    yield chain(
        "locators",
        f"iifname {outside} goto from_outside",
        f"ip6 saddr {locators} counter drop",
        f"ip6 daddr {locators} counter drop",
    )


def _locators(networks: Iterable[NetworkEntry]) -> Iterator[IPv6Network]:
    return (network.locators for network in networks if network.locators is not None)


def _map(name: str, key: str, data: str, there: list[str]) -> str:
    """A map that does not grow; told so, the kernel takes a quicker way to look into it."""
    body = f"    size {len(there)}\n    elements = {elements(there)}\n" if there else ""
    return f"  map {name} {{\n    typeof {key} : {data}\n{body}  }}\n"
