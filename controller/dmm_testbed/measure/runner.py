"""How measuring reaches a machine: the little it asks of namespace machines, VMs and tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence


class Runner(Protocol):
    """Runs programs on machines as root."""

    def run(
        self, host: str, argv: Sequence[str], *, timeout_s: float = 30.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end, whatever its exit code; its output is text.

        Raises:
            subprocess.TimeoutExpired: it took longer than `timeout_s`.
        """
        ...

    def start(self, host: str, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a program that goes on; the returned process ends when the program does."""
        ...

    def read_file(self, host: str, path: str) -> bytes:
        """The content of a file on the machine.

        Raises:
            OSError: it cannot be read.
        """
        ...
