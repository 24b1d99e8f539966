"""What the routers of the underlay announce of mobile prefixes, and which routes each then has.

By plain routing a home network prefix leads to the access router whose block it is from, and from
there to nowhere while its node is away; what is left of a network's pool leads to its gateway. With
`interception: anycast` (draft, 7: RS1) every router with the MR of a network announces the pools of
all networks, so that a packet to a mobile node comes to the nearest of them; blocks are announced,
too, but accepted in their own network alone.

Plain prefixes, which no mobility is for, always lead to the access router whose links have them.
Where the profile places no `proxy`, nothing but the underlay is there to advertise them.

With `forwarding: rewrite` the router with the MR of a network announces its locators.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING

from dmm_testbed.topology.model import Role
from dmm_testbed.topology.placement import rewrites, servers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmm_testbed.topology.model import Machine, Topology
    from dmm_testbed.topology.profile import Profile


@dataclass(frozen=True, slots=True)
class HomeOfNetwork:
    """Where packets for a mobile network go from its home link, for good.

    While its router is away, the home agent takes them on their way here.
    """

    prefix: IPv6Network
    via: IPv6Address
    interface: str


@dataclass(frozen=True, slots=True)
class Routing:
    """One router's part in the underlay."""

    announces: tuple[IPv6Network, ...]
    """Mobile prefixes that lead here."""
    own_blocks_only: bool
    """Whether it ignores what access routers of other networks announce."""
    plain: IPv6Network | None
    """The plain prefixes of an access router's links, which lead here too."""
    advertises_plain: bool
    """Whether it is the underlay that tells nodes on access links their plain prefixes."""
    mobile_networks: tuple[HomeOfNetwork, ...]
    """The networks behind mobile routers that are at home on links of this access router."""
    routes: tuple[IPv6Network, ...]
    """What it has a route to once all routers run, its own announcements aside."""


def underlay(topology: Topology, profile: Profile) -> dict[str, Routing]:
    """The part of each router, by name."""
    routers = [machine for machine in topology.machines.values() if machine.loopback]
    anycast = is_anycast(profile)
    behind = {router.name: tuple(_mobile_networks(topology, router)) for router in routers}
    announced = {r.name: _announced(topology, profile, r, anycast=anycast) for r in routers}
    fixed = (
        *(IPv6Network(str(router.loopback)) for router in routers),
        *(router.plain_block for router in routers if router.plain_block),
        *(network.prefix for networks in behind.values() for network in networks),
    )
    return {
        router.name: Routing(
            announced[router.name],
            anycast,
            router.plain_block,
            router.role is Role.ACCESS_ROUTER and "proxy" not in profile.on(router),
            behind[router.name],
            (*fixed, *_learnt(router, routers, announced, anycast=anycast)),
        )
        for router in routers
    }


def _mobile_networks(topology: Topology, router: Machine) -> Iterator[HomeOfNetwork]:
    for machine in topology.with_role(Role.MOBILE_NODE):
        node = machine.mobile
        if node is not None and node.behind is not None and node.attach == router.name:
            yield HomeOfNetwork(node.behind.prefix, node.link_local, machine.name)


def is_anycast(profile: Profile) -> bool:
    """Whether packets to mobile nodes are to come to the nearest MR."""
    return bool(profile.options_of("mr").get("interception") == "anycast")


def _announced(
    topology: Topology, profile: Profile, router: Machine, *, anycast: bool
) -> tuple[IPv6Network, ...]:
    mrs = {n: servers(topology, profile, "mr", n) for n in topology.networks.values()}
    served = [network for network, found in mrs.items() if found == (router,)]
    locators = tuple(network.locator for network in served if rewrites(profile))
    if not anycast or not served or router.role is Role.ACCESS_ROUTER:
        return (*router.announces, *locators)
    return tuple(network.mobile_pool for network, found in mrs.items() if found)


def _learnt(
    router: Machine,
    routers: list[Machine],
    announced: dict[str, tuple[IPv6Network, ...]],
    *,
    anycast: bool,
) -> Iterator[IPv6Network]:
    own = announced[router.name]
    seen = dict.fromkeys(
        prefix
        for other in routers
        if not (anycast and _is_below(other)) or other.network is router.network
        for prefix in announced[other.name]
    )
    return (prefix for prefix in seen if prefix not in own)


def _is_below(router: Machine) -> bool:
    """Whether it is an access router below a gateway; that of a flattened network is both."""
    return router.role is Role.ACCESS_ROUTER and router.gateway is not None
