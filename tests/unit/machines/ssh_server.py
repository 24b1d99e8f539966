"""An SSH server on loopback that runs programs here, and can die like a machine."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import paramiko
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_SUCCEEDED

if TYPE_CHECKING:
    from pathlib import Path

SUDO = """#!/bin/sh
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
"""
CLOSE_WITHIN_S = 5.0


class SshServer(paramiko.ServerInterface):
    """Lets one key in, as any user; `sudo` of its own runs programs as whoever we are."""

    def __init__(self, folder: Path, user_key: paramiko.PKey) -> None:
        """Listen at once."""
        self.key: paramiko.PKey = paramiko.ECDSAKey.generate()
        self.commands: list[str] = []
        self.connections = 0
        self._user_key = user_key
        self._connected: list[tuple[socket.socket, paramiko.Transport]] = []
        self._programs = folder / "bin"
        self._programs.mkdir()
        self.sudo(SUDO)
        self.port = 0
        self.listen()

    def sudo(self, script: str) -> None:
        """Let `sudo` be this."""
        program = self._programs / "sudo"
        program.write_text(script, encoding="ascii")
        program.chmod(0o755)

    def listen(self) -> None:
        """Accept connections, at the same port as before if there was one."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def die(self) -> None:
        """Accept nobody, and drop who is connected, without a word."""
        with suppress(OSError):  # dead already
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        for connected, transport in self._connected:
            with suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)
            transport.join(CLOSE_WITHIN_S)
        self._connected.clear()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connected, _ = listener.accept()
                transport = paramiko.Transport(connected)
                transport.add_server_key(self.key)
                self._connected.append((connected, transport))
                self.connections += 1
                with suppress(paramiko.SSHException, EOFError):
                    transport.start_server(server=self)

    # What paramiko asks

    def get_allowed_auths(self, username: str) -> str:
        del username
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        del username
        return AUTH_SUCCESSFUL if key == self._user_key else AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        del kind, chanid
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.commands.append(command.decode())
        threading.Thread(target=self._run, args=(channel, command), daemon=True).start()
        return True

    def _run(self, channel: paramiko.Channel, command: bytes) -> None:
        """Run a command as sshd does: closing its input is all that the end of a session does."""
        program = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": f"{self._programs}:{os.environ['PATH']}"},
        )
        takers = [
            threading.Thread(target=_pass_on, args=pair, daemon=True)
            for pair in (
                (program.stdout, channel.sendall),
                (program.stderr, channel.sendall_stderr),
            )
        ]
        feeder = threading.Thread(target=_feed, args=(channel, program.stdin), daemon=True)
        for thread in (feeder, *takers):
            thread.start()
        status = program.wait()
        for taker in takers:
            taker.join()
        with suppress(OSError, EOFError, paramiko.SSHException):
            channel.send_exit_status(status)
            channel.shutdown_write()
            channel.close()


def _pass_on(pipe: Any, send: Any) -> None:
    with suppress(OSError, EOFError, paramiko.SSHException), pipe:
        while chunk := pipe.read1(1 << 16):
            send(chunk)


def _feed(channel: paramiko.Channel, pipe: Any) -> None:
    with suppress(OSError, EOFError, paramiko.SSHException):
        while chunk := channel.recv(1 << 16):
            pipe.write(chunk)
            pipe.flush()
    with suppress(OSError):
        pipe.close()
