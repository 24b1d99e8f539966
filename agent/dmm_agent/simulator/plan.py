"""The virtual networks: gateways, access routers below them, a correspondent in each network."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any

from dmm_agent.config import (
    AccessEntry,
    AgentConfig,
    Directory,
    MobileNode,
    MobileNodePolicy,
    NetworkEntry,
)
from dmm_agent.keys import Keys, SecurityAssociation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

PLAIN_SUBNET = 0x4000


@dataclass(frozen=True, slots=True)
class Router:
    """One router; an access router has a gateway and a block, a gateway has neither."""

    name: str
    network: str
    address: IPv6Address
    gateway: str | None = None
    block: IPv6Network | None = None
    correspondent: IPv6Address | None = None
    """A fixed host below this access router."""
    plain_block: IPv6Network | None = None

    def plain_prefix(self, link: int) -> IPv6Network:
        """The plain prefix of an access link, by its number (0...).

        Raises:
            ValueError: this is no access router.
        """
        if self.plain_block is None:
            raise ValueError(f"{self.name} has no access links")
        return IPv6Network((int(self.plain_block.network_address) | link << 64, 64))


@dataclass(frozen=True, slots=True)
class Plan:
    """Addresses and places of everything."""

    directory: Directory
    mobile_nodes: MobileNodePolicy
    routers: dict[str, Router]
    anycast: bool = False
    """Whether plain routing brings packets to mobile nodes to the nearest gateway."""
    hold: bool = False
    """Whether packets wait for answers (`while_resolving`)."""
    by_address: dict[IPv6Address, Router] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_address", {r.address: r for r in self.routers.values()})

    def gateway_of(self, network: str) -> Router:
        """The gateway of a network."""
        return self.by_address[self.directory.named(network).mr]

    def access_routers(self) -> list[Router]:
        """All access routers, by name."""
        return [r for _, r in sorted(self.routers.items()) if r.gateway is not None]

    def correspondents(self) -> Iterator[tuple[Router, IPv6Address]]:
        """The fixed hosts, each with the access router it is below."""
        for router in self.access_routers():
            if router.correspondent is not None:
                yield router, router.correspondent

    def below(self, gateway: str, destination: IPv6Address) -> Router | None:
        """The access router that plain routing takes for an address inside a network."""
        for router in self.access_routers():
            mine = router.block is not None and destination in router.block
            plain = router.plain_block is not None and destination in router.plain_block
            fixed = destination == router.correspondent
            if router.gateway == gateway and (mine or plain or fixed):
                return router
        return None

    def config(self, router: Router, options: dict[str, Any]) -> AgentConfig:
        """The configuration of the agent on a router; `options` as in a profile, by function."""
        entry = self.directory.named(router.network)
        functions: tuple[str, ...] = ("allocator", "lm", "mr")
        if router.gateway is not None:
            functions = ("proxy", "mr") if entry.access_mrs else ("proxy",)
        chosen = {name: dict(options.get(name, {})) for name in functions}
        if "allocator" in chosen:
            chosen["allocator"]["blocks"] = [
                {"access_router": r.address, "prefix": r.block}
                for r in self.access_routers()
                if r.gateway == router.name
            ]
        return AgentConfig(
            schema=1,
            host=router.name,
            network=router.network,
            address=router.address,
            access_links=tuple(n.id.split("@")[0] for n in self.mobile_nodes.nodes)
            if router.gateway is not None
            else (),
            plain_prefixes={
                n.id.split("@")[0]: router.plain_prefix(i)
                for i, n in enumerate(self.mobile_nodes.nodes)
                if router.plain_block is not None
            },
            home_block=router.block,
            directory=self.directory,
            mobile_nodes=self.mobile_nodes,
            functions=chosen,
        )

    def keys(self, nodes: Iterable[MobileNode], home_agents: Iterable[IPv6Address]) -> Keys:
        """What these nodes share with these home agents: made up, and the same each time."""
        return Keys(
            tuple(
                SecurityAssociation(
                    mn_id=node.id,
                    home_agent=agent,
                    key=hashlib.sha256(f"{node.id} {agent}".encode()).hexdigest()[:32],
                )
                for node in nodes
                for agent in home_agents
            )
        )

    def mobile_config(
        self,
        policy: MobileNode,
        radio: str,
        functions: Sequence[str],
        options: Mapping[str, Mapping[str, Any]],
    ) -> AgentConfig:
        """The configuration of the agent on a mobile node."""
        return AgentConfig(
            schema=1,
            host=policy.id.split("@")[0],
            network=self.directory.networks[0].network,
            radio=radio,
            directory=self.directory,
            mobile_nodes=MobileNodePolicy(nodes=(policy,)),
            functions={name: dict(options.get(name, {})) for name in functions},
        )


def make_plan(
    networks: int,
    access_routers: int,
    mobile_nodes: int,
    interception: str = "gateway",
    while_resolving: str = "triangle",
    declined: int = 0,
    block_length: int = 56,
) -> Plan:
    """Networks in a star around a core, by the same rule as the testbed's addresses.

    An access router's block is a prefix of `block_length`, and each /64 of it can be leased once.
    With interception "access", access routers have an MR of their own (draft, 7: RS1.ar); with
    "anycast" every gateway announces all mobile pools. Mobility is declined to the last `declined`
    of the mobile nodes.
    """
    entries, routers = [], {}
    for n in range(1, networks + 1):
        prefix = IPv6Network((0x20010DB8 << 96 | n << 80, 48))
        pool = IPv6Network((int(prefix.network_address) | 0x8000 << 64, 49))
        base = int(prefix.network_address)
        gateway = Router(f"gw{n}", f"net{n}", IPv6Address(base + 1))
        routers[gateway.name] = gateway
        access_mrs = []
        for a in range(1, access_routers + 1):
            block = IPv6Network((int(pool.network_address) | (a << 8) << 64, block_length))
            name = f"ar{n}{a}"
            routers[name] = Router(
                name,
                gateway.network,
                IPv6Address(base + 1 + a),
                gateway.name,
                block,
                IPv6Address(base | (a << 64) | 0x10),
                IPv6Network((base | PLAIN_SUBNET + (a << 8) << 64, 56)),
            )
            fixed = IPv6Network((base | (a << 64), 64))
            access_mrs.append(AccessEntry(prefixes=(fixed,), mr=routers[name].address))
        entries.append(
            NetworkEntry(
                network=gateway.network,
                prefix=prefix,
                mobile_pool=pool,
                plain=IPv6Network((base | PLAIN_SUBNET << 64, 50)),
                lm=gateway.address,
                mr=gateway.address,
                access_mrs=tuple(access_mrs) if interception == "access" else (),
            )
        )
    nodes = tuple(
        MobileNode(
            id=f"mn{m}@dmm.example",
            link_layer=f"02:00:00:00:00:{m:02x}",
            mobility="declined" if m > mobile_nodes - declined else "offered",
        )
        for m in range(1, mobile_nodes + 1)
    )
    directory = Directory(networks=tuple(entries))
    return Plan(
        directory,
        MobileNodePolicy(nodes=nodes),
        routers,
        anycast=interception == "anycast",
        hold=while_resolving == "hold",
    )
