"""Watches the host's sockets: a look once in a while, and at once when one of interest ends.

The kernel tells of ends (SKNLGRP_INET6_TCP_DESTROY, SKNLGRP_INET6_UDP_DESTROY) but not of
beginnings, hence the look at an interval.
"""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING

from dmm_agent.dataplane.netlink import DumpInterruptedError, Netlink, messages
from dmm_agent.sockets.continuity import InUse, addresses_in_use
from dmm_agent.sockets.sock_diag import (
    NETLINK_SOCK_DIAG,
    SOCK_DIAG_BY_FAMILY,
    decode_socket,
    list_sockets,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dmm_agent.config import Flow

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
"""How often whoever runs a monitor calls `look`, besides when it is readable."""
LOOK_PAUSE_S = 0.1
"""Shortest time between two looks because sockets end: on a busy server they do all the time."""
LOOKS_AT_ONCE = 4
READ_AT_ONCE = 64
RECEIVE_SIZE = 1 << 16

SKNLGRP_INET6_TCP_DESTROY, SKNLGRP_INET6_UDP_DESTROY = 3, 4
_GROUPS = 1 << (SKNLGRP_INET6_TCP_DESTROY - 1) | 1 << (SKNLGRP_INET6_UDP_DESTROY - 1)


class SocketMonitor:
    """The addresses of this host that its sockets need, as they change.

    Args:
        declined: sessions that do not count.
        clock: monotonic time in seconds.

    Raises:
        OSError: the kernel has no sock_diag.
    """

    def __init__(self, declined: Sequence[Flow], clock: Callable[[], float]) -> None:
        self._declined = declined
        self._clock = clock
        self._netlink = Netlink(NETLINK_SOCK_DIAG)
        self._ends = socket.socket(
            socket.AF_NETLINK,
            socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
            NETLINK_SOCK_DIAG,
        )
        self._ends.bind((0, _GROUPS))
        self._in_use = InUse()
        self._looked_at = float("-inf")

    def fileno(self) -> int:
        """For the event loop: readable when sockets have ended."""
        return self._ends.fileno()

    def close(self) -> None:
        """Close both sockets."""
        self._ends.close()
        self._netlink.close()

    def read(self) -> InUse | None:
        """After sockets have ended: the addresses in use; None if there is no need to look.

        Raises:
            NetlinkError: the kernel does not list sockets.
        """
        concerned = self._an_end_concerns_us()
        if concerned and self._clock() - self._looked_at >= LOOK_PAUSE_S:
            return self.look()
        return None

    def look(self) -> InUse:
        """The addresses in use now.

        Raises:
            NetlinkError: the kernel does not list sockets.
        """
        self._looked_at = self._clock()
        found = self._list()
        if not found >= self._in_use:
            # A list made while sockets come and go can lack one: an end is believed twice told.
            found |= self._list()
        self._in_use = found
        return found

    def _list(self) -> InUse:
        for _ in range(LOOKS_AT_ONCE):
            try:
                return addresses_in_use(list_sockets(self._netlink), self._declined)
            except DumpInterruptedError:
                continue
        log.warning("sockets changed each time they were listed; what was in use counts as such")
        return self._in_use

    def _an_end_concerns_us(self) -> bool:
        concerned = False
        for _ in range(READ_AT_ONCE):
            try:
                data = self._ends.recv(RECEIVE_SIZE)
            except BlockingIOError:
                break
            except OSError:
                return True  # more ended than the kernel could tell
            concerned = concerned or any(
                kind == SOCK_DIAG_BY_FAMILY and self._is_in_use(body)
                for kind, _flags, _sequence, body in messages(data)
            )
        return concerned

    def _is_in_use(self, body: bytes) -> bool:
        ended = decode_socket("", body)
        return ended is not None and ended.local in self._in_use
