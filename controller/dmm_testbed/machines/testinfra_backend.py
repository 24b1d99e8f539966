"""Testinfra on the machines of a lab; `dmm_testbed.machines.reach` gives the one that is right.

`machine("dmm", "gw1")` gives testinfra's host object for a namespace machine, where a command costs
a few milliseconds; `over(runner, "gw1")` one that shares the SSH connections of a runner: with
testinfra's own paramiko backend each host object makes a connection, and takes any host key.

Importing this module also makes `testinfra.get_host("namespace://gw1", lab="dmm")` and pytest's
`--hosts=namespace://gw1` known; there the lab's name comes from the environment variable LAB if it
is not given.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import testinfra
from testinfra.backend import BACKENDS
from testinfra.backend.base import BaseBackend, CommandResult
from testinfra.host import Host

from dmm_testbed.machines import process, state

if TYPE_CHECKING:
    from dmm_testbed.machines.ssh_runner import SshRunner

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


class SshBackend(BaseBackend):
    """Runs testinfra's commands over the connections of a runner."""

    NAME = "dmm-ssh"

    def __init__(self, name: str, runner: SshRunner) -> None:
        """Reach a machine.

        Args:
            name: the machine's name.
            runner: reaches the machines of its lab.
        """
        super().__init__(name)
        self._runner = runner

    def run(self, command: str, *args: str, **_: Any) -> CommandResult:
        """Run a shell command.

        Raises:
            MachineError: the machine does not answer.
            subprocess.TimeoutExpired: the command took more than two minutes.
        """
        line = self.get_command(command, *args)
        found = self._runner.output(
            self.hostname, ["/bin/sh", "-c", line], timeout_s=COMMAND_WITHIN_S
        )
        return self.result(found.status, self.encode(line), found.out, found.errors)

    def get_encoding(self) -> str:
        """Always UTF-8: commands get such a locale."""
        return "utf-8"


BACKENDS[NamespaceBackend.NAME] = f"{__name__}.{NamespaceBackend.__name__}"


def machine(lab: str, name: str) -> Any:
    """Testinfra's host object for one machine; no type checker can follow what it offers."""
    return testinfra.get_host(f"{NamespaceBackend.NAME}://{name}", lab=lab)


def over(runner: SshRunner, name: str) -> Any:
    """Testinfra's host object for a machine reached by SSH."""
    return Host(SshBackend(name, runner))
