"""Brings the data plane up on a host, and takes everything of it down again."""

from __future__ import annotations

import errno
import fcntl
import logging
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from dmm_agent.dataplane import nft, nftables
from dmm_agent.dataplane.entrance import ENTRANCE
from dmm_agent.dataplane.forwarding import Forwarding, own_routes, own_rules
from dmm_agent.dataplane.layout import (
    FIRST_VISITOR_TABLE,
    KERNEL_LOCAL_RULE,
    LAST_VISITOR_TABLE,
    RULE_VISITOR,
    TABLE_BOUND,
    TABLE_CACHE,
    TABLE_INSIDE,
    TABLE_SHORTCUT,
    TABLE_WITHDRAWN,
    layout,
)
from dmm_agent.dataplane.node_tunnels import NodeTunnels, left_behind
from dmm_agent.dataplane.rtnetlink import (
    RTM_GETRULE,
    Pass,
    add_bridge,
    add_rule,
    decode_rule,
    delete_link,
    delete_route,
    delete_rule,
    put_route,
    rule_dump_header,
    set_link_unnumbered,
    set_link_up,
)
from dmm_agent.dataplane.steering import steering
from dmm_agent.dataplane.tunnels import (
    CONF,
    OUTER_HEADER_BYTES,
    SMALLEST_MTU,
    TUNNELS,
    DataplaneError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dmm_agent.config import AgentConfig
    from dmm_agent.dataplane.layout import Layout
    from dmm_agent.dataplane.netlink import Netlink, Request
    from dmm_agent.dataplane.rtnetlink import KernelRoute, Rule
    from dmm_agent.dataplane.tunnels import Tunnel
    from dmm_agent.functions.events import Interception

log = logging.getLogger(__name__)

SIOCGIFMTU = 0x8921
DEFAULT_MTU = 1500
LARGEST_MTU = 65_535


def bring_up(
    config: AgentConfig,
    netlink: Netlink,
    intercepts: frozenset[Interception],
    hold_device: int = 0,
    *,
    rewrites: bool = False,
    home_addresses: bool = False,
) -> Forwarding:
    """Prepare the host for forwarding, keep what already forwards, and adopt it.

    Args:
        config: what the host is, and whom it serves.
        netlink: the way to its kernel.
        intercepts: which packets its functions want to see, or to have held.
        hold_device: interface index of the device that held packets are routed to.
        rewrites: whether its functions want packets rewritten instead of tunnelled.
        home_addresses: whether they take messages that home addresses travel in front of.

    Raises:
        DataplaneError: something that is needed is missing.
        NftablesError: `nft` is missing or refuses.
        NetlinkError: the kernel does not answer.
    """
    tunnel = TUNNELS[config.dataplane]
    forwards = Path(CONF, "all", "forwarding").read_text().strip() != "0"
    if config.radio is None and not forwards:
        log.warning("this host does not forward IPv6: set net.ipv6.conf.all.forwarding to 1")
    tunnel.open(config)
    device = _tunnel_device(netlink, tunnel, _narrowest(config.uplinks))
    if hold_device:
        _raise(netlink, hold_device, LARGEST_MTU)
    if rewrites and config.directory.named(config.network).locators is None:
        raise DataplaneError(
            f"`forwarding: rewrite` needs locators of {config.network} in the directory"
        )
    entrance = _rewriting_device(netlink, config) if rewrites else 0
    plan = layout(config, tunnel, device, intercepts, hold_device, entrance)
    _require(netlink, [put_route(route) for route in plan.routes], tunnel)
    _bring_up_rules(netlink, plan, tunnel)
    ruleset = nftables.ruleset(
        config,
        tunnel,
        intercepts,
        rewrites=rewrites,
        home_addresses=home_addresses,
    )
    if not nft.has_counter(nftables.TABLE, ruleset.counter):
        nft.fill_table(nftables.TABLE, ruleset.content, ruleset.sets)
    ways = steering(config, tunnel, device, entrance)
    forwarding = Forwarding(netlink, plan.own_prefix, ways, NodeTunnels(left_behind()))
    forwarding.adopt()
    _dismantle(netlink, [other for other in TUNNELS.values() if other is not tunnel])
    if not rewrites:
        _delete_device(netlink, ENTRANCE)
    return forwarding


def _bring_up_rules(netlink: Netlink, plan: Layout, tunnel: Tunnel) -> None:
    """Add before deleting: at no moment is the host without a way to its own addresses."""
    present = own_rules(netlink)
    _require(netlink, [add_rule(rule) for rule in plan.rules if rule not in present], tunnel)
    obsolete = [r for r in present if r.priority != RULE_VISITOR and r not in plan.rules]
    if KERNEL_LOCAL_RULE in all_rules(netlink):
        obsolete.append(KERNEL_LOCAL_RULE)
    _require(netlink, [delete_rule(rule) for rule in obsolete], tunnel)
    wrong = [r for r in own_routes(netlink) if _is_fixed(r) and r not in plan.routes]
    netlink.transact([delete_route(r.table, r.prefix, r.metric) for r in wrong])


def _is_fixed(route: KernelRoute) -> bool:
    """Whether a route is part of the layout, not of what functions install."""
    if isinstance(route.target, Pass):
        return route.table == TABLE_SHORTCUT
    handed_out = {TABLE_BOUND, TABLE_CACHE, TABLE_SHORTCUT, TABLE_WITHDRAWN, TABLE_INSIDE}
    return route.table not in handed_out and not (
        FIRST_VISITOR_TABLE <= route.table <= LAST_VISITOR_TABLE
    )


def take_down(netlink: Netlink) -> None:
    """Remove all that is ours and give the host its original rules back.

    Raises:
        DataplaneError: the kernel refuses to restore a rule.
        NftablesError: `nft` is missing or refuses.
        NetlinkError: the kernel does not answer.
    """
    if KERNEL_LOCAL_RULE not in all_rules(netlink):
        _require(netlink, [add_rule(KERNEL_LOCAL_RULE)])
    netlink.transact([delete_rule(rule) for rule in own_rules(netlink)])
    netlink.transact([delete_route(r.table, r.prefix, r.metric) for r in own_routes(netlink)])
    _dismantle(netlink, TUNNELS.values())
    _delete_device(netlink, ENTRANCE)
    nft.delete_table(nftables.TABLE)


def _dismantle(netlink: Netlink, tunnels: Iterable[Tunnel]) -> None:
    """Take away what ways to tunnel left on the host beside routes and rules."""
    for tunnel in tunnels:
        if _index_of(tunnel.device) is not None:
            tunnel.close()
            _delete_device(netlink, tunnel.device)


def _delete_device(netlink: Netlink, name: str) -> None:
    device = _index_of(name)
    if device is not None:
        netlink.transact([delete_link(device)])


def _rewriting_device(netlink: Netlink, config: AgentConfig) -> int:
    """The interface that routes lead to whose packets are rewritten."""
    if _index_of(ENTRANCE) is None:
        _require(netlink, [add_bridge(ENTRANCE)])
    index = socket.if_nametoindex(ENTRANCE)
    # Too large for an uplink, a packet is refused as it is: not when it has been rewritten.
    _raise(netlink, index, _narrowest(config.uplinks))
    return index


def all_rules(netlink: Netlink) -> list[Rule]:
    """Every IPv6 rule, whoever added it."""
    return [decode_rule(body) for body in netlink.dump(RTM_GETRULE, rule_dump_header())]


def _tunnel_device(netlink: Netlink, tunnel: Tunnel, narrowest: int) -> int:
    if _index_of(tunnel.device) is None:
        _require(netlink, [tunnel.create_device()], tunnel)
    index = _index_of(tunnel.device)
    if index is None:  # "exists already" was the answer
        raise DataplaneError(
            f"cannot make {tunnel.device}: the kernel allows one ip6tnl device in external mode, "
            "and this host has another; delete that one (`ip -details link show type ip6tnl` "
            "names it), or choose `dataplane: seg6`"
        )
    _raise(netlink, index, tunnel.device_mtu(narrowest), tunnel)
    return index


def _raise(netlink: Netlink, index: int, mtu: int, tunnel: Tunnel | None = None) -> None:
    """Have an interface up, without a link-local address."""
    _require(netlink, [set_link_unnumbered(index), set_link_up(index, mtu)], tunnel)


def mobile_node_mtu(uplinks: Sequence[str]) -> int:
    """The largest packet that fits the narrowest uplink with an outer header around it."""
    return max(_narrowest(uplinks) - OUTER_HEADER_BYTES, SMALLEST_MTU)


def _narrowest(uplinks: Sequence[str]) -> int:
    return min((mtu for mtu in map(_mtu_of, uplinks) if mtu is not None), default=DEFAULT_MTU)


def _mtu_of(interface: str) -> int | None:
    request = struct.pack("16sI", interface.encode(), 0)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as anything:
        try:
            answer = fcntl.ioctl(anything, SIOCGIFMTU, request.ljust(40, b"\0"))
        except OSError:
            return None
    (mtu,) = struct.unpack_from("I", answer, 16)
    return int(mtu)


def _index_of(interface: str) -> int | None:
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        return None


def _require(netlink: Netlink, requests: Sequence[Request], tunnel: Tunnel | None = None) -> None:
    for answer in netlink.transact(requests):
        if answer.errno in {0, errno.EEXIST}:
            continue
        if answer.errno == errno.EPERM:
            raise DataplaneError("the kernel refuses: the agent needs the capability NET_ADMIN")
        needs = tunnel.needs if tunnel else "this needs IPv6 and policy rules"
        raise DataplaneError(f"the kernel refuses to set up forwarding: {answer}; {needs}")
