"""Whether this computer can carry machines: asked before anything is touched, told with advice."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from dmm_testbed.machines import process
from dmm_testbed.machines.errors import MachineError
from dmm_testbed.machines.held import PATH

if TYPE_CHECKING:
    from collections.abc import Collection

_CAPABILITIES = {
    "CAP_CHOWN": 0,
    "CAP_DAC_OVERRIDE": 1,
    "CAP_KILL": 5,
    "CAP_NET_ADMIN": 12,
    "CAP_NET_RAW": 13,
    "CAP_SYS_CHROOT": 18,
    "CAP_SYS_PTRACE": 19,
    "CAP_SYS_ADMIN": 21,
    "CAP_MKNOD": 27,
}
_TOOLS = {
    "apt-get": "Debian 12",
    "mount": "mount",
    "nsenter": "util-linux",
    "pivot_root": "util-linux",
    "tar": "tar",
    "unshare": "util-linux",
}
_NAMESPACES = {
    "cgroup": None,
    "ipc": "CONFIG_IPC_NS",
    "mnt": "CONFIG_NAMESPACES",
    "net": "CONFIG_NET_NS",
    "pid": "CONFIG_PID_NS",
    "uts": "CONFIG_UTS_NS",
}
FEATURES = {
    "overlay": ("overlay file systems", "modprobe overlay", "CONFIG_OVERLAY_FS"),
    "veth": ("veth interfaces", "modprobe veth", "CONFIG_VETH"),
    "bridge": ("bridges", "modprobe bridge", "CONFIG_BRIDGE"),
    "seg6_enabled": ("IPv6 segment routing", None, "CONFIG_IPV6_SEG6_LWTUNNEL"),
    "seg6_encap": (
        "encapsulation by routes (seg6, mode encap.red)",
        None,
        "CONFIG_IPV6_SEG6_LWTUNNEL of Linux 6.0 or newer",
    ),
    "seg6_end_dt6": (
        "decapsulation by routes (seg6local, End.DT6)",
        None,
        "CONFIG_IPV6_SEG6_LWTUNNEL",
    ),
    "policy_rules": ("IPv6 policy rules by protocol", None, "CONFIG_IPV6_MULTIPLE_TABLES"),
    "nftables": ("nftables", "modprobe nf_tables", "CONFIG_NF_TABLES_IPV6"),
    "nft_set": ("nftables sets filled by packets", "modprobe nf_tables", "CONFIG_NF_TABLES"),
    "nft_fib": ("nftables' fib expression", "modprobe nft_fib_ipv6", "CONFIG_NFT_FIB_IPV6"),
    "nft_log": ("nftables' log groups", "modprobe nfnetlink_log", "CONFIG_NETFILTER_NETLINK_LOG"),
    "nft_limit": ("nftables' limits", "modprobe nft_limit", "CONFIG_NFT_LIMIT"),
}
"""What the kernel must have for any lab: in words, the command that may load it, build option."""

DATA_PLANES = {
    "ip6tnl": (
        "IPv6 tunnel devices (ip6tnl), which `dataplane: ip6tnl` in the profile or the topology "
        "asks for",
        "modprobe ip6_tunnel",
        "CONFIG_IPV6_TUNNEL",
    ),
}
"""What only labs need that ask for this way to tunnel."""


def check_computer(data_planes: Collection[str] = ()) -> None:
    """Check the user's rights, tools and the kernel's basics.

    Args:
        data_planes: how the lab's routers tunnel (docs/dataplane.md).

    Raises:
        MachineError: something is missing; says what and what to do.
    """
    if os.geteuid() != 0:
        raise MachineError("machines are made by root: run this as root, for example with `sudo`")
    check_capabilities(Path("/proc/self/status").read_text(encoding="ascii"))
    for tool, package in _TOOLS.items():
        if not shutil.which(tool, path=PATH):
            raise MachineError(f"{tool} is missing: install the Debian package {package}")
    for namespace, option in _NAMESPACES.items():
        if option and not Path(f"/proc/self/ns/{namespace}").exists():
            raise MachineError(f"this kernel has no {namespace} namespaces: it needs {option}")
    script = (
        'd=$(mktemp -d) && mount -n -t tmpfs t "$d" && mkdir "$d/u" "$d/w" "$d/m" && '
        'mount -n -t overlay o -o "lowerdir=/,upperdir=$d/u,workdir=$d/w" "$d/m"; r=$?; '
        'umount -n -l "$d"; rmdir "$d"; exit $r'
    )
    tried = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode:
        raise MachineError(f"{advice('overlay')} ({' '.join(tried.stderr.split())})")
    if "ip6tnl" in data_planes:
        _check_tunnel_devices()


def _check_tunnel_devices() -> None:
    script = (
        "ip link add dmm-tnl0 type ip6tnl external mode ip6ip6 && ip link set dmm-tnl0 up && "
        "ip -6 route add 2001:db8::/64 encap ip6 dst 2001:db8::1 src 2001:db8::2 dev dmm-tnl0"
    )
    tried = subprocess.run(
        ["unshare", "--net", "sh", "-c", script], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        raise MachineError(f"{advice('ip6tnl')} ({' '.join(tried.stderr.split())})")


def check_capabilities(status: str) -> None:
    """Check what root may do here, which in a container is not all.

    Args:
        status: content of `/proc/self/status`.

    Raises:
        MachineError: a needed capability is missing.
    """
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    missing = [name for name, bit in _CAPABILITIES.items() if not int(effective, 16) & (1 << bit)]
    if missing:
        raise MachineError(
            f"root lacks {', '.join(missing)} here: in a container, start it privileged "
            "(for example `docker run --privileged`)"
        )


def check_features(pid: int) -> None:
    """Try inside a machine each kernel feature that the testbed's routers need.

    Args:
        pid: first process of a machine that has no links.

    Raises:
        MachineError: features are missing; one line each with what to do.
    """
    script = (process.SCRIPTS / "probe.sh").read_text(encoding="utf-8")
    done = subprocess.run(
        process.enter(pid, ["/bin/sh", "-c", script]), capture_output=True, text=True, check=False
    )
    if done.returncode and not done.stdout:
        raise MachineError(f"a machine cannot be entered: {done.stderr.strip()}")
    if missing := done.stdout.split():
        raise MachineError("\n".join(advice(feature) for feature in missing))


def advice(feature: str) -> str:
    """One sentence about a missing kernel feature."""
    words, command, option = (FEATURES | DATA_PLANES)[feature]
    attempt = f"try `{command}`; otherwise " if command else ""
    return f"this kernel has no {words}: {attempt}boot a kernel with {option} (Debian's has it)"
