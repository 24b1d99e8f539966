"""Kernel routes, rules and the tunnel device as values, to and from rtnetlink messages."""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from socket import AF_INET6, AF_UNSPEC

from dmm_agent.dataplane.netlink import (
    NESTED,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    Request,
    attribute,
    attribute_u32,
    attributes,
)

PROTOCOL = 77
"""Route and rule protocol number of all that the agent installs, so that it knows its own."""
KERNEL_PROTOCOL = 2

DEFAULT_METRIC = 1024

TABLE_MAIN = 254
TABLE_LOCAL = 255

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWRULE, RTM_DELRULE, RTM_GETRULE = 32, 33, 34

RTN_UNICAST, RTN_UNREACHABLE, RTN_THROW = 1, 7, 9
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY = 1, 4, 5, 6
RTA_TABLE, RTA_ENCAP_TYPE, RTA_ENCAP = 15, 21, 22

LWTUNNEL_ENCAP_IP6, LWTUNNEL_ENCAP_SEG6, LWTUNNEL_ENCAP_SEG6_LOCAL = 4, 5, 7
LWTUNNEL_IP6_DST, LWTUNNEL_IP6_SRC, LWTUNNEL_IP6_HOPLIMIT = 2, 3, 4
SEG6_IPTUNNEL_SRH = 1
SEG6_IPTUN_MODE_ENCAP_RED = 3
SEG6_LOCAL_ACTION, SEG6_LOCAL_TABLE = 1, 3
SEG6_LOCAL_ACTION_END_DT6 = 7

FR_ACT_TO_TBL, FR_ACT_UNREACHABLE = 1, 7
FRA_DST, FRA_SRC, FRA_IIFNAME, FRA_PRIORITY, FRA_FWMARK = 1, 2, 3, 6, 10
FRA_TABLE, FRA_FWMASK, FRA_PROTOCOL, FRA_IP_PROTO = 15, 16, 21, 22

IFF_UP = 0x1
IFLA_IFNAME, IFLA_MTU, IFLA_LINKINFO, IFLA_AF_SPEC = 3, 4, 18, 26
IFLA_INFO_KIND, IFLA_INFO_DATA = 1, 2
IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE = 8, 1
IFLA_IPTUN_PROTO, IFLA_IPTUN_COLLECT_METADATA = 9, 19
IPPROTO_IPV6 = 41

TUNNEL_HOP_LIMIT = 64
"""Of outer headers that a tunnel device makes (RFC 2473, 6.3); seg6 copies the inner packet's."""
TUNNEL_NEIGHBOUR = IPv6Address("fe80::1")
"""Next hop of routes through a tunnel device, which has only one neighbour anyway.

Without one the kernel would remember each destination as a neighbour of its own.
"""

_ROUTE_HEADER = struct.Struct("=BBBBBBBBI")
_RULE_HEADER = struct.Struct("=BBBBBBBBI")
_LINK_HEADER = struct.Struct("=BxHiII")
_SEGMENT_HEADER = struct.Struct("=IBBBBBBH")


@dataclass(frozen=True, slots=True)
class Via:
    """Forward to a neighbour on a link."""

    interface: int
    gateway: IPv6Address


@dataclass(frozen=True, slots=True)
class Encapsulate:
    """Put an outer IPv6 header on and route to `endpoint` (RFC 2473 on the wire)."""

    endpoint: IPv6Address
    interface: int
    """The tunnel device."""
    source: IPv6Address | None = None
    """The outer source for a device that makes the header; None: seg6 does, as set for the host."""


@dataclass(frozen=True, slots=True)
class Decapsulate:
    """Take the outer header off and look the inner packet up through the policy rules."""

    interface: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer with ICMPv6 destination unreachable."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Leave the table and go on with the next rule."""


Target = Via | Encapsulate | Decapsulate | Refuse | Pass


@dataclass(frozen=True, slots=True)
class KernelRoute:
    """One route of ours in one table; table, prefix and metric identify it."""

    table: int
    prefix: IPv6Network
    target: Target
    metric: int = DEFAULT_METRIC


@dataclass(frozen=True, slots=True)
class Rule:
    """One policy rule; `table` 0 means: answer unreachable."""

    priority: int
    table: int = 0
    source: IPv6Network | None = None
    destination: IPv6Network | None = None
    incoming: str = ""
    mark: int = 0
    mark_mask: int = 0
    ip_protocol: int = 0
    protocol: int = PROTOCOL


def put_route(route: KernelRoute) -> Request:
    """Add the route or replace the one in its place, without a moment between."""
    return Request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, _route_body(route))


def delete_route(table: int, prefix: IPv6Network, metric: int) -> Request:
    """Take the route of ours with this table, prefix and metric out."""
    return Request(RTM_DELROUTE, 0, _route_body(KernelRoute(table, prefix, Via(0, _ANY), metric)))


_ANY = IPv6Address("::")


