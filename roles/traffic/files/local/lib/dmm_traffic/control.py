"""Asking a running dmm-traffic: one JSON line to its unix socket, one JSON document back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_REQUEST_LIMIT_BYTES = 256
_TIMEOUT_S = 30.0
_MODE = 0o600


class NotRunningError(Exception):
    """No process answers under that name."""


def socket_path(directory: Path, name: str) -> Path:
    """Where the process called `name` is asked."""
    return directory / f"{name}.sock"


def ask(directory: Path, name: str, question: str) -> Any:
    """Put a question (`report`, `journal` or `stop`) and return the answer.

    Raises:
        NotRunningError: no process answers.
    """
    path = socket_path(directory, name)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(_TIMEOUT_S)
        try:
            sock.connect(str(path))
            sock.sendall(json.dumps({"ask": question}).encode() + b"\n")
            answer = b"".join(iter(lambda: sock.recv(1 << 16), b""))
            return json.loads(answer)
        except (OSError, ValueError) as error:
            running = ", ".join(names(directory)) or "none"
            raise NotRunningError(
                f"no dmm-traffic called {name!r} answers at {path} (running here: {running})"
            ) from error


def names(directory: Path) -> list[str]:
    """Names of the processes that answer."""
    return [path.stem for path in sorted(directory.glob("*.sock")) if _answers(path)]


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(_TIMEOUT_S)
        try:
            sock.connect(str(path))
        except OSError:
            return False
        return True


class ControlSocket:
    """The answering side."""

    def __init__(self, path: Path, answers: dict[str, Callable[[], Any]]) -> None:
        self._path = path
        self._answers = answers
        self._server: asyncio.AbstractServer | None = None

    def refuse_a_second(self) -> None:
        """See that no other process uses the name.

        Raises:
            FileExistsError: one does.
        """
        if _answers(self._path):
            raise FileExistsError(
                f"a dmm-traffic called {self._path.stem!r} is already running; "
                f"stop it with `dmm-traffic stop --name {self._path.stem}` or choose another --name"
            )

    async def open(self) -> None:
        """Begin to answer, in place of a process that did not clean up behind it.

        Raises:
            OSError: the socket cannot be made.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(
            self._answer, str(self._path), limit=_REQUEST_LIMIT_BYTES
        )
        self._path.chmod(_MODE)

    def close(self) -> None:
        """Stop answering and remove the socket."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            line = await asyncio.wait_for(reader.readline(), _TIMEOUT_S)
            answer = self._answers[json.loads(line)["ask"]]()
            writer.write(json.dumps(answer).encode())
            await writer.drain()
        writer.close()
