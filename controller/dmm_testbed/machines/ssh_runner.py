"""Runs programs as root on machines reached by SSH, for measuring, for scenarios and for tests."""

from __future__ import annotations

import os
import select
import shlex
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from paramiko import SSHException

from dmm_testbed.machines.errors import MachineError
from dmm_testbed.machines.held import PATH
from dmm_testbed.machines.ssh_connection import Connection

if TYPE_CHECKING:
    from collections.abc import Sequence

    import paramiko

    from dmm_testbed.machines.ssh_record import SshRecord

RUN_WITHIN_S = 120.0
"""Unless a caller says something else; an emulated machine may take seconds for anything."""
FILE_WITHIN_S = 300.0
SIGN_OF_LIFE_WITHIN_S = 20.0
END_WITHIN_S = 5.0
"""For a program that is told to end, before it is killed."""
_CHUNK_BYTES = 1 << 20
_NO_STATUS = -1
"""What paramiko has for an exit status when none came: a signal ended it, or all was lost."""
_NO_ROOT = ("a password is required", "a terminal is required", "not in the sudoers")

_AS_LONG_AS_HELD = (Path(__file__).parent / "scripts" / "held-program.sh").read_text("ascii")


class Output(NamedTuple):
    """What became of a program."""

    status: int
    out: bytes
    errors: bytes


class SshProgram:
    """A program that goes on, on a machine; it ends when it is killed or the connection is lost."""

    def __init__(self, host: str, argv: Sequence[str], channel: paramiko.Channel) -> None:
        """Take a channel in which the program was started."""
        self.host = host
        self.argv = list(argv)
        self._channel = channel

    @property
    def returncode(self) -> int | None:
        """Its exit status; -1 if it was not heard of because the connection was lost."""
        channel = self._channel
        over = channel.closed or channel.exit_status_ready()
        return channel.recv_exit_status() if over else None

    def poll(self) -> int | None:
        """Its exit status; None while it runs."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired: it goes on.
        """
        self._channel.status_event.wait(timeout)
        status = self.returncode
        if status is None:
            raise subprocess.TimeoutExpired(self.argv, timeout or 0.0)
        self._channel.close()
        return status

    def kill(self) -> None:
        """End it: SIGTERM, and SIGKILL if that is not enough."""
        if not self._channel.closed:
            self._channel.shutdown_write()


