"""The TUN device through which packets leave the kernel to wait, and come back (draft, 7: hold).

It lives as long as the agent: without one, routes through it are gone, and packets pass.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from dmm_agent.dataplane.held_packets import HeldPackets
from dmm_agent.dataplane.tunnels import DataplaneError
from dmm_agent.functions.events import Held
from dmm_agent.functions.prefix import hnp_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv6Network

    from dmm_agent.functions.base import HoldLimits
    from dmm_agent.runtime.counters import Counters

NAME = "dmm-hold0"
TUN = "/dev/net/tun"
LARGEST_PACKET = 65_535
AT_ONCE = 256
"""Most packets read before the agent looks at something else."""

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_ADDRESSES = slice(8, 24), slice(24, 40)
_HEADER_OCTETS = 40


class HoldDevice:
    """Holds what the kernel routes to it until `release`."""

    def __init__(self, limits: HoldLimits, counters: Counters) -> None:
        """Open the device.

        Raises:
            DataplaneError: this host has no TUN devices, or the name is taken.
        """
        self._held = HeldPackets(limits)
        self._counters = counters
        try:
            self._file = os.open(TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise DataplaneError(
                f"cannot open {TUN} ({error.strerror}), which `while_resolving: hold` needs"
            ) from error
        try:
            request = struct.pack("16sH22x", NAME.encode(), _IFF_TUN | _IFF_NO_PI)
            fcntl.ioctl(self._file, _TUNSETIFF, request)
            self.index = socket.if_nametoindex(NAME)
        except OSError as error:
            os.close(self._file)
            raise DataplaneError(f"cannot make {NAME}: {error.strerror}") from error

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._file

    def close(self) -> None:
        """Take the device away, and what it holds."""
        os.close(self._file)

    def read(self, now: float) -> Iterator[Held]:
        """Take packets from the kernel; tells of the first one of each destination prefix."""
        self._count("dropped: too old", self._held.expire(now))
        for _ in range(AT_ONCE):
            try:
                packet = os.read(self._file, LARGEST_PACKET)
            except BlockingIOError:
                return
            if len(packet) < _HEADER_OCTETS:
                continue
            source, destination = (IPv6Address(packet[part]) for part in _ADDRESSES)
            if destination.is_multicast:
                continue  # the kernel's own, about the device
            prefix = hnp_of(destination)
            first = prefix not in self._held
            if not self._held.keep(prefix, packet, now):
                self._count("dropped: no room")
                continue
            self._count("kept")
            if first:
                yield Held(source, destination)

    def release(self, prefix: IPv6Network) -> None:
        """Give the packets of a prefix back to the kernel, which routes them as it does by now."""
        for packet in self._held.take(prefix):
            try:
                os.write(self._file, packet)
            except OSError:
                self._count("dropped: the kernel did not take it")
            else:
                self._count("released")

    def _count(self, what: str, times: int = 1) -> None:
        if times:
            self._counters.count("held", what, times)
