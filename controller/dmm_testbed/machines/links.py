"""Links between machines: veth pairs created right inside their network namespaces."""

from __future__ import annotations

import hashlib
import os
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING

from pyroute2.iproute.linux import IPRoute

from dmm_testbed.machines import process
from dmm_testbed.machines.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dmm_testbed.machines.spec import Impairments, LabSpec, LinkSpec

QUEUE_PACKETS = 10_000
"""What a delayed link holds at most; 10 000 full packets are 1.2 s at 100 Mbit/s."""
_ABSENT = ("qdisc kind is unknown", "No such file or directory", "Operation not supported")


def connect(spec: LabSpec, pids: Mapping[str, int]) -> tuple[str, ...]:
    """Create all links of a lab between machines that have none yet.

    Returns:
        Sentences about what this kernel cannot do, for the user.

    Raises:
        NetlinkError: the kernel refuses a link.
        MachineError: the kernel refuses a queue for another reason than having none of that kind.
    """
    with ExitStack() as stack:
        # The socket is in the user's namespace, the interfaces never are: a request names the
        # namespace of either end.
        socket = stack.enter_context(IPRoute())
        namespaces = {name: _open_namespace(stack, pid) for name, pid in pids.items()}
        for link in spec.links:
            _add(link, socket, namespaces)
    impaired = [link for link in spec.links if link.impairments.any]
    missing = {
        kind
        for link in impaired
        for own, peer in (link.ends, link.ends[::-1])
        for kind in impair(pids[own], peer, link.impairments)
    }
    return tuple(
        f"this kernel has no {kind} queue: {what} of {_names(impaired)} cannot be emulated, "
        "packets pass as fast as the machine can"
        for kind, what in (("netem", "delay and loss"), ("tbf", "the rate"))
        if kind in missing
    )


def link_layer_address(machine: str, peer: str) -> str:
    """The MAC address of an interface: locally administered, the same whenever it is made."""
    digest = hashlib.sha256(f"{machine}/{peer}".encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (0x02, *digest[:5]))


def impair(pid: int, interface: str, wanted: Impairments) -> list[str]:
    """Make what a machine's interface sends late, lossy or slow.

    Returns:
        The kinds of queues that would be needed and that this kernel lacks.

    Raises:
        MachineError: the kernel refuses a queue for another reason.
    """
    missing = []
    place = ["root"]
    if wanted.delay_ms or wanted.loss_percent:
        loss = ["loss", f"{wanted.loss_percent}%"] if wanted.loss_percent else []
        netem = ["delay", f"{wanted.delay_ms}ms", *loss, "limit", str(QUEUE_PACKETS)]
        if _queue(pid, interface, place, "1:", ["netem", *netem]):
            place = ["parent", "1:1"]
        else:
            missing.append("netem")
    if wanted.rate_mbit:
        bits_per_second = round(wanted.rate_mbit * 1e6)
        burst_bytes = max(bits_per_second // 8 // 250, 10_000)
        tbf = ["rate", f"{bits_per_second}bit", "burst", f"{burst_bytes}b", "latency", "100ms"]
        if not _queue(pid, interface, place, "2:", ["tbf", *tbf]):
            missing.append("tbf")
    return missing


def _queue(pid: int, interface: str, place: list[str], handle: str, options: list[str]) -> bool:
    """Add a queueing discipline; says whether the kernel has it."""
    command = ["tc", "qdisc", "add", "dev", interface, *place, "handle", handle, *options]
    done = subprocess.run(process.enter(pid, command), capture_output=True, text=True, check=False)
    if done.returncode and not any(words in done.stderr for words in _ABSENT):
        raise MachineError(f"`{' '.join(command)}` failed: {' '.join(done.stderr.split())}")
    return not done.returncode


def _open_namespace(stack: ExitStack, pid: int) -> int:
    descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    stack.callback(os.close, descriptor)
    return descriptor


def _add(link: LinkSpec, socket: IPRoute, namespaces: Mapping[str, int]) -> None:
    near, far = (
        {
            "ifname": peer,
            "net_ns_fd": namespaces[own],
            "mtu": link.mtu,
            "address": link_layer_address(own, peer),
        }
        for own, peer in (link.ends, link.ends[::-1])
    )
    socket.link("add", kind="veth", **near, peer=far)


def _names(links: Iterable[LinkSpec]) -> str:
    return ", ".join("-".join(link.ends) for link in links)
