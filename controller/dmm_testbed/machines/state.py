"""Where labs are recorded: `/run/dmm-testbed/LAB/`, gone with a reboot like the machines.

`HOST/pid` holds the PID of a machine's first process, `lab.json` what the lab consists of. The
latter is written last: a directory without it is what an interrupted run left behind.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmm_testbed.machines import process
from dmm_testbed.machines.errors import MachineError
from dmm_testbed.machines.spec import LabSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

STATE = Path("/run/dmm-testbed")
LOCK_WITHIN_S = 15.0
FORGET_WITHIN_S = 5.0
_LAB = re.compile(r"[a-z][a-z0-9-]{0,15}")


@dataclass(frozen=True, slots=True)
class Record:
    """A lab that was built completely, as its builder wrote it down."""

    spec: LabSpec
    digest: str
    warnings: tuple[str, ...]


def directory(lab: str) -> Path:
    """Where the lab is recorded.

    Raises:
        MachineError: that is no name for a lab.
    """
    check_name(lab)
    return STATE / lab


def secret_file(lab: str) -> Path:
    """What the keys of a lab's agents are made from: of the user's alone, until the lab is gone."""
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "dmm-testbed" / lab / "secret"


def check_name(lab: str) -> None:
    """Refuse what is no name for a lab, of whatever kind of machines.

    Raises:
        MachineError: says what a name is.
    """
    if not _LAB.fullmatch(lab):
        raise MachineError(
            f"lab name: expected 1 to 16 lower-case letters, digits and hyphens, starting with a "
            f"letter, got {lab!r}"
        )


def pids(lab: str) -> dict[str, int]:
    """The recorded PID of each machine, running or not."""
    found = {}
    for file in sorted(directory(lab).glob("*/pid")):
        text = file.read_text(encoding="ascii", errors="replace").strip()
        if text.isdigit():
            found[file.parent.name] = int(text)
    return found


def running(lab: str) -> dict[str, int]:
    """The PID of each machine that runs."""
    return {name: pid for name, pid in pids(lab).items() if process.is_alive(pid, lab, name)}


def pid_of(lab: str, name: str) -> int:
    """The PID of one running machine, as the user's computer sees it.

    Raises:
        MachineError: it does not run; says what to do.
    """
    file = directory(lab) / name / "pid"
    try:
        pid = int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        pid = 0
    if not pid or not process.is_alive(pid, lab, name):
        raise MachineError(f"machine {name} of lab {lab} does not run: run `make up` first")
    return pid


def record_pid(lab: str, name: str, pid: int) -> None:
    """Note the PID of a machine."""
    place = directory(lab) / name
    place.mkdir(exist_ok=True)
    (place / "pid").write_text(f"{pid}\n", encoding="ascii")


def record(lab: str, spec: LabSpec, warnings: tuple[str, ...]) -> None:
    """Note that the lab is complete."""
    content: dict[str, Any] = {
        "schema": 1,
        "digest": spec.digest(),
        "spec": spec.model_dump(mode="json"),
        "warnings": list(warnings),
    }
    draft = directory(lab) / ".lab.json"
    draft.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    draft.replace(directory(lab) / "lab.json")


def recorded(lab: str) -> Record | None:
    """What was built completely under that name, if anything was."""
    try:
        content = json.loads((directory(lab) / "lab.json").read_text(encoding="utf-8"))
        return Record(
            LabSpec.model_validate(content["spec"]), content["digest"], tuple(content["warnings"])
        )
    except (OSError, ValueError, KeyError):
        return None


def forget(lab: str) -> None:
    """Remove all records of a lab.

    Raises:
        MachineError: something in there cannot be removed.
    """
    place = directory(lab)
    deadline = time.monotonic() + FORGET_WITHIN_S
    shutil.rmtree(place, ignore_errors=True)
    while place.exists():
        # The kernel may still be taking down mounts of machines that have just ended.
        if time.monotonic() > deadline:
            raise MachineError(f"{place} cannot be removed: see `ls -la {place}`")
        time.sleep(0.05)
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def locked(lab: str) -> Iterator[None]:
    """Keep others from building or removing the same lab meanwhile.

    Raises:
        MachineError: another one does, for more than 15 seconds.
    """
    directory(lab)
    STATE.mkdir(mode=0o755, exist_ok=True)
    deadline = time.monotonic() + LOCK_WITHIN_S
    with (STATE / f".{lab}.lock").open("w", encoding="ascii") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise MachineError(
                        f"lab {lab} is just being built or taken down by another command: wait "
                        "for it, or choose another name with LAB=..."
                    ) from None
                time.sleep(0.05)
        yield
