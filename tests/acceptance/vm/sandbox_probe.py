"""Tries what the agent's service may do, and may not; prints what became of each try as JSON.

Runs on a machine with its own Python, alone: nothing of the testbed is imported.
"""

from __future__ import annotations

import json
import mmap
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SCRATCH = Path(sys.argv[1])
"""A directory that belongs to whoever runs this."""


def write(path: str) -> Callable[[], object]:
    """Make a file, and take it away again."""

    def attempt() -> None:
        Path(path).write_text("written by a probe")
        Path(path).unlink()

    return attempt


def write_again(path: str) -> Callable[[], object]:
    """Write into a file what is in it."""
    return lambda: Path(path).write_text(Path(path).read_text())


def run(*command: str) -> Callable[[], object]:
    """Have a program succeed."""
    return lambda: subprocess.run(command, check=True, capture_output=True)


def open_socket(family: int, kind: int, protocol: int = 0) -> Callable[[], object]:
    return lambda: socket.socket(family, kind, protocol).close()


def execute_own_file(folder: Path) -> None:
    script = folder / "dmm-probe"
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o700)
    try:
        subprocess.run([str(script)], check=True)
    finally:
        script.unlink()


def set_user_id_bit() -> None:
    file = SCRATCH / "program"
    file.touch()
    file.chmod(0o700 | stat.S_ISUID)


def map_writable_code() -> None:
    mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def run_in_real_time() -> None:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


TRIES: dict[str, Callable[[], object]] = {
    "write to /etc": write("/etc/dmm-probe"),
    "write to /usr": write("/usr/dmm-probe"),
    "write to /var/lib": write("/var/lib/dmm-probe"),
    "write to /run": write("/run/dmm-probe"),
    "write to /opt/dmm-agent": write("/opt/dmm-agent/dmm-probe"),
    "write to /root": write("/root/dmm-probe"),
    "write to its scratch directory": write(str(SCRATCH / "dmm-probe")),
    "read root's secrets": lambda: Path("/etc/shadow").read_bytes(),
    "read its configuration": lambda: Path("/etc/dmm/agent.yml").read_bytes(),
    "change a kernel setting": write_again("/proc/sys/kernel/panic"),
    "change an IPv6 setting of an interface": write_again("/proc/sys/net/ipv6/conf/all/mtu"),
    "see other processes": lambda: Path("/proc/1/status").read_bytes(),
    "signal other processes": lambda: os.kill(1, signal.SIGCONT),
    "become root": run("sudo", "--non-interactive", "true"),
    "make a namespace": run("unshare", "--user", "true"),
    "mount": run("unshare", "--mount", "true"),
    "execute a file it wrote": lambda: execute_own_file(SCRATCH),
    "execute a temporary file": lambda: execute_own_file(Path("/var/tmp")),  # noqa: S108 - its own
    "set a user id bit": set_user_id_bit,
    "map writable code": map_writable_code,
    "run in real time": run_in_real_time,
    "open an IPv4 socket": open_socket(socket.AF_INET, socket.SOCK_DGRAM),
    "open a raw socket": open_socket(socket.AF_INET6, socket.SOCK_RAW, 135),
    "open a packet socket": open_socket(socket.AF_PACKET, socket.SOCK_RAW),
    "read nftables": run("nft", "list", "tables"),
    "change a link": run("ip", "link", "set", "dev", "lo", "up"),
}


def outcome(attempt: Callable[[], object]) -> bool:
    """Whether a try succeeded."""
    try:
        attempt()
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


if __name__ == "__main__":
    print(json.dumps({name: outcome(attempt) for name, attempt in TRIES.items()}))
