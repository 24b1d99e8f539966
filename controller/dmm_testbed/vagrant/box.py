"""The box: a disk image built from Debian's packages that all virtual machines start from."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dmm_testbed.machines.cache import fingerprint
from dmm_testbed.machines.errors import MachineError
from dmm_testbed.machines.packages import HOST

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]
SCRIPTS = ROOT / "vagrant" / "box"
BOXES = ROOT / "build" / "box"
SUITE = "bookworm"
KERNEL = "linux-image-cloud-amd64"
BASE = (
    *("dbus", "initramfs-tools", "kmod", "openssh-server", "python3", "sudo"),
    *("systemd", "systemd-sysv", "udev"),
)
"""What makes a Debian that can be reached, and no more: a server as somebody may have one."""


@dataclass(frozen=True, slots=True)
class Box:
    """One box, built or not."""

    kind: str
    """`machine` has all that the roles install, `plain` has not."""
    packages: tuple[str, ...]

    @property
    def name(self) -> str:
        """Names the content, so that Vagrant takes the new one when it changes."""
        scripts = [path.read_bytes() for path in sorted(SCRIPTS.iterdir())]
        key = fingerprint(SUITE, KERNEL, *self.packages, *scripts)
        return f"dmm-{self.kind}-{key[:8]}"

    @property
    def directory(self) -> Path:
        """Where it is built."""
        return BOXES / self.name

    @property
    def file(self) -> Path:
        """What Vagrant adds."""
        return self.directory / f"{self.name}.box"

    @property
    def kernel(self) -> Path:
        """Its kernel, for trying KVM."""
        return self.directory / "vmlinuz"


def machine_box() -> Box:
    """The box that machines of a lab are made of."""
    return Box("machine", (*BASE, *sorted(set(HOST) - set(BASE))))


def plain_box() -> Box:
    """A bare Debian, to try what the testbed does with somebody's servers."""
    return Box("plain", BASE)


def build(box: Box, say: Callable[[str], None]) -> Path:
    """Build a box unless it is there; takes about a minute.

    Returns:
        Its file.

    Raises:
        MachineError: it cannot be built; the script has said why.
    """
    if box.file.is_file():
        say(f"{box.file.relative_to(ROOT)} is up to date")
        return box.file
    command = [str(SCRIPTS / "build.sh"), str(box.directory), SUITE, KERNEL, *box.packages]
    try:
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise MachineError(f"{error.filename} is missing") from None
    except subprocess.CalledProcessError as error:
        raise MachineError(
            f"the box cannot be built: build.sh ended with {error.returncode}, its words are above"
        ) from None
    for old in BOXES.glob(f"dmm-{box.kind}-*"):
        if old != box.directory:
            _remove(old)
    return box.file


def _remove(directory: Path) -> None:
    for file in directory.iterdir():
        file.unlink()
    directory.rmdir()
