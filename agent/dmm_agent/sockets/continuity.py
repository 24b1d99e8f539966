"""Which addresses of this host have sessions that break without them (draft, section 5)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from dmm_agent.sockets.sock_diag import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dmm_agent.config import Flow
    from dmm_agent.sockets.sock_diag import Socket


UNSPECIFIED = IPv6Address("::")

NON_PERSISTENT_PRIORITY, GRACEFUL_REPLACEMENT_PRIORITY = 3, 5
"""SO_PRIORITY of sockets that are content to end when the node moves, at once or after a while
(RFC 8653, 3.2). Applications set it by the library `dmm_sessions`, others are started by `dmm-run`.
"""


@dataclass(frozen=True, slots=True)
class InUse:
    """The global addresses that sockets of this host need."""

    addresses: frozenset[IPv6Address] = frozenset()
    """Needed as long as the sockets live."""
    replaceable: frozenset[IPv6Address] = frozenset()
    """Needed by other sockets, which can do without a while after the address is deprecated."""

    def __or__(self, other: InUse) -> InUse:
        return InUse(self.addresses | other.addresses, self.replaceable | other.replaceable)

    def __ge__(self, other: InUse) -> bool:
        return self | other == self

    def __contains__(self, address: IPv6Address) -> bool:
        return address in self.addresses or address in self.replaceable


def addresses_in_use(sockets: Iterable[Socket], declined: Sequence[Flow] = ()) -> InUse:
    """The global addresses that sockets need: of sessions, and of servers bound to one.

    Args:
        sockets: listening ones before those that they accepted, as the kernel lists them.
        declined: sessions that do not count.
    """
    listening: dict[tuple[IPv6Address, int], Socket] = {}
    lasting: set[IPv6Address] = set()
    replaceable: set[IPv6Address] = set()
    for found in sockets:
        if found.state is State.LISTENING:
            listening[found.local, found.local_port] = found
        if not needs_its_address(found, declined):
            continue
        priorities = _priorities(found, listening)
        if GRACEFUL_REPLACEMENT_PRIORITY in priorities:
            replaceable.add(found.local)
        elif NON_PERSISTENT_PRIORITY not in priorities:
            lasting.add(found.local)
    return InUse(frozenset(lasting), frozenset(replaceable))


def needs_its_address(found: Socket, declined: Sequence[Flow] = ()) -> bool:
    """Whether a socket is lost when its address is.

    A socket that has an address is a session (TCP from its first segment on, UDP once it is
    connected) or was bound to this very address, a server for instance.
    """
    if not _is_global(found.local) or found.state is State.TIME_WAIT or _ended_meanwhile(found):
        return False
    # Our side is closed, all of it has arrived, and no process is there to take what may come.
    if found.state is State.FIN_WAIT_2 and not found.inode:
        return False
    return not any(
        (found.protocol, found.remote_port) == (flow.protocol, flow.port) for flow in declined
    )


def _ended_meanwhile(found: Socket) -> bool:
    """Whether it ended between being found by the kernel and being told of."""
    closed = found.protocol == "tcp" and found.state is State.CLOSED
    return closed or not found.local_port


def _priorities(found: Socket, listening: Mapping[tuple[IPv6Address, int], Socket]) -> set[int]:
    """Its own, and that of the server that accepted it: the kernel does not pass them on."""
    servers = (listening.get((a, found.local_port)) for a in (found.local, UNSPECIFIED))
    accepted_by = (s for s in servers if s is not None and s.protocol == found.protocol)
    return {found.priority, *(server.priority for server in accepted_by)}


def _is_global(address: IPv6Address) -> bool:
    """Of global scope (RFC 4007), so that a network gave it; IPv4 in disguise is not."""
    return not (
        address.is_unspecified
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.ipv4_mapped is not None
    )
