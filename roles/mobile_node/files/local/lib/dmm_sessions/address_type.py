"""The four types of addresses, and how a socket shows its own to who keeps addresses alive."""

from __future__ import annotations

import errno
from enum import Enum


class AddressType(Enum):
    """How long a socket's address lasts (RFC 8653, section 3.2)."""

    FIXED = "fixed"
    """The same for a very long time, wherever the node is: for servers and published names."""
    SESSION_LASTING = "session-lasting"
    """Of the present network, and kept as long as the socket lives; so it is by default."""
    NON_PERSISTENT = "non-persistent"
    """Of the present network, and lost when the node leaves it."""
    GRACEFUL_REPLACEMENT = "graceful-replacement"
    """Of the present network, and kept for a while when the node leaves it."""

    @property
    def priority(self) -> int:
        """The SO_PRIORITY that marks a socket.

        It needs no privilege, stays with the socket whoever holds it, and sock_diag shows it.
        3 and 5 have no name in linux/pkt_sched.h, and no IPv4 type of service maps to them.
        """
        return {AddressType.NON_PERSISTENT: 3, AddressType.GRACEFUL_REPLACEMENT: 5}.get(self, 0)


class AddressTypeError(OSError):
    """A socket cannot have the type of address asked for; the sentence says what to do."""

    def __init__(self, sentence: str) -> None:
        super().__init__(errno.EADDRNOTAVAIL, sentence)

    def __str__(self) -> str:
        return str(self.strerror)
