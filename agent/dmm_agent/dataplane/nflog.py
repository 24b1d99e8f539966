"""Reads the packets that nftables logs to a group (NETLINK_NETFILTER), a sample at a time."""

from __future__ import annotations

import logging
import os
import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from dmm_agent.dataplane.netlink import (
    NETLINK_NETFILTER,
    NLM_F_ACK,
    NLM_F_REQUEST,
    NLMSG_ERROR,
    attribute,
    attributes,
    messages,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

log = logging.getLogger(__name__)

NFNL_SUBSYS_ULOG = 4
NFULNL_MSG_PACKET, NFULNL_MSG_CONFIG = 0, 1
NFULA_CFG_CMD, NFULA_CFG_MODE, NFULA_CFG_QTHRESH = 1, 2, 5
NFULNL_CFG_CMD_BIND = 1
NFULNL_COPY_PACKET = 2
NFULA_IFINDEX_INDEV, NFULA_HWADDR, NFULA_PAYLOAD = 4, 8, 9

IPV6_HEADER_BYTES = 40
IP_PROTOCOL_IPV6 = 41
RECEIVE_SIZE = 1 << 16
READ_AT_ONCE = 64
"""Most datagrams taken in one go, so that a flood leaves the agent time for the rest."""

_FAMILY_HEADER = struct.Struct("!BBH")


@dataclass(frozen=True, slots=True)
class Sample:
    """One logged packet."""

    group: int
    interface: int
    """Index of the interface it came in by."""
    link_layer: str
    """The sender's MAC address, empty if the link has none."""
    source: IPv6Address
    destination: IPv6Address
    packet: bytes = b""
    """As much of it as was asked for."""
    inner: tuple[IPv6Address, IPv6Address] | None = None
    """Source and destination of the packet inside, if this one is a tunnel (RFC 2473)."""


class NflogError(Exception):
    """The kernel does not give us a log group."""


class Nflog:
    """A non-blocking reader of NFLOG groups."""

    def __init__(self, groups: Iterable[int], octets: int = 2 * IPV6_HEADER_BYTES) -> None:
        """Bind to the groups.

        Args:
            groups: Their numbers.
            octets: How much to get of each packet: the IPv6 header and that of a packet inside, if
                left out.

        Raises:
            NflogError: a group is taken, or the kernel has no NFLOG.
        """
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER
        )
        try:
            self._socket.bind((0, 0))
            self._socket.settimeout(5.0)
            for group in groups:
                self._bind_group(group, octets)
            self._socket.setblocking(False)
        except BaseException:
            self._socket.close()
            raise

    def _bind_group(self, group: int, octets: int) -> None:
        bind = attribute(NFULA_CFG_CMD, bytes([NFULNL_CFG_CMD_BIND]))
        # One packet a message, or the kernel collects for a second.
        rest = attribute(NFULA_CFG_MODE, struct.pack("!IBB", octets, NFULNL_COPY_PACKET, 0))
        rest += attribute(NFULA_CFG_QTHRESH, struct.pack("!I", 1))
        for settings in (bind, rest):
            error = self._configure(group, settings)
            if error:
                raise NflogError(
                    f"cannot read NFLOG group {group}: {error}; is another agent running here, "
                    "or does the kernel lack CONFIG_NETFILTER_NETLINK_LOG?"
                )

    def _configure(self, group: int, settings: bytes) -> str:
        body = _FAMILY_HEADER.pack(socket.AF_UNSPEC, 0, group) + settings
        kind = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG
        header = struct.pack("=IHHII", 16 + len(body), kind, NLM_F_REQUEST | NLM_F_ACK, 0, 0)
        try:
            self._socket.send(header + body)
            for answer, _flags, _sequence, answered in messages(self._socket.recv(RECEIVE_SIZE)):
                if answer == NLMSG_ERROR:
                    (code,) = struct.unpack_from("=i", answered)
                    return os.strerror(-code) if code else ""
        except OSError as error:
            return str(error)
        return ""

    def fileno(self) -> int:
        """For the event loop."""
        return self._socket.fileno()

    def close(self) -> None:
        """Give the groups back."""
        self._socket.close()

    def read(self) -> Iterator[Sample]:
        """What has been logged since; broken messages are passed over."""
        for _ in range(READ_AT_ONCE):
            try:
                data = self._socket.recv(RECEIVE_SIZE)
            except BlockingIOError:
                return
            except OSError as error:
                # ENOBUFS: the kernel dropped samples because we were slow; more will come.
                log.warning("NFLOG samples lost", extra={"fields": {"reason": str(error)}})
                return
            for kind, _flags, _sequence, body in messages(data):
                sample = parse(kind, body)
                if sample is not None:
                    yield sample


def parse(kind: int, body: bytes) -> Sample | None:
    """A sample from a netlink message, or None if it is not a logged IPv6 packet."""
    if kind != NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET or len(body) < _FAMILY_HEADER.size:
        return None
    _family, _version, group = _FAMILY_HEADER.unpack_from(body)
    found = attributes(body[_FAMILY_HEADER.size :])
    payload = found.get(NFULA_PAYLOAD, b"")
    if len(payload) < IPV6_HEADER_BYTES or payload[0] >> 4 != 6:
        return None
    return Sample(
        group=group,
        interface=int.from_bytes(found.get(NFULA_IFINDEX_INDEV, b""), "big"),
        link_layer=_link_layer(found.get(NFULA_HWADDR, b"")),
        source=IPv6Address(payload[8:24]),
        destination=IPv6Address(payload[24:40]),
        packet=payload,
        inner=_ends(payload[40:80]) if payload[6] == IP_PROTOCOL_IPV6 else None,
    )


def _ends(header: bytes) -> tuple[IPv6Address, IPv6Address] | None:
    """Source and destination in an IPv6 header, if there is all of it."""
    if len(header) < IPV6_HEADER_BYTES:
        return None
    return IPv6Address(header[8:24]), IPv6Address(header[24:40])


def _link_layer(field: bytes) -> str:
    if len(field) < 4:
        return ""
    length = int.from_bytes(field[:2], "big")
    return field[4 : 4 + length].hex(":")
