"""Ansible connection plugin: enter a machine made of namespaces on this computer."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleFileNotFound
from ansible.plugins.connection import ConnectionBase
from ansible.utils.display import Display

from dmm_testbed.machines import MachineError, process, state

DOCUMENTATION = r"""
name: namespace
short_description: Enter a machine made of namespaces on this computer
description:
  - Runs commands in the machine's network, mount, PID, UTS and IPC namespaces. Nothing has to run
    in the machine for that, and no password or key is asked for; Ansible itself must run as root.
options:
  machine:
    description: Name of the machine.
    default: inventory_hostname
    vars:
      - name: inventory_hostname
  lab:
    description: Name of the lab the machine belongs to.
    type: str
    default: dmm
    env:
      - name: LAB
    vars:
      - name: dmm_lab
"""

_display = Display()


class Connection(ConnectionBase):
    """Runs commands in a machine, and copies files in and out."""

    transport = "namespace"
    has_pipelining = True
    default_user = "root"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pid = 0

    def _connect(self) -> Connection:
        if not self._connected:
            try:
                self._pid = state.pid_of(self.get_option("lab"), self.get_option("machine"))
            except (MachineError, OSError) as error:
                raise AnsibleConnectionFailure(str(error)) from None
            self._connected = True
        return self

    def exec_command(
        self, cmd: str, in_data: bytes | None = None, sudoable: bool = True
    ) -> tuple[int, bytes, bytes]:
        """Run a shell command in the machine; returns its status, output and errors."""
        del sudoable  # a machine is entered as root
        _display.vvv(f"EXEC {cmd}", host=self.get_option("machine"))
        done = self._run(["/bin/sh", "-c", cmd], in_data or b"")
        return done.returncode, done.stdout, done.stderr

    def put_file(self, in_path: str, out_path: str) -> None:
        """Copy a file into the machine.

        Raises:
            AnsibleFileNotFound: there is no such file here.
            AnsibleConnectionFailure: it cannot be written there.
        """
        try:
            content = Path(in_path).read_bytes()
        except OSError as error:
            raise AnsibleFileNotFound(str(error)) from error
        # By a process inside: a path followed from outside could leave by a symbolic link.
        done = self._run(["/bin/sh", "-c", 'cat >"$1"', "sh", out_path], content)
        if done.returncode:
            raise AnsibleConnectionFailure(f"{out_path}: {done.stderr.decode(errors='replace')}")

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Copy a file out of the machine.

        Raises:
            AnsibleFileNotFound: it cannot be read there.
        """
        done = self._run(["/bin/cat", in_path], b"")
        if done.returncode:
            raise AnsibleFileNotFound(f"{in_path}: {done.stderr.decode(errors='replace')}")
        Path(out_path).write_bytes(done.stdout)

    def close(self) -> None:
        """Nothing is kept open."""
        self._connected = False

    def _run(self, command: list[str], data: bytes) -> subprocess.CompletedProcess[bytes]:
        self._connect()
        return subprocess.run(
            process.enter(self._pid, command), input=data, capture_output=True, check=False
        )
