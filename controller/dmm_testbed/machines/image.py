"""The machine image: Debian packages that machines have and the user's computer need not."""

from __future__ import annotations

import re
import subprocess
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from dmm_testbed.machines import packages, process
from dmm_testbed.machines.cache import cached, fingerprint
from dmm_testbed.machines.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Callable

_TMPFS_SIZE = "2g"
_STEP = re.compile(r"^(Get|Unpacking|Setting up)(?::\d+ \S+ \S+ \S+)? ([a-z0-9][a-z0-9+.-]*)")
_WORDS = {"Get": "fetching", "Unpacking": "unpacking", "Setting up": "setting up"}


def packages_layer(progress: Callable[[str], None]) -> Path:
    """The archive with the packages' files, built if there is none for this computer's state.

    Args:
        progress: gets a line for each step of a build.

    Raises:
        MachineError: it cannot be built; tells the last words of what failed.
    """
    trees = process.lower_trees()
    names = ("image.sh", "overlay-root.sh", "dmm-network.init")
    scripts = [(process.SCRIPTS / name).read_bytes() for name in names]
    key = fingerprint(
        Path("/var/lib/dpkg/status").read_bytes(), *packages.NAMESPACE, "|", *trees, "|", *scripts
    )
    return cached("packages", key, ".tar", lambda file, work: _build(file, work, trees, progress))


def _build(file: Path, work: Path, trees: list[str], progress: Callable[[str], None]) -> None:
    progress(f"machine image: building it from {len(packages.NAMESPACE)} Debian packages, once")
    command = [
        *("setpriv", "--pdeathsig", "KILL"),  # no build goes on without the one who waits for it
        *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc"),
        *("--propagation", "private", "sh", str(process.SCRIPTS / "image.sh")),
        *(str(file), str(work), _TMPFS_SIZE, " ".join(packages.NAMESPACE), *trees),
    ]
    last: deque[str] = deque(maxlen=12)
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd="/",
    ) as building:
        try:
            for line in building.stdout or ():
                last.append(line.rstrip())
                if step := _STEP.match(line):
                    progress(f"machine image: {_WORDS[step[1]]} {step[2]}")
        except BaseException:
            building.kill()
            raise
    if building.returncode:
        raise MachineError(
            "the machine image cannot be built; the last words were:\n  "
            + "\n  ".join(last)
            + "\nCheck that `apt-get update` works on this computer, then try again."
        )
