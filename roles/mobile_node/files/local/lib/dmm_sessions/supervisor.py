"""Gives the sockets of another program their type of address, when they are bound or connected.

It holds the listener of the program's seccomp filter. A call that waits has its socket taken
(pidfd_getfd(2)), bound or marked here, and then goes on in the kernel as the program made it.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import select
import socket
import struct
from ipaddress import IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING

from dmm_sessions import seccomp
from dmm_sessions.address_type import AddressType, AddressTypeError
from dmm_sessions.addresses import fixed_address
from dmm_sessions.sockets import bind_without_port

if TYPE_CHECKING:
    from dmm_sessions.seccomp import Call

CONNECTING = frozenset({"connect", "bind"})
SENDING = frozenset({"sendto", "sendmsg", "sendmmsg"})
CALLS = {
    AddressType.FIXED: CONNECTING | SENDING,
    AddressType.SESSION_LASTING: frozenset[str](),
    AddressType.NON_PERSISTENT: CONNECTING,
    AddressType.GRACEFUL_REPLACEMENT: CONNECTING,
}
"""What must be seen of a program to give its sockets a type of address."""

SOCKADDR_IN6 = struct.Struct("=H2s4x16s")
"""Up to the scope, which the kernel does not ask for."""
MESSAGE_NAME = struct.Struct("@PI")
"""The first two fields of struct msghdr."""


def supervise(listener: int, address_type: AddressType) -> None:
    """Answer calls until the last process that makes them has ended."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    while True:
        ((_, event),) = poll.poll()
        if not event & select.POLLIN:
            return
        call = seccomp.receive(listener)
        if call is not None:
            _answer(listener, call, address_type)


def _answer(listener: int, call: Call, address_type: AddressType) -> None:
    try:
        if _settle(listener, call, address_type):
            seccomp.done(listener, call)
        else:
            seccomp.go_on(listener, call)
    except AddressTypeError:
        seccomp.done(listener, call, errno.EADDRNOTAVAIL)
    except OSError as error:
        seccomp.done(listener, call, error.errno or errno.EIO)


def _settle(listener: int, call: Call, address_type: AddressType) -> bool:
    """Do to the call's socket what its type asks for; whether the call is done with that."""
    with _socket_of(call) as sock:
        if sock.family != socket.AF_INET6:
            return False
        if address_type is not AddressType.FIXED:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, address_type.priority)
            return False
        if sock.getsockname()[1] or sock.getsockname()[0] != "::":
            return False  # it has chosen itself, or been here before
        target = _target(call)
        if target is None or not seccomp.still_waits(listener, call):
            return False
        address, port = target
        if call.name == "bind":
            if not address.is_unspecified:
                return False
            sock.bind((str(fixed_address()), port))
            return True
        if _is_global(address):
            bind_without_port(sock, fixed_address())
        return False


def _socket_of(call: Call) -> socket.socket:
    """The socket that a call is about.

    Raises:
        OSError: it is none, or its process is gone.
    """
    number = call.arguments[0] & 0xFFFFFFFF
    descriptor = seccomp.descriptor_of(_process_of(call.thread), number)
    try:
        return socket.socket(fileno=descriptor)
    except OSError:
        os.close(descriptor)
        raise


def _process_of(thread: int) -> int:
    for line in Path(f"/proc/{thread}/status").read_bytes().splitlines():
        name, _, value = line.partition(b":")
        if name == b"Tgid":
            return int(value)
    raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))


def _target(call: Call) -> tuple[IPv6Address, int] | None:
    """The IPv6 address and port that a call names."""
    memory = os.open(f"/proc/{call.thread}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if call.name in ("sendmsg", "sendmmsg"):
            at, length = MESSAGE_NAME.unpack(_read(memory, call.arguments[1], MESSAGE_NAME.size))
        elif call.name == "sendto":
            at, length = call.arguments[4:6]
        else:
            at, length = call.arguments[1:3]
        if not at or length < SOCKADDR_IN6.size:
            return None
        octets = _read(memory, at, SOCKADDR_IN6.size)
    finally:
        os.close(memory)
    family, port, address = SOCKADDR_IN6.unpack(octets)
    if family != socket.AF_INET6:
        return None
    return ipaddress.IPv6Address(address), int.from_bytes(port, "big")


def _read(memory: int, at: int, length: int) -> bytes:
    octets = os.pread(memory, length, at)
    if len(octets) < length:
        raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))
    return octets


def _is_global(address: IPv6Address) -> bool:
    """Whether a packet to it needs a source that a network gave."""
    return not (
        address.is_unspecified
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.ipv4_mapped is not None
    )
