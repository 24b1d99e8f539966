"""Mobility Header messages (IP protocol 135) to and from other agents."""

from __future__ import annotations

import logging
import socket
import time
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from dmm_agent.attachment.mobility_header import NETWORK_CONTROL
from dmm_agent.functions.events import Received
from dmm_agent.wire import (
    NEXT_HEADER,
    BindingError,
    BindingErrorStatus,
    DecodeError,
    EncodeError,
    UnknownMessageType,
    decode,
    encode,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dmm_agent.runtime.counters import Counters
    from dmm_agent.wire import Message

log = logging.getLogger(__name__)

LARGEST_MESSAGE = 1 << 16
READ_AT_ONCE = 64
"""Most messages taken in one go, so that a flood leaves the agent time for the rest."""

UNSPECIFIED = IPv6Address("::")


class RateLimit:
    """A token bucket, as RFC 4443 (2.4 f) asks of errors in answer to what anybody may send."""

    def __init__(
        self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._filled_at = clock()

    def allows(self) -> bool:
        """Whether one more is within the limit; if so it is counted."""
        now = self._clock()
        earned = (now - self._filled_at) * self._per_second
        self._tokens = min(self._burst, self._tokens + earned)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def raw_socket(
    address: IPv6Address, protocol: int, option: tuple[int, int, int | bytes]
) -> socket.socket:
    """Open a socket for a protocol's packets to and from an address, with one option set.

    Raises:
        OSError: no permission (NET_RAW), or the address is not on this host.
    """
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    opened = socket.socket(socket.AF_INET6, kind, protocol)
    try:
        opened.setsockopt(*option)
        opened.bind((str(address), 0))
    except OSError:
        opened.close()
        raise
    return opened


def from_address(source: IPv6Address) -> tuple[int, int, bytes]:
    """Ancillary data that gives a packet its source address (RFC 3542, 6.2)."""
    return socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, source.packed + bytes(4)


class Signalling:
    """The agent's signalling socket; the kernel writes and verifies checksums."""

    def __init__(self, address: IPv6Address, counters: Counters) -> None:
        """Open the socket.

        Raises:
            OSError: no permission (NET_RAW), or the address is not on this host.
        """
        self._address = address
        self._counters = counters
        self._errors = RateLimit(per_second=10, burst=10)
        self._socket = raw_socket(
            address, NEXT_HEADER, (socket.IPPROTO_IPV6, socket.IPV6_TCLASS, NETWORK_CONTROL)
        )

    def fileno(self) -> int:
        """For the event loop."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def send(
        self, destination: IPv6Address, message: Message, source: IPv6Address | None = None
    ) -> str | None:
        """Send a message; returns why it did not go out, if it did not."""
        name = type(message).__name__
        chosen = [] if source is None else [from_address(source)]
        try:
            octets = encode(message, source or self._address, destination)
            self._socket.sendmsg([octets], chosen, 0, (str(destination), 0))
        except (EncodeError, OSError) as error:
            return f"{name} to {destination}: {error}"
        self._counters.count("sent", name)
        self._counters.count("sent_octets", name, len(octets))
        return None

    def read(self) -> Iterator[Received]:
        """What arrived since; what cannot be read is counted by peer."""
        for _ in range(READ_AT_ONCE):
            try:
                octets, sender = self._socket.recvfrom(LARGEST_MESSAGE)
            except BlockingIOError:
                return
            except OSError as error:
                log.warning("cannot receive", extra={"fields": {"reason": str(error)}})
                return
            source = IPv6Address(sender[0].partition("%")[0])
            if source.is_link_local and self._address == UNSPECIFIED:
                continue  # for whoever listens to the link
            message = self._decode(source, octets)
            if message is not None:
                yield Received(source, message, octets=octets)

    def _decode(self, source: IPv6Address, octets: bytes) -> Message | None:
        try:
            message = decode(octets)
        except UnknownMessageType:
            self._counters.count("unknown_type", str(source))
            if not source.is_multicast and source != UNSPECIFIED and self._errors.allows():
                status = BindingErrorStatus.UNRECOGNIZED_MH_TYPE
                self.send(source, BindingError(status, UNSPECIFIED))
            return None
        except DecodeError as error:
            self._counters.count("malformed", str(source))
            log.debug("malformed", extra={"fields": {"source": str(source), "reason": str(error)}})
            return None
        name = type(message).__name__
        self._counters.count("received", name)
        self._counters.count("received_octets", name, len(octets))
        return message
