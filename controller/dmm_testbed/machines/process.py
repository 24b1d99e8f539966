"""One machine as processes: start it, find it, enter it, end it."""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path

from dmm_testbed.machines.errors import MachineError
from dmm_testbed.machines.held import PATH, Held

SCRIPTS = Path(__file__).parent / "scripts"
END_WITHIN_S = 10.0
MACHINE_TMPFS_SIZE = "512m"
"""What a machine may write, at most: overlay, /run and /tmp together."""
_MARK = "DMM_MACHINE"
_VIRTUAL = frozenset(
    {"autofs", "cgroup", "cgroup2", "devpts", "devtmpfs", "proc", "sysfs", "tmpfs"}
)
_SYSTEM_TREES = ("/etc", "/opt", "/usr", "/var")


def lower_trees() -> list[str]:
    """Mount points of this computer that machines see: "/" and system directories below it."""
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    found = {
        fields[4]
        for fields in mounts
        if fields[fields.index("-") + 1] not in _VIRTUAL
        and any(fields[4] == tree or fields[4].startswith(f"{tree}/") for tree in _SYSTEM_TREES)
        and Path(fields[4]).is_dir()
    }
    return ["/", *sorted(found)]


def start_layer(directory: Path, packages: Path, agent: Path) -> Held:
    """Start unpacking the image layer in a mount namespace of its own."""
    command = ["unshare", "--mount", "--propagation", "private", "sh", str(SCRIPTS / "layer.sh")]
    return Held("the machine image", [*command, str(directory), str(packages), str(agent)], {})


def start_machine(lab: str, name: str, layer: int, directory: Path) -> Held:
    """Start a machine's first process.

    Args:
        lab: the lab's name.
        name: the machine's.
        layer: PID of the process that holds the image layer.
        directory: the lab's, with the empty directories `.machine` and `.layer`.
    """
    # "unshare --pid" without --fork: the shell's child becomes PID 1 of the machine, and nothing
    # of ours stays behind as its parent.
    command = [
        *("nsenter", "--target", str(layer), "--mount"),
        *("unshare", "--net", "--mount", "--pid", "--uts", "--ipc", "--propagation", "private"),
        *("sh", "-c", 'exec 3<&0; sh "$@" <&3 3<&- &', "sh", str(SCRIPTS / "machine.sh")),
        *(name, str(directory / ".machine"), str(directory / ".layer"), MACHINE_TMPFS_SIZE),
        *lower_trees(),
    ]
    return Held(f"machine {name}", command, {_MARK: f"{lab}/{name}"})


def is_alive(pid: int, lab: str, name: str) -> bool:
    """Say whether the process is this machine's first one, and not another with its number."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return f"{_MARK}={lab}/{name}".encode() in environment.split(b"\0")


def end(pid: int, lab: str, name: str) -> None:
    """End a machine with all its processes; its namespaces and mounts go with it.

    Raises:
        MachineError: it is still there after 10 seconds.
    """
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if not is_alive(pid, lab, name):
            return
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        if not select.select([handle], [], [], END_WITHIN_S)[0]:
            raise MachineError(
                f"machine {name} (PID {pid}) does not end: look at it with `ps -p {pid}`, then "
                "run `make down` again"
            )
    finally:
        os.close(handle)


def enter(pid: int, command: list[str], *, interactive: bool = False) -> list[str]:
    """The command line that runs a command inside a machine.

    When the process that runs this line ends, so does the command: it gets SIGTERM. A service that
    the command starts is not concerned.
    """
    environment = ["/usr/bin/env", "-i", f"PATH={PATH}", "HOME=/root", "LANG=C.UTF-8"]
    if interactive:
        environment.append(f"TERM={os.environ.get('TERM', 'linux')}")
    namespaces = ["--net", "--mount", "--pid", "--uts", "--ipc", "--root", "--wd"]
    bound = ["setpriv", "--pdeathsig", "TERM"]
    return ["nsenter", "--target", str(pid), *namespaces, "--", *bound, *environment, *command]
