"""Links between machines: veth pairs created right inside their network namespaces."""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from pyroute2.iproute.linux import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dmm_testbed.machines.spec import Impairments, LabSpec, LinkSpec

QUEUE_PACKETS = 10_000
"""What a delayed link holds at most; 10 000 full packets are 1.2 s at 100 Mbit/s."""
_ABSENT = frozenset({errno.ENOENT, errno.EOPNOTSUPP})


def connect(spec: LabSpec, pids: Mapping[str, int]) -> tuple[str, ...]:
    """Create all links of a lab between machines that have none yet.

    Returns:
        Sentences about what this kernel cannot do, for the user.

    Raises:
        NetlinkError: the kernel refuses a link.
    """
    with ExitStack() as stack:
        sockets = {
            name: stack.enter_context(IPRoute(netns=f"/proc/{pid}/ns/net"))
            for name, pid in pids.items()
        }
        namespaces = {name: _open_namespace(stack, pid) for name, pid in pids.items()}
        for link in spec.links:
            _add(link, sockets[link.ends[0]], namespaces[link.ends[1]])
        impaired = [link for link in spec.links if link.impairments.any]
        missing = {
            word
            for link in impaired
            for own, peer in (link.ends, reversed(link.ends))
            for word in impair(sockets[own], peer, link.impairments)
        }
    return tuple(
        f"this kernel has no {scheduler} queue: {what} of {_names(impaired)} cannot be emulated, "
        "packets pass as fast as the machine can"
        for scheduler, what in (("netem", "delay and loss"), ("tbf", "the rate"))
        if scheduler in missing
    )


def link_layer_address(machine: str, peer: str) -> str:
    """The MAC address of an interface: locally administered, the same whenever it is made."""
    digest = hashlib.sha256(f"{machine}/{peer}".encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (0x02, *digest[:5]))


def impair(socket: Any, interface: str, wanted: Impairments) -> list[str]:
    """Make what an interface sends late, lossy or slow.

    Returns:
        The queueing disciplines that would be needed and that this kernel lacks.
    """
    (index,) = socket.link_lookup(ifname=interface)
    missing = []
    parent: dict[str, Any] = {}
    if wanted.delay_ms or wanted.loss_percent:
        netem = {
            "delay": round(wanted.delay_ms * 1000),
            "loss": wanted.loss_percent,
            "limit": QUEUE_PACKETS,
        }
        if _queue(socket, "netem", index, handle="1:", **netem):
            parent = {"parent": "1:1"}
        else:
            missing.append("netem")
    if wanted.rate_mbit:
        bytes_per_second = round(wanted.rate_mbit * 1e6 / 8)
        shaper = {
            "rate": bytes_per_second,
            "burst": max(bytes_per_second // 250, 10_000),
            "latency": "100ms",
        }
        if not _queue(socket, "tbf", index, handle="2:", **parent, **shaper):
            missing.append("tbf")
    return missing


def _queue(socket: Any, kind: str, index: int, **options: object) -> bool:
    try:
        socket.tc("add", kind, index=index, **options)
    except NetlinkError as error:
        if error.code in _ABSENT:
            return False
        raise
    return True


def _open_namespace(stack: ExitStack, pid: int) -> int:
    descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    stack.callback(os.close, descriptor)
    return descriptor


def _add(link: LinkSpec, socket: Any, far_namespace: int) -> None:
    near, far = link.ends
    socket.link(
        "add",
        ifname=far,
        kind="veth",
        mtu=link.mtu,
        address=link_layer_address(near, far),
        peer={
            "ifname": near,
            "net_ns_fd": far_namespace,
            "mtu": link.mtu,
            "address": link_layer_address(far, near),
        },
    )


def _names(links: list[LinkSpec]) -> str:
    return ", ".join("-".join(link.ends) for link in links)
