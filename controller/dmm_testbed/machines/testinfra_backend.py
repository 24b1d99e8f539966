"""Testinfra on namespace machines: a command costs a few milliseconds.

`machine("dmm", "gw1")` gives testinfra's host object. Importing this module also makes
`testinfra.get_host("namespace://gw1", lab="dmm")` and pytest's `--hosts=namespace://gw1` known;
there the lab's name comes from the environment variable LAB if it is not given.
"""

from __future__ import annotations

import os
import subprocess
from typing import Any

import testinfra
from testinfra.backend import BACKENDS
from testinfra.backend.base import BaseBackend, CommandResult

from dmm_testbed.machines import process, state

COMMAND_WITHIN_S = 120.0


class NamespaceBackend(BaseBackend):
    """Runs testinfra's commands inside a machine."""

    NAME = "namespace"

    def __init__(self, name: str, *args: Any, lab: str | None = None, **kwargs: Any) -> None:
        """Reach a machine.

        Args:
            name: the machine's name.
            args: for testinfra.
            lab: name of its lab.
            kwargs: for testinfra.
        """
        super().__init__(name, *args, **kwargs)
        self._lab = lab or os.environ.get("LAB", "dmm")

    def run(self, command: str, *args: str, **_: Any) -> CommandResult:
        """Run a shell command.

        Raises:
            MachineError: the machine does not run.
            subprocess.TimeoutExpired: the command took more than two minutes.
        """
        line = self.get_command(command, *args)
        pid = state.pid_of(self._lab, self.hostname)
        done = subprocess.run(
            process.enter(pid, ["/bin/sh", "-c", line]),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=COMMAND_WITHIN_S,
        )
        return self.result(done.returncode, self.encode(line), done.stdout, done.stderr)

    def get_encoding(self) -> str:
        """Always UTF-8: commands get such a locale."""
        return "utf-8"


BACKENDS[NamespaceBackend.NAME] = f"{__name__}.{NamespaceBackend.__name__}"


def machine(lab: str, name: str) -> Any:
    """Testinfra's host object for one machine; no type checker can follow what it offers."""
    return testinfra.get_host(f"{NamespaceBackend.NAME}://{name}", lab=lab)
