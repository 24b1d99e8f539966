"""Brings the data plane up on a host, and takes everything of it down again."""

from __future__ import annotations

import errno
import fcntl
import logging
import shutil
import socket
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from dmm_agent.dataplane import nftables
from dmm_agent.dataplane.forwarding import Forwarding, own_routes, own_rules
from dmm_agent.dataplane.layout import (
    FIRST_VISITOR_TABLE,
    KERNEL_LOCAL_RULE,
    LAST_VISITOR_TABLE,
    RULE_VISITOR,
    TABLE_BOUND,
    TABLE_CACHE,
    TABLE_SHORTCUT,
    TUNNEL_DEVICE,
    layout,
)
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
    set_link_up,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dmm_agent.config import AgentConfig
    from dmm_agent.dataplane.layout import Layout
    from dmm_agent.dataplane.netlink import Netlink, Request
    from dmm_agent.dataplane.rtnetlink import KernelRoute, Rule

log = logging.getLogger(__name__)

CONF = Path("/proc/sys/net/ipv6/conf")
SIOCGIFMTU = 0x8921
DEFAULT_MTU = 1500
SMALLEST_MTU, LARGEST_MTU = 1280, 65535

OUTER_HEADER_BYTES = 40
ROUTING_HEADER_BYTES = 24
"""The kernel reserves room for the routing header of one segment that `encap.red` leaves out."""

COMMAND_TIMEOUT_S = 30


class DataplaneError(Exception):
    """The kernel or a tool cannot do what the data plane needs; the text says what to do."""


def bring_up(config: AgentConfig, netlink: Netlink, intercept: bool) -> Forwarding:
    """Prepare the host for forwarding, keep what already forwards, and adopt it.

    Raises:
        DataplaneError: something that is needed is missing.
        NftablesError: `nft` is missing or refuses.
        NetlinkError: the kernel does not answer.
    """
    _allow_segment_routing(config)
    if Path(CONF, "all", "forwarding").read_text().strip() == "0":
        log.warning("this host does not forward IPv6: set net.ipv6.conf.all.forwarding to 1")
    device = _tunnel_device(netlink, _tunnel_mtu(config.uplinks))
    plan = layout(config, device)
    _require(netlink, [put_route(route) for route in plan.routes])
    _run("ip", "sr", "tunsrc", "set", str(config.address))
    _bring_up_rules(netlink, plan)
    nftables.load(nftables.ruleset(config, intercept))
    forwarding = Forwarding(netlink, plan.own_prefix, device)
    forwarding.adopt()
    return forwarding


def _bring_up_rules(netlink: Netlink, plan: Layout) -> None:
    """Add before deleting: at no moment is the host without a way to its own addresses."""
    present = own_rules(netlink)
    _require(netlink, [add_rule(rule) for rule in plan.rules if rule not in present])
    obsolete = [r for r in present if r.priority != RULE_VISITOR and r not in plan.rules]
    if KERNEL_LOCAL_RULE in all_rules(netlink):
        obsolete.append(KERNEL_LOCAL_RULE)
    _require(netlink, [delete_rule(rule) for rule in obsolete])
    wrong = [r for r in own_routes(netlink) if _is_fixed(r) and r not in plan.routes]
    netlink.transact([delete_route(r.table, r.prefix, r.metric) for r in wrong])


def _is_fixed(route: KernelRoute) -> bool:
    """Whether a route is part of the layout, not of what functions install."""
    if isinstance(route.target, Pass):
        return route.table == TABLE_SHORTCUT
    handed_out = {TABLE_BOUND, TABLE_CACHE, TABLE_SHORTCUT}
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
    device = _index_of(TUNNEL_DEVICE)
    if device is not None:
        netlink.transact([delete_link(device)])
    nftables.unload()
    _run("ip", "sr", "tunsrc", "set", "::")


def all_rules(netlink: Netlink) -> list[Rule]:
    """Every IPv6 rule, whoever added it."""
    return [decode_rule(body) for body in netlink.dump(RTM_GETRULE, rule_dump_header())]


def _tunnel_device(netlink: Netlink, mtu: int) -> int:
    if _index_of(TUNNEL_DEVICE) is None:
        _require(netlink, [add_bridge(TUNNEL_DEVICE)])
    index = socket.if_nametoindex(TUNNEL_DEVICE)
    _require(netlink, [set_link_up(index, mtu)])
    return index


def mobile_node_mtu(uplinks: Sequence[str]) -> int:
    """The largest packet that fits the narrowest uplink with an outer header around it."""
    return max(_narrowest(uplinks) - OUTER_HEADER_BYTES, SMALLEST_MTU)


def _tunnel_mtu(uplinks: Sequence[str]) -> int:
    """The MTU that makes this host's own packets fit the narrowest uplink exactly."""
    return min(_narrowest(uplinks) + ROUTING_HEADER_BYTES, LARGEST_MTU)


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


def _allow_segment_routing(config: AgentConfig) -> None:
    """Needed by kernels that look at the sysctl before any seg6 work; access links stay closed."""
    for name in ("all", *config.uplinks):
        switch = Path(CONF, name, "seg6_enabled")
        try:
            if switch.read_text().strip() != "1":
                switch.write_text("1\n")
        except FileNotFoundError:
            if name == "all":
                raise DataplaneError(
                    "this kernel has no segment routing: it needs CONFIG_IPV6_SEG6_LWTUNNEL"
                ) from None
        except OSError as error:
            raise DataplaneError(f"cannot set {switch}: {error.strerror}") from error


def _require(netlink: Netlink, requests: Sequence[Request]) -> None:
    for answer in netlink.transact(requests):
        if answer.errno in {0, errno.EEXIST}:
            continue
        if answer.errno == errno.EPERM:
            raise DataplaneError("the kernel refuses: the agent needs the capability NET_ADMIN")
        raise DataplaneError(
            f"the kernel refuses to set up forwarding: {answer}; it needs IPv6, policy rules, "
            "bridges and segment routing (CONFIG_IPV6_SEG6_LWTUNNEL)"
        )


def _run(*command: str) -> None:
    if shutil.which(command[0]) is None:
        raise DataplaneError(f"{command[0]} is not installed: install Debian's package iproute2")
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=COMMAND_TIMEOUT_S
    )
    if done.returncode:
        raise DataplaneError(f"{' '.join(command)}: {done.stderr.strip()}")
