"""Going on in the background once the work is known to have begun."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_READY = b"ready"


def detach(log: Path) -> Callable[[str], None]:
    """Fork; the parent waits for the child's word and exits with it, the child returns.

    Returns:
        A function for the child to say how starting went: an empty text lets the parent exit
        with 0, any other is printed by the parent, which then exits with 3.
    """
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            said = pipe.read().decode()
        if said.startswith(_READY.decode()):
            os._exit(0)
        print(said or f"dmm-traffic: ended before it was ready; see {log}", file=sys.stderr)
        os._exit(3)
    os.close(reading)
    os.setsid()
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(os.devnull) as nothing, log.open("wb") as output:  # noqa: PTH123 - a device, no path
        os.dup2(nothing.fileno(), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)

    def say(problem: str) -> None:
        os.write(writing, problem.encode() or _READY)
        os.close(writing)

    return say
