"""How measuring reaches a machine: the little it asks of namespace machines, VMs and tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence


class Started(Protocol):
    """A program that was started and goes on; `subprocess.Popen` is one."""

    @property
    def returncode(self) -> int | None:
        """Its exit status, once its end was noticed."""
        ...

    def poll(self) -> int | None:
        """Its exit status; None while it runs."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and give its exit status.

        Raises:
            subprocess.TimeoutExpired: it goes on.
        """
        ...

    def kill(self) -> None:
        """Let it end; does not wait for that."""
        ...


class Runner(Protocol):
    """Runs programs on machines as root; any number of threads may use it."""

    def run(
        self, host: str, argv: Sequence[str], *, timeout_s: float = 30.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end, whatever its exit code; its output is text.

        Raises:
            subprocess.TimeoutExpired: it took longer than `timeout_s`.
        """
        ...

    def start(self, host: str, argv: Sequence[str]) -> Started:
        """Start a program that goes on; it ends at the latest when we do."""
        ...

    def read_file(self, host: str, path: str) -> bytes:
        """The content of a file on the machine.

        Raises:
            OSError: it cannot be read.
        """
        ...
