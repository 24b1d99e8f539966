"""A kernel that has no memory at the moment is asked again, in order, and not for ever."""

from __future__ import annotations

import errno
import socket
import struct
import time
from typing import TYPE_CHECKING

from dmm_agent.dataplane.netlink import NLMSG_ERROR, Netlink, Request, messages

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest


class Kernel:
    """A netlink socket to a kernel that has room for so many more requests, and then a pause."""

    def __init__(self, room: int, more: int) -> None:
        self.room, self.more = room, more
        self.done: list[bytes] = []
        self._answers: list[bytes] = []

    def __call__(self, *_arguments: object) -> Kernel:
        return self

    def bind(self, _address: object) -> None:
        """Do nothing."""

    settimeout = bind

    def setsockopt(self, *_arguments: object) -> None:
        """Do nothing."""

    def send(self, data: bytes) -> None:
        self._answers.append(
            b"".join(self._answer(sequence, body) for *_, sequence, body in messages(data))
        )

    def _answer(self, sequence: int, body: bytes) -> bytes:
        refused = -errno.ENOMEM if self.room == 0 else 0
        if not refused:
            self.room -= 1
            self.done.append(body)
        return struct.pack("=IHHIIi16x", 36, NLMSG_ERROR, 0, sequence, 0, refused)

    def recv(self, _size: int) -> bytes:
        return self._answers.pop(0)

    def pause(self, _seconds: float) -> None:
        self.room += self.more


def transact(
    monkeypatch: pytest.MonkeyPatch, kernel: Kernel, requests: Sequence[Request]
) -> list[int]:
    """How the kernel answered each request in the end."""
    monkeypatch.setattr(socket, "socket", kernel)
    monkeypatch.setattr(time, "sleep", kernel.pause)
    return [answer.errno for answer in Netlink().transact(requests)]


REQUESTS = [Request(24, 0, number.to_bytes(4, "big")) for number in range(200)]
BODIES = [request.body for request in REQUESTS]


def test_all_is_done_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(room=90, more=30)
    assert transact(monkeypatch, kernel, REQUESTS) == [0] * len(REQUESTS)
    assert kernel.done == BODIES


def test_what_there_is_never_memory_for_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(room=90, more=0)
    answers = transact(monkeypatch, kernel, REQUESTS)
    assert answers == [0] * 90 + [errno.ENOMEM] * 110
    assert kernel.done == BODIES[:90]