def _route_body(route: KernelRoute) -> bytes:
    kind, target = _encode_target(route.target)
    header = _ROUTE_HEADER.pack(AF_INET6, route.prefix.prefixlen, 0, 0, 0, PROTOCOL, 0, kind, 0)
    destination = attribute(RTA_DST, route.prefix.network_address.packed)
    return b"".join(
        (
            header,
            destination if route.prefix.prefixlen else b"",
            attribute_u32(RTA_TABLE, route.table),
            attribute_u32(RTA_PRIORITY, route.metric),
            target,
        )
    )


def _encode_target(target: Target) -> tuple[int, bytes]:
    match target:
        case Via(0, _):
            return RTN_UNICAST, b""
        case Via(interface, gateway):
            device = attribute_u32(RTA_OIF, interface)
            return RTN_UNICAST, device + attribute(RTA_GATEWAY, gateway.packed)
        case Encapsulate(endpoint, interface, IPv6Address() as source):
            nested = attribute(LWTUNNEL_IP6_DST, endpoint.packed)
            nested += attribute(LWTUNNEL_IP6_SRC, source.packed)
            nested += attribute(LWTUNNEL_IP6_HOPLIMIT, bytes([TUNNEL_HOP_LIMIT]))
            tunnel = _light_tunnel(LWTUNNEL_ENCAP_IP6, nested, interface)
            return RTN_UNICAST, tunnel + attribute(RTA_GATEWAY, TUNNEL_NEIGHBOUR.packed)
        case Encapsulate(endpoint, interface):
            # One segment, reduced: the kernel leaves the routing header out (RFC 8986, 5.2).
            header = _SEGMENT_HEADER.pack(SEG6_IPTUN_MODE_ENCAP_RED, 0, 2, 4, 0, 0, 0, 0)
            nested = attribute(SEG6_IPTUNNEL_SRH, header + endpoint.packed)
            return RTN_UNICAST, _light_tunnel(LWTUNNEL_ENCAP_SEG6, nested, interface)
        case Decapsulate(interface):
            nested = attribute_u32(SEG6_LOCAL_ACTION, SEG6_LOCAL_ACTION_END_DT6)
            nested += attribute_u32(SEG6_LOCAL_TABLE, 0)
            return RTN_UNICAST, _light_tunnel(LWTUNNEL_ENCAP_SEG6_LOCAL, nested, interface)
        case Refuse():
            return RTN_UNREACHABLE, b""
        case Pass():
            return RTN_THROW, b""


def _light_tunnel(kind: int, nested: bytes, interface: int) -> bytes:
    return (
        attribute_u32(RTA_OIF, interface)
        + attribute(RTA_ENCAP_TYPE, struct.pack("=H", kind))
        + attribute(RTA_ENCAP | NESTED, nested)
    )


def route_dump_header() -> bytes:
    """The request header that lists IPv6 routes of our protocol."""
    return _ROUTE_HEADER.pack(AF_INET6, 0, 0, 0, 0, PROTOCOL, 0, 0, 0)


def decode_route(body: bytes) -> KernelRoute | None:
    """A listed route if it is one of ours, in a shape that we install."""
    _, length, _, _, table, protocol, _, kind, _ = _ROUTE_HEADER.unpack_from(body)
    if protocol != PROTOCOL:
        return None
    found = attributes(body[12:])
    target = _decode_target(kind, found)
    if target is None:
        return None
    return KernelRoute(
        table=_u32(found, RTA_TABLE, table),
        prefix=IPv6Network((found.get(RTA_DST, bytes(16)), length)),
        target=target,
        metric=_u32(found, RTA_PRIORITY, 0),
    )


def _decode_target(kind: int, found: dict[int, bytes]) -> Target | None:
    interface = _u32(found, RTA_OIF, 0)
    if kind == RTN_UNREACHABLE:
        return Refuse()
    if kind == RTN_THROW:
        return Pass()
    if kind != RTN_UNICAST:
        return None
    if RTA_ENCAP in found:
        kind = _u32(found, RTA_ENCAP_TYPE, 0)
        return _decode_light_tunnel(kind, attributes(found[RTA_ENCAP]), interface)
    if RTA_GATEWAY in found:
        return Via(interface, IPv6Address(found[RTA_GATEWAY]))
    return None


def _decode_light_tunnel(kind: int, nested: dict[int, bytes], interface: int) -> Target | None:
    if kind == LWTUNNEL_ENCAP_SEG6_LOCAL:
        return Decapsulate(interface)
    segments = nested.get(SEG6_IPTUNNEL_SRH, b"")
    if kind == LWTUNNEL_ENCAP_SEG6 and len(segments) >= 28:
        return Encapsulate(IPv6Address(segments[12:28]), interface)
    ends = nested.get(LWTUNNEL_IP6_DST, b""), nested.get(LWTUNNEL_IP6_SRC, b"")
    if kind == LWTUNNEL_ENCAP_IP6 and [len(end) for end in ends] == [16, 16]:
        return Encapsulate(IPv6Address(ends[0]), interface, IPv6Address(ends[1]))
    return None


def add_rule(rule: Rule) -> Request:
    """Add a rule; one that is there already is refused with EEXIST."""
    return Request(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, _rule_body(rule))


