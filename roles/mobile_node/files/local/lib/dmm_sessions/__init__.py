"""RFC 8653 for applications on a mobile node: which kind of address a socket is to have.

    import dmm_sessions
    from dmm_sessions import AddressType

    with dmm_sessions.create_connection(("server.example", 443), AddressType.FIXED) as sock:
        ...

Python's standard library suffices. `dmm-run` does the same for programs that know nothing of it.
"""

from dmm_sessions.address_type import AddressType, AddressTypeError
from dmm_sessions.sockets import address_of, create_connection, create_server, prefer

__all__ = [
    "AddressType",
    "AddressTypeError",
    "address_of",
    "create_connection",
    "create_server",
    "prefer",
]
