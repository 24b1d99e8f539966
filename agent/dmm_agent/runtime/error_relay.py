"""Hears ICMPv6 errors about our tunnels' packets and tells the senders of what is inside."""

from __future__ import annotations

import logging
import socket
import struct
from typing import TYPE_CHECKING

from dmm_agent.dataplane.tunnel_errors import REPORTED, complaint_about
from dmm_agent.runtime.signalling import RateLimit, raw_socket

if TYPE_CHECKING:
    from collections.abc import Iterable
    from ipaddress import IPv6Address

    from dmm_agent.config import Directory
    from dmm_agent.dataplane.tunnel_errors import Complaint
    from dmm_agent.runtime.counters import Counters

log = logging.getLogger(__name__)

ICMPV6_FILTER = 1
READ_AT_ONCE = 64
"""Most errors taken in one go, so that a flood leaves the agent time for the rest."""
LARGEST_MESSAGE = 1 << 16
ERRORS_PER_S, ERROR_BURST = 200, 50
"""RFC 4443, 2.4 f: a router limits the errors that it sends."""


def _nothing_but(kinds: Iterable[int]) -> bytes:
    """A filter (RFC 3542, 3.2) that blocks other ICMPv6 types: on Linux, those whose bit is set."""
    words = [0xFFFFFFFF] * 8
    for kind in kinds:
        words[kind >> 5] &= ~(1 << (kind & 31))
    return struct.pack("@8I", *words)


class ErrorRelay:
    """Hears errors about our tunnels' packets, and passes them on."""

    def __init__(self, own: IPv6Address, directory: Directory, counters: Counters) -> None:
        """Open the socket.

        Raises:
            OSError: no permission (NET_RAW), or the address is not on this host.
        """
        self._own = own
        self._directory = directory
        self._counters = counters
        self._limit = RateLimit(ERRORS_PER_S, ERROR_BURST)
        only = (socket.IPPROTO_ICMPV6, ICMPV6_FILTER, _nothing_but(REPORTED))
        self._socket = raw_socket(own, socket.IPPROTO_ICMPV6, only)

    def fileno(self) -> int:
        """For the event loop."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def pass_on(self) -> None:
        """Tell senders what has come since; what is too much is counted and dropped."""
        for _ in range(READ_AT_ONCE):
            try:
                error = self._socket.recv(LARGEST_MESSAGE)
            except BlockingIOError:
                return
            except OSError as problem:
                log.warning("cannot receive", extra={"fields": {"reason": str(problem)}})
                return
            complaint = complaint_about(error, self._own, self._directory)
            if complaint is not None:
                self._tell(complaint)

    def _tell(self, complaint: Complaint) -> None:
        if not self._limit.allows():
            self._counters.count("tunnel_errors", "over the limit")
            return
        try:
            self._socket.sendto(complaint.message, (str(complaint.to), 0))
        except OSError as problem:
            self._counters.count("tunnel_errors", "not sent")
            log.warning("cannot pass on an error", extra={"fields": {"reason": str(problem)}})
            return
        self._counters.count("tunnel_errors", "passed on")