class SshRunner:
    """The measuring side's `Runner` over SSH: one kept connection a machine, for all threads."""

    def __init__(self, record: SshRecord) -> None:
        """Reach the machines of a lab by name; nothing is connected before it is needed."""
        self._record = record
        self._connections: dict[str, Connection] = {}
        self._lock = threading.Lock()

    def run(
        self, host: str, argv: Sequence[str], *, timeout_s: float = RUN_WITHIN_S
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end, whatever its exit code.

        Raises:
            MachineError: the machine does not answer, or lets us do nothing there.
            subprocess.TimeoutExpired: it took longer than `timeout_s`; it is ended.
        """
        found = self.output(host, argv, timeout_s=timeout_s)
        text = [part.decode(errors="replace") for part in (found.out, found.errors)]
        return subprocess.CompletedProcess(list(argv), found.status, *text)

    def output(self, host: str, argv: Sequence[str], *, timeout_s: float = RUN_WITHIN_S) -> Output:
        """The same, with the bytes that it wrote.

        Raises:
            MachineError: the machine does not answer, or lets us do nothing there.
            subprocess.TimeoutExpired: it took longer than `timeout_s`; it is ended.
        """
        # Should we be gone by then, the machine itself ends it.
        bounded = ["timeout", f"--kill-after={END_WITHIN_S}", str(timeout_s + END_WITHIN_S), *argv]
        channel = self._begun(host, bounded)
        try:
            found = _collect(channel, timeout_s)
            lost = channel.transport is None or not channel.transport.is_active()
        finally:
            channel.close()
        if found is None:
            raise subprocess.TimeoutExpired(list(argv), timeout_s)
        if found.status == _NO_STATUS and lost:
            raise MachineError(f"machine {host}: the connection was lost while {argv[0]} ran there")
        if found.status == 1 and any(word.encode() in found.errors for word in _NO_ROOT):
            told = found.errors.decode(errors="replace").strip()
            raise MachineError(
                f"machine {host}: programs cannot be run as root there ({told}): allow it by sudo "
                "without a password, or let ssh_config name root as the user"
            )
        return found

    def start(self, host: str, argv: Sequence[str]) -> SshProgram:
        """Start a program that goes on; its output is thrown away.

        Killing what is returned ends the program, and so does the end of the connection.

        Raises:
            MachineError: the machine does not answer.
        """
        held = ["sh", "-c", _AS_LONG_AS_HELD, "held-program", *argv]
        return SshProgram(host, argv, self._begun(host, held))

    def read_file(self, host: str, path: str) -> bytes:
        """The content of a file on the machine.

        Raises:
            MachineError: the machine does not answer.
            OSError: it cannot be read.
        """
        found = self.output(host, ["cat", "--", path], timeout_s=FILE_WITHIN_S)
        if found.status:
            raise OSError(f"{host}: {found.errors.decode(errors='replace').strip()}")
        return found.out

    def answers(self, host: str) -> bool:
        """Whether the machine takes a program now; none is run."""
        try:
            self._connection(host).session(within_s=SIGN_OF_LIFE_WITHIN_S).close()
        except MachineError:
            return False
        return True

    def address(self, host: str) -> str:
        """Where the machine is reached: USER@HOST:PORT.

        Raises:
            MachineError: it is not part of the lab.
        """
        settings = self._connection(host).settings()
        return f"{settings['user']}@{settings['hostname']}:{settings.get('port', 22)}"

    def user(self, host: str) -> str:
        """Who we are on the machine.

        Raises:
            MachineError: it is not part of the lab.
        """
        return str(self._connection(host).settings()["user"])

    def close(self) -> None:
        """End all connections, and all programs that were started over them."""
        with self._lock:
            for connection in self._connections.values():
                connection.close()

    def _connection(self, host: str) -> Connection:
        with self._lock:
            if host not in self._connections:
                self._connections[host] = Connection(self._record, host)
            return self._connections[host]

    def _begun(self, host: str, argv: Sequence[str]) -> paramiko.Channel:
        connection = self._connection(host)
        channel = connection.session()
        try:
            channel.exec_command(as_root(argv, user=connection.user))
        except (SSHException, EOFError, OSError) as error:
            raise MachineError(f"machine {host}: {argv[0]} cannot be started: {error}") from None
        return channel


def as_root(argv: Sequence[str], *, user: str, interactive: bool = False) -> str:
    """The shell command that runs a program as root, in the environment all machines give."""
    environment = ["/usr/bin/env", "-i", f"PATH={PATH}", "HOME=/root", "LANG=C.UTF-8"]
    if interactive:
        environment.append(f"TERM={os.environ.get('TERM', 'linux')}")
    sudo = [] if user == "root" else ["sudo", "-n", "--"]
    return shlex.join([*sudo, *environment, *argv])


def _collect(channel: paramiko.Channel, within_s: float) -> Output | None:
    """All that a program writes until it ends, and its exit status; None if that takes longer."""
    deadline = time.monotonic() + within_s
    out, errors = bytearray(), bytearray()
    over = False
    while not over:
        if not select.select([channel], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return None
        over = bool(channel.eof_received or channel.closed)  # asked first: what came before is read
        while channel.recv_ready():
            out += channel.recv(_CHUNK_BYTES)
        while channel.recv_stderr_ready():
            errors += channel.recv_stderr(_CHUNK_BYTES)
    if not channel.status_event.wait(max(0.0, deadline - time.monotonic())):
        return None
    return Output(channel.recv_exit_status(), bytes(out), bytes(errors))
