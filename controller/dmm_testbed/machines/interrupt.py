"""Interrupted work: what is half done is taken away before the process goes."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def cleaned_up() -> Iterator[None]:
    """Make Ctrl-C and SIGTERM raise `KeyboardInterrupt` inside, once; later ones wait.

    The code inside can so clean up undisturbed; then the signal goes to whoever handled it before.
    """
    received: list[int] = []

    def interrupt(number: int, _: object) -> None:
        received.append(number)
        if len(received) == 1:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if received:
            os.kill(os.getpid(), received[0])


@contextmanager
def held_off() -> Iterator[None]:
    """Keep signals waiting during a step that must not be left halfway."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
