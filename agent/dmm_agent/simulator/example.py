"""A world to start from: three networks, the draft's four functions, lifetimes of seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dmm_agent.functions.allocator import Allocator
from dmm_agent.functions.client import Client
from dmm_agent.functions.location import LocationManager
from dmm_agent.functions.proxy import Proxy
from dmm_agent.functions.routing import MobilityRouter
from dmm_agent.functions.sessions import Sessions
from dmm_agent.simulator.plan import make_plan
from dmm_agent.simulator.world import World

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dmm_agent.functions.base import Function
    from dmm_agent.simulator.faults import Faults

FUNCTIONS: Mapping[str, type[Function[Any]]] = {
    function.name: function
    for function in (Allocator, Client, LocationManager, MobilityRouter, Proxy, Sessions)
}
"""The functions of this package by name, whether or not it is installed as a distribution."""

SHORT_LIFETIMES: Mapping[str, Mapping[str, Any]] = {
    "allocator": {"lease_lifetime_s": 40},
    "lm": {"binding_lifetime_s": 12, "answer_lifetime_s": 12, "delete_delay_s": 4},
    "proxy": {
        "idle_s": 6,
        "advertisement_interval_s": 1,
        "preferred_lifetime_s": 6,
    },
}
"""Options with which a short run sees every lifetime end."""


def example_world(
    seed: int = 1,
    faults: Faults | None = None,
    *,
    networks: int = 3,
    access_routers: int = 2,
    mobile_nodes: int = 1,
    declined: int = 0,
    interception: str = "gateway",
    resolution: str = "query",
    while_resolving: str = "triangle",
    ask_first: str = "home-lm",
    session_discovery: str = "observed",
    block_length: int = 56,
    clocks: Mapping[str, float] | None = None,
    options: Mapping[str, Mapping[str, Any]] = SHORT_LIFETIMES,
) -> World:
    """A world with so many networks, access routers in each, and mobile nodes.

    Networks are named ``net1`` and so on, their gateways ``gw1``, their access routers ``ar11`` and
    ``ar12``, mobile nodes ``mn1@dmm.example``.

    Args:
        seed: Everything random comes from it.
        faults: What the network does to messages; nothing by default.
        networks: How many networks there are.
        access_routers: How many access routers each network has.
        mobile_nodes: How many mobile nodes there are; none is attached yet.
        declined: To how many of them, the last ones, mobility is declined.
        interception: Where packets meet an MR, as a profile says it.
        resolution: How MRs learn of locations, as a profile says it.
        while_resolving: What packets do meanwhile, as a profile says it.
        ask_first: Which LM MRs ask, as a profile says it.
        session_discovery: How networks learn of sessions, as a profile says it; with "signalled"
            mobile nodes run `sessions`.
        block_length: How long the prefix of each access router's block is; a /64 is one lease.
        clocks: By how many seconds clocks are ahead, by router.
        options: Options of functions, by function.
    """
    plan = make_plan(
        networks,
        access_routers,
        mobile_nodes,
        interception,
        while_resolving,
        declined,
        block_length,
    )
    routing = {
        "interception": interception,
        "resolution": resolution,
        "while_resolving": while_resolving,
        "ask_first": ask_first,
    }
    chosen = {**options, "mr": {**routing, **options.get("mr", {})}}
    chosen["proxy"] = {"session_discovery": session_discovery, **options.get("proxy", {})}
    on_nodes = ("sessions",) if session_discovery == "signalled" else ()
    return World(plan, seed, faults, chosen, FUNCTIONS, clocks, on_nodes)
