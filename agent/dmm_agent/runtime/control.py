"""The control socket: one JSON request a connection, JSON lines back, for root only."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from dmm_agent.runtime.journal import Journal

log = logging.getLogger(__name__)

LONGEST_REQUEST = 4096
REQUEST_TIMEOUT_S = 5.0
MAX_CONNECTIONS = 32

Answer = Any
"""Anything that JSON can say."""


class AlreadyRunningError(Exception):
    """Another agent answers on the control socket."""


class ControlServer:
    """Answers `dmmctl`.

    A request is ``{"command": NAME}``; the answer is ``{"ok": true, "result": …}`` or
    ``{"ok": false, "error": TEXT}``. ``{"command": "events", "follow": true}`` gets the answer and
    then one event a line until either side hangs up.
    """

    def __init__(
        self, path: Path, commands: Mapping[str, Callable[[], Answer]], journal: Journal
    ) -> None:
        self._path = path
        self._commands = commands
        self._journal = journal
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()

    def claim(self) -> None:
        """Take the socket's name; who connects is refused until `start`.

        Raises:
            AlreadyRunningError: another agent listens there.
            OSError: the socket cannot be made.
        """
        self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if is_answered(self._path):
            raise AlreadyRunningError(f"another agent answers on {self._path}: stop it first")
        self._path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._listener.bind(str(self._path))
        self._path.chmod(0o600)

    async def start(self) -> None:
        """Listen: from now on the agent is ready."""
        self._server = await asyncio.start_unix_server(
            self._connected, sock=self._listener, limit=LONGEST_REQUEST
        )

    def stop(self) -> None:
        """Hang up on everybody and give the name back."""
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._connections):
            connection.close()
        self._listener.close()
        self._path.unlink(missing_ok=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            if len(self._connections) > MAX_CONNECTIONS:
                await _say(writer, _refused("too many connections"))
            else:
                await self._serve(reader, writer)
        except (OSError, TimeoutError, ValueError, asyncio.CancelledError):
            log.debug("a control connection ended early")
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await asyncio.wait_for(reader.readline(), REQUEST_TIMEOUT_S)
        request = _request(line)
        command = self._commands.get(str(request.get("command")))
        if command is None:
            known = ", ".join(sorted(self._commands))
            await _say(writer, _refused(f"unknown command; known are {known}"))
            return
        if request["command"] == "events" and request.get("follow"):
            await self._follow(reader, writer, self._answer(command))
            return
        await _say(writer, self._answer(command))

    async def _follow(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: Answer
    ) -> None:
        with self._journal.followed() as queue:
            hangup = asyncio.ensure_future(reader.read())
            hangup.add_done_callback(lambda _: queue.put_nowait(None))
            try:
                await _say(writer, first)
                while (row := await queue.get()) is not None:
                    await _say(writer, row)
            finally:
                hangup.cancel()

    def _answer(self, command: Callable[[], Answer]) -> Answer:
        try:
            return {"ok": True, "result": command()}
        except Exception as error:
            log.exception("a control command failed")
            return _refused(f"{type(error).__name__}: {error}")


def is_answered(path: Path) -> bool:
    """Whether somebody listens on a control socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        try:
            caller.connect(str(path))
        except OSError:
            return False
    return True


def _request(line: bytes) -> dict[str, Any]:
    try:
        request = json.loads(line)
    except ValueError:
        return {}
    return request if isinstance(request, dict) else {}


def _refused(reason: str) -> Answer:
    return {"ok": False, "error": reason}


async def _say(writer: asyncio.StreamWriter, answer: Answer) -> None:
    writer.write(json.dumps(answer, default=str).encode() + b"\n")
    await writer.drain()
