"""Mobility Header messages between a mobile node and the router on its link."""

from __future__ import annotations

import logging
import socket
import struct
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from dmm_agent.attachment.mobility_header import HOP_LIMIT, NETWORK_CONTROL
from dmm_agent.functions.events import HeardOnLink
from dmm_agent.runtime.signalling import LARGEST_MESSAGE, READ_AT_ONCE, raw_socket
from dmm_agent.wire import NEXT_HEADER, DecodeError, EncodeError, decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dmm_agent.functions.effects import SendOnLink
    from dmm_agent.runtime.counters import Counters

log = logging.getLogger(__name__)

IPV6_RECVHOPLIMIT, IPV6_HOPLIMIT = 51, 52
ANYBODY = IPv6Address("::")


class LinkSignalling:
    """A mobile node's side; the kernel resolves the neighbour, writes and verifies checksums.

    The radio may be made anew meanwhile: it is looked up for each message.
    """

    def __init__(self, radio: str, counters: Counters) -> None:
        """Open the socket.

        Raises:
            OSError: no permission (NET_RAW).
        """
        self._radio = radio
        self._counters = counters
        ipv6 = socket.IPPROTO_IPV6
        self._socket = raw_socket(ANYBODY, NEXT_HEADER, (ipv6, socket.IPV6_TCLASS, NETWORK_CONTROL))
        self._socket.setsockopt(ipv6, socket.IPV6_UNICAST_HOPS, HOP_LIMIT)
        self._socket.setsockopt(ipv6, IPV6_RECVHOPLIMIT, 1)

    def fileno(self) -> int:
        """For the event loop."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def send_on_link(self, effect: SendOnLink) -> str | None:
        """Send a message to the neighbour; returns why it did not go out, if it did not."""
        name = type(effect.message).__name__
        try:
            # The kernel knows the source, which the checksum covers, and writes that.
            octets = encode(effect.message, ANYBODY, effect.link_local)
            index = socket.if_nametoindex(effect.link)
            self._socket.sendto(octets, (str(effect.link_local), 0, 0, index))
        except (EncodeError, OSError) as error:
            return f"{name} to {effect.link_local}: {error}"
        return None

    def read(self) -> Iterator[HeardOnLink]:
        """What neighbours said since; what is malformed, or was forwarded, is counted."""
        for _ in range(READ_AT_ONCE):
            try:
                octets, ancillary, _, sender = self._socket.recvmsg(LARGEST_MESSAGE, 64)
            except BlockingIOError:
                return
            except OSError as error:
                log.warning("cannot receive", extra={"fields": {"reason": str(error)}})
                return
            source = IPv6Address(sender[0].partition("%")[0])
            if source.is_link_local and sender[3] == self._index():
                yield from self._heard(source, octets, ancillary)

    def _index(self) -> int:
        try:
            return socket.if_nametoindex(self._radio)
        except OSError:
            return 0

    def _heard(
        self, source: IPv6Address, octets: bytes, ancillary: Sequence[tuple[int, int, bytes]]
    ) -> Iterator[HeardOnLink]:
        try:
            message = decode(octets)
        except DecodeError:
            message = None
        if message is None or _hop_limit(ancillary) != HOP_LIMIT:
            self._counters.count("malformed_on_link", self._radio)
            return
        self._counters.count("received_on_link", type(message).__name__)
        yield HeardOnLink(self._radio, "", source, message)


def _hop_limit(ancillary: Sequence[tuple[int, int, bytes]]) -> int | None:
    for level, kind, value in ancillary:
        if (level, kind) == (socket.IPPROTO_IPV6, IPV6_HOPLIMIT):
            (hop_limit,) = struct.unpack("=i", value[:4])
            return int(hop_limit)
    return None
