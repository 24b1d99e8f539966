"""The topology file as users write it. What the fields mean together is checked in `rules`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, StringConstraints

from dmm_agent.config import DataPlane  # noqa: TC001 (pydantic reads it)
from dmm_testbed.topology.addresses import MAX_MOBILE_NODES_PER_NETWORK, MAX_NETWORK_NUMBER
from dmm_testbed.topology.sentences import DATA_PLANE_RULE, NAME_RULE, Location
from dmm_testbed.topology.yamlfile import StrictModel, read_model

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

Mobility = Literal["offered", "declined"]
"""Whether the network does anything for a node's mobility (draft, REQ2)."""

MIN_MTU = 1280
"""The least MTU of an IPv6 link (RFC 8200, section 5)."""
MAX_MTU = 65535
"""The largest MTU of a veth."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$")]
"""A DNS label in lower case (RFC 1123, 2.1), starting with a letter."""

HostRole = Literal["router", "gateway", "access_router", "anchor", "correspondent"]
"""Roles a host can be given; mobile nodes are made from `mobile_nodes`."""

MAX_FIXED_NODES = 16
"""Most hosts of a mobile network."""

_MTU = f"a number of bytes from {MIN_MTU} to {MAX_MTU}"


class NetworkEntry(StrictModel):
    """One IP network; its addresses follow from its number."""

    number: int = Field(
        ge=0,
        le=MAX_NETWORK_NUMBER,
        strict=True,
        description=f"a whole number from 0 to {MAX_NETWORK_NUMBER}, the network's own",
    )


class HostEntry(StrictModel):
    """One host that is there from the start."""

    network: Name = Field(description="the name of a network")
    role: HostRole = Field(
        description="one of router, gateway, access_router, anchor, correspondent"
    )
    gateway: Name | None = Field(None, description="the name of the access router's gateway")
    dataplane: DataPlane | None = Field(None, description=DATA_PLANE_RULE)


class LinkEntry(StrictModel):
    """One point-to-point link, and what it does to packets."""

    ends: tuple[Name, Name] = Field(description="the names of two hosts")
    mtu: int | None = Field(None, ge=MIN_MTU, le=MAX_MTU, strict=True, description=_MTU)
    delay_ms: float = Field(
        0, ge=0, le=60_000, description="a one-way delay from 0 to 60000 milliseconds"
    )
    loss_percent: float = Field(0, ge=0, le=100, description="a percentage from 0 to 100")
    rate_mbit: float | None = Field(
        None, gt=0, le=400_000, description="a rate above 0 and up to 400000 Mbit/s"
    )


class MobileNetworkEntry(StrictModel):
    """A network behind a mobile node, which thereby is a mobile router (RFC 3963)."""

    hosts: int = Field(
        1,
        ge=1,
        le=MAX_FIXED_NODES,
        strict=True,
        description=f"a whole number of hosts from 1 to {MAX_FIXED_NODES}",
    )


class MobileNodesEntry(StrictModel):
    """Some mobile nodes that start at the same access router."""

    attach: Name = Field(description="the name of the access router where they start")
    count: int = Field(
        1,
        ge=1,
        le=MAX_MOBILE_NODES_PER_NETWORK,
        strict=True,
        description=f"a whole number from 1 to {MAX_MOBILE_NODES_PER_NETWORK}",
    )
    hears: tuple[Name, ...] | None = Field(
        None, min_length=1, description="a list of access routers; all of them if left out"
    )
    mobility: Mobility = Field(
        "offered", description="offered, or declined: such nodes get plain IP"
    )
    mobile_network: MobileNetworkEntry | None = Field(
        None,
        description="a mobile network behind each of them, with 1 to 16 hosts; {} is one with one",
    )


class FlowEntry(StrictModel):
    """Packets to and from one port of correspondents."""

    protocol: Literal["tcp", "udp"] = Field(description="tcp or udp")
    port: int = Field(
        ge=1, le=65535, strict=True, description="a correspondent's port, from 1 to 65535"
    )


class TopologyFile(StrictModel):
    """A whole topology file."""

    plugin: Literal["dmm_topology"] = Field(
        description="dmm_topology, so that Ansible takes the file as an inventory"
    )
    version: Literal[1] = Field(alias="schema", description="1, the version of this format")
    name: Name = Field(description=NAME_RULE)
    access_mtu: int = Field(1500, ge=MIN_MTU, le=MAX_MTU, strict=True, description=_MTU)
    networks: dict[Name, NetworkEntry] = Field(
        min_length=1, max_length=256, description="1 to 256 networks by name"
    )
    hosts: dict[Name, HostEntry] = Field(
        min_length=1, max_length=1024, description="1 to 1024 hosts by name"
    )
    links: tuple[LinkEntry, ...] = Field(max_length=4096, description="a list of links")
    mobile_nodes: tuple[MobileNodesEntry, ...] = Field(
        (), max_length=1024, description="a list of mobile nodes by where they start"
    )
    declined_flows: tuple[FlowEntry, ...] = Field(
        (), max_length=256, description="a list of flows that no mobility is for"
    )


def read_file(path: Path | str) -> TopologyFile:
    """Read a topology file and check each of its fields for itself.

    Raises:
        InputError: the file cannot be read, or fields are unknown, missing or wrong.
    """
    return read_model(path, TopologyFile, _place)


def link_name(index: int, ends: object) -> str:
    """How sentences call a link, which has no name: its number in the file and its ends."""
    names = [end for end in ends if isinstance(end, str)] if isinstance(ends, (list, tuple)) else []
    return f"link {index + 1} ({', '.join(names)})" if names else f"link {index + 1}"


def mobile_nodes_name(index: int) -> str:
    """How sentences call an entry of `mobile_nodes`: its number in the file."""
    return f"mobile_nodes entry {index + 1}"


def _place(location: Location, data: dict[Any, Any]) -> str:
    section, *rest = location
    if section in ("networks", "hosts") and rest:
        words = [f"{str(section).removesuffix('s')} {rest.pop(0)}"]
        rest = ["name" if part == "[key]" else part for part in rest]
    elif section == "links" and rest:
        index = int(rest.pop(0))
        link = data["links"][index]
        words = [link_name(index, link.get("ends") if isinstance(link, dict) else None)]
    elif section in ("mobile_nodes", "declined_flows") and rest:
        words = [f"{section} entry {int(rest.pop(0)) + 1}"]
    else:
        words = [str(section)]
    # A position inside a list says less than the value, which follows in the sentence.
    words += [str(part) for part in rest if isinstance(part, str)]
    return ": ".join(words)
