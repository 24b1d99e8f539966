"""The agent's configuration: one YAML file a host, rendered by Ansible, refused when wrong."""

from __future__ import annotations

from functools import cached_property
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from dmm_agent.dataplane.locators import distinguished

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

LOCATOR_LENGTH = 32
UNSPECIFIED = IPv6Address("::")

DataPlane = Literal["seg6", "ip6tnl"]
"""How a host tunnels: by segment routing attached to routes, or by a tunnel device."""

InterfaceName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$")]
MacAddress = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{2}(:[0-9a-f]{2}){5}$")]
NetworkAccessIdentifier = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,253}$")]


class ConfigError(Exception):
    """A configuration that cannot be used; its text is one line a field, ready for the user."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AccessEntry(_Strict):
    """The MR of an access router, and the fixed hosts whose packets it intercepts (RS1.ar)."""

    prefixes: tuple[IPv6Network, ...]
    mr: IPv6Address


class NetworkEntry(_Strict):
    """Who serves one network: a row of the directory (draft, section 3.3: which data is where)."""

    network: str
    prefix: IPv6Network
    """Everything the network owns, its mobile pool included."""
    mobile_pool: IPv6Network
    """Home network prefixes of this network are /64s out of this pool."""
    plain: IPv6Network | None = None
    """Addresses on access links, for nodes without mobility; who has one is no router."""
    lm: IPv6Address
    mr: IPv6Address
    access_mrs: tuple[AccessEntry, ...] = ()
    """Access routers whose own MR serves the hosts below them, where the profile has it so."""

    locators: IPv6Network | None = None
    """Where packets are rewritten: the /32 whose addresses `mr` turns into those of visitors."""

    @model_validator(mode="after")
    def _parts_are_inside(self) -> Self:
        if not self.mobile_pool.subnet_of(self.prefix):
            raise ValueError(
                f"expected mobile_pool {self.mobile_pool} to be a part of prefix {self.prefix}"
            )
        if self.plain and not self.plain.subnet_of(self.prefix):
            raise ValueError(f"expected plain {self.plain} to be a part of prefix {self.prefix}")
        return self

    def mr_of(self, sender: IPv6Address) -> IPv6Address:
        """The MR that intercepts what a host of this network sends (draft, 7: RS1)."""
        for access in self.access_mrs:
            if any(sender in prefix for prefix in access.prefixes):
                return access.mr
        return self.mr

    @cached_property
    def fixed_parts(self) -> tuple[IPv6Network, ...]:
        """The largest prefixes of the network that hold no mobile prefix."""
        return tuple(self.prefix.address_exclude(self.mobile_pool))


class Directory(_Strict):
    """Which network owns which addresses, and who serves it."""

    networks: tuple[NetworkEntry, ...]

    @model_validator(mode="after")
    def _locators_fit(self) -> Self:
        with_locators = [network for network in self.networks if network.locators is not None]
        for network in with_locators:
            if network.locators is not None and network.locators.prefixlen != LOCATOR_LENGTH:
                raise ValueError(
                    f"expected locators of {network.network} to be a /{LOCATOR_LENGTH}, "
                    f"got {network.locators}"
                )
        if with_locators and not distinguished(tuple(n.prefix for n in self.networks)):
            raise ValueError(
                "expected networks whose prefixes differ in the sum of their first three "
                "16-bit words, or locators cannot tell them apart"
            )
        return self

    def home_of(self, address: IPv6Address | IPv6Network) -> NetworkEntry | None:
        """The network whose mobile pool holds the address or prefix, if any."""
        return self._pools.holder(address)

    def plain_of(self, address: IPv6Address) -> NetworkEntry | None:
        """The network on whose access links the address is a node's, without mobility there."""
        owner = self.owner_of(address)
        if owner is None or owner.plain is None or address not in owner.plain:
            return None
        return owner

    def owner_of(self, address: IPv6Address | IPv6Network) -> NetworkEntry | None:
        """The network that owns the address or prefix, fixed or mobile, if any."""
        return self._prefixes.holder(address)

    def named(self, network: str) -> NetworkEntry:
        """The entry of a network that is known to be there.

        Raises:
            KeyError: no network of that name.
        """
        return self._by_name[network]

    @cached_property
    def _by_name(self) -> dict[str, NetworkEntry]:
        return {entry.network: entry for entry in self.networks}

    @cached_property
    def _pools(self) -> _Holders:
        return _Holders((entry.mobile_pool, entry) for entry in self.networks)

    @cached_property
    def _prefixes(self) -> _Holders:
        return _Holders((entry.prefix, entry) for entry in self.networks)


