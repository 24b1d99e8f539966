"""Whether KVM boots a guest here: tried with a real kernel, because a /dev/kvm alone proves little.

Inside some virtual machines /dev/kvm opens and runs a few instructions, then fails on the first
real kernel. So a kernel is started without a disk: one that gets as far as looking for its root
file system has set up its processors, memory and devices, and the attempt ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

DEVICE = Path("/dev/kvm")
WITHIN_S = 20.0
BOOTED = "VFS: Unable to mount root fs"
"""What a kernel without a disk says last."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Attempt:
    """Whether guests run on hardware here."""

    usable: bool
    reason: str
    """Why, in a sentence's part: "/dev/kvm is not there"."""


def try_kvm(kernel: Path, remembered: Path | None = None) -> Attempt:
    """Boot a kernel by KVM, in at most 20 seconds.

    Args:
        kernel: a bzImage with a serial console.
        remembered: file that holds the outcome until the computer boots again; None to try anew.
    """
    key = f"{_BOOT_ID.read_text(encoding='ascii').strip()} {_modified(kernel)}"
    if remembered is not None:
        with suppress(OSError, ValueError, KeyError):
            known = json.loads(remembered.read_text(encoding="utf-8"))
            if known["key"] == key:
                return Attempt(known["usable"], known["reason"])
    attempt = _try(kernel)
    if remembered is not None:
        remembered.parent.mkdir(parents=True, exist_ok=True)
        content = {"key": key, "usable": attempt.usable, "reason": attempt.reason}
        remembered.write_text(json.dumps(content) + "\n", encoding="utf-8")
    return attempt


def _modified(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def _try(kernel: Path) -> Attempt:
    if not DEVICE.exists():
        return Attempt(False, f"{DEVICE} is not there")
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return Attempt(False, f"{DEVICE} may not be used by you: join the group kvm")
    if not kernel.is_file():
        return Attempt(False, f"there is no kernel to try it with ({kernel}): run `make box`")
    with tempfile.TemporaryDirectory() as folder:
        return _boot(kernel, Path(folder) / "console")


def _boot(kernel: Path, console: Path) -> Attempt:
    command = [
        *("qemu-system-x86_64", "-accel", "kvm", "-cpu", "host", "-m", "128", "-nodefaults"),
        *("-display", "none", "-no-reboot", "-kernel", str(kernel)),
        *("-append", "console=ttyS0 panic=-1", "-serial", f"file:{console}"),
    ]
    try:
        guest = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
    except OSError as error:
        return Attempt(False, f"qemu-system-x86_64 cannot be started: {error.strerror}")
    with guest:
        try:
            return _watch(guest, console)
        finally:
            guest.kill()


def _watch(guest: subprocess.Popen[str], console: Path) -> Attempt:
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        ended = guest.poll() is not None
        if console.exists() and BOOTED in console.read_text(errors="replace"):
            return Attempt(True, f"{DEVICE} booted a kernel")
        if ended:
            words = " ".join((guest.stderr.read() if guest.stderr else "").split())
            return Attempt(False, f"{DEVICE} does not boot a kernel: {words[:160] or 'no word'}")
        time.sleep(_POLL_S)
    return Attempt(False, f"{DEVICE} did not boot a kernel in {WITHIN_S:.0f} s")
