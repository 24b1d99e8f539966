"""Messages with a home address in front: Home Address option, type 2 routing header (RFC 6275).

A kernel without Mobile IPv6 (CONFIG_IPV6_MIP6) does not know these extension headers and would
answer with ICMPv6 errors. So nftables hands such packets over before the kernel reads the headers,
and drops them; and what is sent has its headers from us.
"""

from __future__ import annotations

import logging
import socket
import struct
from typing import TYPE_CHECKING

from dmm_agent.attachment.mobility_header import NETWORK_CONTROL
from dmm_agent.dataplane.nflog import IPV6_HEADER_BYTES, Nflog
from dmm_agent.dataplane.nftables import HOME_ADDRESS_GROUP
from dmm_agent.functions.events import Received
from dmm_agent.runtime.signalling import LARGEST_MESSAGE
from dmm_agent.wire import (
    DecodeError,
    EncodeError,
    MobilityPacket,
    decode_packet,
    encode_packet,
    verify_packet_checksum,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv6Address

    from dmm_agent.dataplane.nflog import Sample
    from dmm_agent.functions.effects import Send
    from dmm_agent.runtime.counters import Counters

log = logging.getLogger(__name__)

HOP_LIMIT = 64
_HEADER = struct.Struct("!IHBB16s16s")
_FIRST_WORD = 6 << 28 | NETWORK_CONTROL << 20


class HomeSignalling:
    """Sends and receives them; checksums are ours, too, since they cover the home address."""

    def __init__(self, address: IPv6Address | None, counters: Counters) -> None:
        """Open the sockets.

        Args:
            address: The host's signalling address; None on a mobile node, which has no fixed one.
            counters: What is sent and received is counted.

        Raises:
            OSError: no permission (NET_RAW).
            NflogError: the kernel does not hand packets over.
        """
        self._address = address
        self._counters = counters
        self._heard = Nflog([HOME_ADDRESS_GROUP], octets=LARGEST_MESSAGE - 1)
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        try:
            self._socket = socket.socket(socket.AF_INET6, kind, socket.IPPROTO_RAW)
        except OSError:
            self._heard.close()
            raise

    def fileno(self) -> int:
        """For the event loop."""
        return self._heard.fileno()

    def close(self) -> None:
        """Close the sockets."""
        self._heard.close()
        self._socket.close()

    def send(self, effect: Send) -> str | None:
        """Send a message; returns why it did not go out, if it did not."""
        name = type(effect.message).__name__
        source = effect.source or self._address
        if source is None:
            return f"{name} to {effect.destination}: no address to send it from"
        packet = MobilityPacket(effect.message, effect.home_source, effect.home_destination)
        try:
            next_header, octets = encode_packet(packet, source, effect.destination)
            header = _HEADER.pack(
                _FIRST_WORD,
                len(octets),
                next_header,
                HOP_LIMIT,
                source.packed,
                effect.destination.packed,
            )
            self._socket.sendto(header + octets, (str(effect.destination), 0))
        except (EncodeError, OSError) as error:
            return f"{name} to {effect.destination}: {error}"
        self._counters.count("sent", name)
        self._counters.count("sent_octets", name, len(octets))
        return None

    def read(self) -> Iterator[Received]:
        """What arrived since; what cannot be read is counted by peer."""
        for sample in self._heard.read():
            event = self._event(sample)
            if event is not None:
                yield event

    def _event(self, sample: Sample) -> Received | None:
        next_header, octets = sample.packet[6], sample.packet[IPV6_HEADER_BYTES:]
        length = int.from_bytes(sample.packet[4:6], "big")
        octets = octets[:length]
        try:
            if self._address is not None and sample.destination != self._address:
                raise DecodeError("not for the signalling address")
            packet = decode_packet(next_header, octets)
            if not verify_packet_checksum(next_header, octets, sample.source, sample.destination):
                raise DecodeError("wrong checksum")
        except DecodeError as error:
            self._counters.count("malformed", str(sample.source))
            fields = {"source": str(sample.source), "reason": str(error)}
            log.debug("malformed", extra={"fields": fields})
            return None
        name = type(packet.message).__name__
        self._counters.count("received", name)
        self._counters.count("received_octets", name, len(octets))
        at_node = self._address is None
        home = packet.home_destination if at_node else packet.home_source
        return Received(sample.source, packet.message, home, packet.octets)