class _Holders:
    """Who holds which prefix: plain integers, because every packet event looks here."""

    def __init__(self, rows: Iterable[tuple[IPv6Network, NetworkEntry]]) -> None:
        self._by_mask: dict[int, dict[int, NetworkEntry]] = {}
        for prefix, entry in rows:
            of_length = self._by_mask.setdefault(int(prefix.netmask), {})
            of_length.setdefault(int(prefix.network_address), entry)

    def holder(self, address: IPv6Address | IPv6Network) -> NetworkEntry | None:
        """The entry whose prefix covers the address, or the first one of the prefix."""
        first = int(address.network_address if isinstance(address, IPv6Network) else address)
        for mask, entries in self._by_mask.items():
            if (entry := entries.get(first & mask)) is not None:
                return entry
        return None


class MobileNode(_Strict):
    """The policy profile of one mobile node (RFC 5213, 6.2)."""

    id: NetworkAccessIdentifier
    link_layer: MacAddress
    mobile_networks: tuple[IPv6Network, ...] = ()
    """The prefixes behind it, if it is a mobile router (RFC 3963, 6.1.2)."""
    home_address: IPv6Address | None = None
    """By which a mobile router registers them."""
    mobility: Literal["offered", "declined"] = "offered"
    """Whether the network does anything for its mobility (draft, REQ2)."""


class Flow(_Strict):
    """Packets to and from one port of correspondents."""

    protocol: Literal["tcp", "udp"]
    port: int = Field(ge=1, le=65535)


class MobileNodePolicy(_Strict):
    """Which mobile nodes may use the mobility service."""

    nodes: tuple[MobileNode, ...] = ()
    declined_flows: tuple[Flow, ...] = ()
    """Flows that are not worth mobility: no prefix is kept for their sake (draft, REQ2)."""

    def offered_to(self, mn_id: str) -> bool:
        """Whether there is mobility for the node with that identifier."""
        node = self.named(mn_id)
        return node is not None and node.mobility == "offered"

    def named(self, mn_id: str) -> MobileNode | None:
        """The node with that identifier, if it is known."""
        return next((n for n in self.nodes if n.id == mn_id), None)

    def by_link_layer(self, link_layer: str) -> MobileNode | None:
        """The node with that MAC address, if it is known."""
        return next((n for n in self.nodes if n.link_layer == link_layer), None)


class AgentConfig(_Strict):
    """Everything one agent needs to know."""

    version: Literal[1] = Field(1, alias="schema")
    host: str
    network: str
    address: IPv6Address = UNSPECIFIED
    """Signalling address and tunnel endpoint, on the loopback interface; a mobile node has none."""
    radio: InterfaceName | None = None
    """At a mobile node: the interface by which it attaches."""
    dataplane: DataPlane = "seg6"
    uplinks: tuple[InterfaceName, ...] = ()
    """Interfaces towards the rest of the world."""
    access_links: tuple[InterfaceName, ...] = ()
    """Interfaces on which mobile nodes attach, one node a link."""
    plain_prefixes: dict[InterfaceName, IPv6Network] = Field(default_factory=dict)
    """Of access links, for nodes that mobility is declined to."""
    home_block: IPv6Network | None = None
    """Part of the mobile pool that plain routing brings to this access router."""
    directory: Directory
    mobile_nodes: MobileNodePolicy = MobileNodePolicy()
    functions: dict[str, dict[str, Any]]
    """Options of each function on this host, by the function's entry-point name."""

    @model_validator(mode="after")
    def _is_router_or_mobile_node(self) -> Self:
        if (self.address == UNSPECIFIED) == (self.radio is None):
            raise ValueError("expected either an address (of a router) or a radio (mobile node)")
        if self.radio is not None and (self.uplinks or self.access_links or self.home_block):
            raise ValueError("expected no uplinks, access_links or home_block beside a radio")
        return self


def describe(error: ValidationError, source: str) -> str:
    """Say what is wrong in a user's file: one line a field with file, field, expectation, value."""
    lines = []
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"]) or "(top)"
        got = "" if problem["type"] == "missing" else f", got {problem['input']!r}"
        lines.append(f"{source}: {where}: {problem['msg']}{got}")
    return "\n".join(lines)


def load(path: Path) -> AgentConfig:
    """Read and check a configuration file.

    Raises:
        ConfigError: the file cannot be read, is not YAML, or a field is wrong.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {error}") from error
    try:
        return AgentConfig.model_validate(data)
    except ValidationError as error:
        raise ConfigError(describe(error, str(path))) from error
