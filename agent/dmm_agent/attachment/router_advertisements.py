"""What routers advertise on the link that a mobile node is on: which prefixes it has."""

from __future__ import annotations

import logging
import socket
import struct
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING

from dmm_agent.attachment.icmpv6 import (
    OPTION_PREFIX_INFORMATION,
    PREFIX_AUTONOMOUS,
    ROUTER_ADVERTISEMENT,
    MalformedError,
)
from dmm_agent.functions.events import PrefixesAdvertised

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)

ICMPV6_FILTER = 1
READ_AT_ONCE = 64
LARGEST = 1 << 16
HOP_LIMIT = 255
"""Of what has not been forwarded (RFC 4861, 6.1.2)."""
FIXED_OCTETS = 16
ANCILLARY_OCTETS = 256

_PREFIX_INFORMATION = struct.Struct("!BBBBIIxxxx16s")
_PACKET_INFO = struct.Struct("=16sI")
_HOP_LIMIT = struct.Struct("=i")


class RouterAdvertisements:
    """Hears them beside the kernel, which makes addresses of them."""

    def __init__(self, radio: str) -> None:
        """Begin to listen.

        Args:
            radio: The interface; it may appear later, and be made anew.

        Raises:
            OSError: no permission (NET_RAW).
        """
        self._radio = radio
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_INET6, kind, socket.IPPROTO_ICMPV6)
        blocked = [0xFFFFFFFF] * 8
        blocked[ROUTER_ADVERTISEMENT >> 5] &= ~(1 << (ROUTER_ADVERTISEMENT & 31))
        try:
            self._socket.setsockopt(
                socket.IPPROTO_ICMPV6, ICMPV6_FILTER, struct.pack("@8I", *blocked)
            )
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """For the event loop."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def read(self) -> Iterator[PrefixesAdvertised]:
        """What was heard since; what must be discarded is (RFC 4861, 6.1.2)."""
        for _ in range(READ_AT_ONCE):
            try:
                packet, ancillary, _, sender = self._socket.recvmsg(LARGEST, ANCILLARY_OCTETS)
            except BlockingIOError:
                return
            except OSError as error:
                log.warning("cannot receive", extra={"fields": {"reason": str(error)}})
                return
            source = IPv6Address(sender[0].partition("%")[0])
            found = {kind: data for _, kind, data in ancillary}
            hop_limit = _HOP_LIMIT.unpack(found.get(socket.IPV6_HOPLIMIT, bytes(4)))[0]
            _, index = _PACKET_INFO.unpack(found.get(socket.IPV6_PKTINFO, bytes(20)))
            if hop_limit != HOP_LIMIT or not source.is_link_local or not self._is_radio(index):
                continue
            try:
                yield PrefixesAdvertised(self._radio, prefixes_of(packet))
            except MalformedError as error:
                log.debug("malformed", extra={"fields": {"reason": str(error)}})

    def _is_radio(self, index: int) -> bool:
        try:
            return socket.if_indextoname(index) == self._radio
        except OSError:
            return False


def prefixes_of(packet: bytes) -> frozenset[IPv6Network]:
    """The prefixes of a router advertisement that addresses are made of and preferred.

    Args:
        packet: The ICMPv6 message, its checksum verified.

    Raises:
        MalformedError: an advertisement that must be discarded.
    """
    if len(packet) < FIXED_OCTETS or packet[1] != 0:
        raise MalformedError("shorter than a router advertisement, or of another code")
    prefixes = set()
    options = packet[FIXED_OCTETS:]
    while options:
        size = 8 * options[1] if len(options) > 1 else 0
        if not 0 < size <= len(options):
            raise MalformedError("option runs past the end, or has no length")
        if options[0] == OPTION_PREFIX_INFORMATION and size == _PREFIX_INFORMATION.size:
            _, _, length, flags, valid_s, preferred_s, octets = _PREFIX_INFORMATION.unpack(
                options[:size]
            )
            if flags & PREFIX_AUTONOMOUS and valid_s and preferred_s and length <= 128:
                prefixes.add(IPv6Network((octets, length), strict=False))
        options = options[size:]
    return frozenset(prefixes)
