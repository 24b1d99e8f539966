"""The answering side of `control`: a running process is asked by its unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

from dmm_traffic.control import TIMEOUT_S, answers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_REQUEST_LIMIT_BYTES = 256
_MODE = 0o600


class ControlSocket:
    """The answering side."""

    def __init__(self, path: Path, questions: dict[str, Callable[[], Any]]) -> None:
        self._path = path
        self._questions = questions
        self._server: asyncio.AbstractServer | None = None

    def refuse_a_second(self) -> None:
        """See that no other process uses the name.

        Raises:
            FileExistsError: one does.
        """
        if answers(self._path):
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
            line = await asyncio.wait_for(reader.readline(), TIMEOUT_S)
            answer = self._questions[json.loads(line)["ask"]]()
            writer.write(json.dumps(answer).encode())
            await writer.drain()
        writer.close()
