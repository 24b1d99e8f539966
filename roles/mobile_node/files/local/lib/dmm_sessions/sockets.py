"""Sockets with a type of address: what applications call."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from dmm_sessions.address_type import AddressType, AddressTypeError
from dmm_sessions.addresses import fixed_address, present_address

if TYPE_CHECKING:
    from ipaddress import IPv6Address

IP_BIND_ADDRESS_NO_PORT = 24
"""The port is chosen when the socket is connected, so that as many sessions can be had as without
bind(2). Not in Python's `socket` before 3.12."""


def address_of(address_type: AddressType) -> IPv6Address:
    """The address that a socket of this type gets at this moment.

    Raises:
        AddressTypeError: the node has none.
    """
    if address_type is AddressType.FIXED:
        return fixed_address()
    return present_address()


def prefer(sock: socket.socket, address_type: AddressType) -> None:
    """Give an IPv6 socket an address of this type: before it is bound or connected.

    Between the types other than FIXED a socket can change at any time, also in a session.

    Raises:
        AddressTypeError: the node has no such address, or it is too late.
        OSError: the kernel refuses.
    """
    if sock.family != socket.AF_INET6:
        raise AddressTypeError("only IPv6 sockets have a type of address: use AF_INET6")
    address = address_of(address_type)
    if address_type is AddressType.FIXED and not is_bound_to(sock, address):
        if sock.getsockname()[1]:
            raise AddressTypeError(
                "the socket has an address already: ask for a fixed one before bind() and connect()"
            )
        bind_without_port(sock, address)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, address_type.priority)


def create_connection(
    address: tuple[str, int],
    address_type: AddressType = AddressType.SESSION_LASTING,
    timeout_s: float | None = None,
) -> socket.socket:
    """A TCP session with (host, port) over IPv6, as `socket.create_connection` makes one.

    Raises:
        AddressTypeError: the node has no such address.
        OSError: no address of the host answers, or it has none.
    """
    host, port = address
    refused: OSError | None = None
    for *_, target in socket.getaddrinfo(host, port, socket.AF_INET6, socket.SOCK_STREAM):
        sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        try:
            prefer(sock, address_type)
            sock.settimeout(timeout_s)
            sock.connect(target)
        except OSError as error:
            sock.close()
            if isinstance(error, AddressTypeError):
                raise
            refused = error
        else:
            return sock
    assert refused is not None  # getaddrinfo gives an address, or an error of its own
    raise refused


def create_server(
    port: int, address_type: AddressType = AddressType.FIXED, *, backlog: int = 128
) -> socket.socket:
    """A TCP server at an address of this type; what it accepts has the same type while it listens.

    Raises:
        AddressTypeError: the node has no such address.
        OSError: the kernel refuses, for example because the port is taken.
    """
    address = str(address_of(address_type))
    server = socket.create_server((address, port), family=socket.AF_INET6, backlog=backlog)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, address_type.priority)
    return server


def is_bound_to(sock: socket.socket, address: IPv6Address) -> bool:
    """Whether this is the socket's local address."""
    own: str = sock.getsockname()[0]
    return own == str(address)


def bind_without_port(sock: socket.socket, address: IPv6Address) -> None:
    """Bind a socket to an address, and let connect(2) choose the port.

    Raises:
        OSError: the kernel refuses.
    """
    sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    sock.bind((str(address), 0))
