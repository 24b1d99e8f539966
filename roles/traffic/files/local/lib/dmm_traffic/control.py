"""Asking a running dmm-traffic: one JSON line to its unix socket, one JSON document back."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT_S = 30.0


class PeerError(Exception):
    """The server cannot be reached; the text says what to look at."""


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
        sock.settimeout(TIMEOUT_S)
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
    return [path.stem for path in sorted(directory.glob("*.sock")) if answers(path)]


def answers(path: Path) -> bool:
    """Whether a process answers at a socket."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(TIMEOUT_S)
        try:
            sock.connect(str(path))
        except OSError:
            return False
        return True