def delete_rule(rule: Rule) -> Request:
    """Take a rule out."""
    return Request(RTM_DELRULE, 0, _rule_body(rule))


def _rule_body(rule: Rule) -> bytes:
    action = FR_ACT_TO_TBL if rule.table else FR_ACT_UNREACHABLE
    source_length = rule.source.prefixlen if rule.source else 0
    destination_length = rule.destination.prefixlen if rule.destination else 0
    header = _RULE_HEADER.pack(AF_INET6, destination_length, source_length, 0, 0, 0, 0, action, 0)
    parts = [header, attribute_u32(FRA_PRIORITY, rule.priority)]
    if rule.table:
        parts.append(attribute_u32(FRA_TABLE, rule.table))
    if rule.source:
        parts.append(attribute(FRA_SRC, rule.source.network_address.packed))
    if rule.destination:
        parts.append(attribute(FRA_DST, rule.destination.network_address.packed))
    if rule.incoming:
        parts.append(attribute(FRA_IIFNAME, rule.incoming.encode() + b"\0"))
    if rule.mark_mask:
        parts.append(attribute_u32(FRA_FWMARK, rule.mark))
        parts.append(attribute_u32(FRA_FWMASK, rule.mark_mask))
    if rule.ip_protocol:
        parts.append(attribute(FRA_IP_PROTO, bytes([rule.ip_protocol])))
    if rule.protocol:
        parts.append(attribute(FRA_PROTOCOL, bytes([rule.protocol])))
    return b"".join(parts)


def rule_dump_header() -> bytes:
    """The request header that lists IPv6 rules."""
    return _RULE_HEADER.pack(AF_INET6, 0, 0, 0, 0, 0, 0, 0, 0)


def decode_rule(body: bytes) -> Rule:
    """A listed rule, whoever added it."""
    _, dst_length, src_length, _, table, _, _, action, _ = _RULE_HEADER.unpack_from(body)
    found = attributes(body[12:])
    return Rule(
        priority=_u32(found, FRA_PRIORITY, 0),
        table=_u32(found, FRA_TABLE, table) if action == FR_ACT_TO_TBL else 0,
        source=IPv6Network((found[FRA_SRC], src_length)) if src_length else None,
        destination=IPv6Network((found[FRA_DST], dst_length)) if dst_length else None,
        incoming=found.get(FRA_IIFNAME, b"").rstrip(b"\0").decode("ascii", "replace"),
        mark=_u32(found, FRA_FWMARK, 0),
        mark_mask=_u32(found, FRA_FWMASK, 0),
        ip_protocol=found.get(FRA_IP_PROTO, b"\0")[0],
        protocol=found.get(FRA_PROTOCOL, b"\0")[0],
    )


def add_bridge(name: str) -> Request:
    """Create a bridge without ports, not yet up."""
    return _add_link(name, attribute(IFLA_INFO_KIND, b"bridge"))


def add_ip6tnl(name: str) -> Request:
    """Create a device, not yet up, that tunnels IPv6 in IPv6 to wherever each route says."""
    data = attribute(IFLA_IPTUN_PROTO, bytes([IPPROTO_IPV6]))
    data += attribute(IFLA_IPTUN_COLLECT_METADATA, b"")
    kind = attribute(IFLA_INFO_KIND, b"ip6tnl")
    return _add_link(name, kind + attribute(IFLA_INFO_DATA | NESTED, data))


def _add_link(name: str, info: bytes) -> Request:
    body = _LINK_HEADER.pack(AF_UNSPEC, 0, 0, 0, 0)
    body += attribute(IFLA_IFNAME, name.encode() + b"\0") + attribute(IFLA_LINKINFO | NESTED, info)
    return Request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body)


def set_link_unnumbered(interface: int) -> Request:
    """Have the kernel give an interface no link-local address when it comes up.

    With one, a tunnel device whose packets leave by another tunnel would send redirects.
    """
    mode = attribute(IFLA_INET6_ADDR_GEN_MODE, bytes([IN6_ADDR_GEN_MODE_NONE]))
    families = attribute(AF_INET6 | NESTED, mode)
    body = _LINK_HEADER.pack(AF_UNSPEC, 0, interface, 0, 0)
    return Request(RTM_NEWLINK, 0, body + attribute(IFLA_AF_SPEC | NESTED, families))


def set_link_up(interface: int, mtu: int) -> Request:
    """Bring an interface up with this MTU."""
    body = _LINK_HEADER.pack(AF_UNSPEC, 0, interface, IFF_UP, IFF_UP)
    return Request(RTM_NEWLINK, 0, body + attribute_u32(IFLA_MTU, mtu))


def delete_link(interface: int) -> Request:
    """Delete an interface."""
    return Request(RTM_DELLINK, 0, _LINK_HEADER.pack(AF_UNSPEC, 0, interface, 0, 0))


def _u32(found: dict[int, bytes], kind: int, default: int) -> int:
    value = found.get(kind)
    return int.from_bytes(value, sys.byteorder) if value else default
