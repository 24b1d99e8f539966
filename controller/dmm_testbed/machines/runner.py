"""Runs programs on the namespace machines of a lab, for measuring and for scenarios."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from dmm_testbed.machines import process, state

if TYPE_CHECKING:
    from collections.abc import Sequence


class NamespaceRunner:
    """The measuring side's `Runner` on namespace machines."""

    def __init__(self, lab: str) -> None:
        """Reach the machines of a lab by name."""
        self.lab = lab

    def run(
        self, host: str, argv: Sequence[str], *, timeout_s: float = 30.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end, whatever its exit code.

        Raises:
            MachineError: the machine does not run.
            subprocess.TimeoutExpired: it took longer than `timeout_s`.
        """
        return subprocess.run(
            self._command(host, argv),
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout_s,
        )

    def start(self, host: str, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a program that goes on; killing the process ends the program.

        Raises:
            MachineError: the machine does not run.
        """
        return subprocess.Popen(
            self._command(host, argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def read_file(self, host: str, path: str) -> bytes:
        """The content of a file on the machine.

        Raises:
            MachineError: the machine does not run.
            OSError: it cannot be read.
        """
        inside = Path("/proc") / str(state.pid_of(self.lab, host)) / "root"
        return (inside / path.lstrip("/")).read_bytes()

    def _command(self, host: str, argv: Sequence[str]) -> list[str]:
        return process.enter(state.pid_of(self.lab, host), list(argv))
