"""A started process that waits for its word, and ends when its starter does."""

from __future__ import annotations

import select
import subprocess
from contextlib import suppress
from typing import IO

from dmm_testbed.machines.errors import MachineError

WITHIN_S = 60.0
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Held:
    """A process that says "ready PID" and then waits for "go" on its standard input.

    As long as it is held, it ends by itself when this process ends, however that happens: the pipe
    it waits on is then closed.
    """

    def __init__(self, what: str, command: list[str], environment: dict[str, str]) -> None:
        """Start it.

        Args:
            what: how to call it in an error.
            command: program and arguments.
            environment: variables besides the usual ones; none are inherited.
        """
        self._what = what
        # A session of its own: Ctrl-C at the terminal is for the starter.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
            cwd="/",
            env={"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", **environment},
        )
        self._words = _existing(self._process.stdin)
        self._answers = _existing(self._process.stdout)
        self._complaints = _existing(self._process.stderr)

    def ready(self) -> int:
        """Wait until it is ready.

        Returns:
            Its PID.

        Raises:
            MachineError: it ended instead, or said nothing in time; tells its last words.
        """
        if self._answered():
            words = self._answers.readline().split()
            if len(words) == 2 and words[0] == "ready":
                return int(words[1])
        with suppress(OSError):
            self._words.close()
        told = self._complaints.read() if self._answered() else "no answer in a minute"
        raise MachineError(f"{self._what} did not start: {' '.join(told.split())}")

    def release(self) -> None:
        """Say "go" and wait until it has left the pipe: it now lives without its starter."""
        with suppress(BrokenPipeError):
            self._words.write("go\n")
        self.abandon()

    def abandon(self) -> None:
        """Let go of it; if it was not released, this ends it, and waits for that."""
        with suppress(OSError):
            self._words.close()
        if not self._answers.closed and self._answered():
            self._answers.read()
        self._answers.close()
        self._complaints.close()
        self._process.wait(WITHIN_S)

    def _answered(self) -> bool:
        """Wait for an answer or its end."""
        return bool(select.select([self._answers], [], [], WITHIN_S)[0])


def _existing(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise MachineError("a machine was started without a pipe to hold it by")
    return pipe
