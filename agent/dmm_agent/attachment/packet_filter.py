"""The socket filter that lets only signs of a node through (classic BPF, over the IPv6 packet).

What a node says to the router itself in a Mobility Header is one of them.
"""

from __future__ import annotations

import ctypes
import struct
from typing import TYPE_CHECKING

from dmm_agent.attachment.icmpv6 import (
    MLD_REPORT,
    MLD_REPORT_V2,
    NEIGHBOR_ADVERTISEMENT,
    NEIGHBOR_SOLICITATION,
    NEXT_HEADER_HOP_BY_HOP,
    NEXT_HEADER_ICMPV6,
    ROUTER_LINK_LOCAL,
    ROUTER_SOLICITATION,
)
from dmm_agent.wire import NEXT_HEADER as NEXT_HEADER_MOBILITY

if TYPE_CHECKING:
    import socket

SO_ATTACH_FILTER = 26

_LOAD_OCTET = 0x30
_LOAD_WORD = 0x20
_JUMP_IF_EQUAL = 0x15
_RETURN = 0x06
_WHOLE_PACKET = 0xFFFF

_NEXT_HEADER_AT = 6
_DESTINATION_END_AT = 36
_PAYLOAD_AT = 40
_AFTER_HOP_BY_HOP_AT = 48

_DROP, _ACCEPT = "drop", "accept"


def _program() -> list[tuple[int, int, str, str]]:
    """Instructions as (code, constant, label if equal, label if not); a label "" is the next."""
    test, load = _JUMP_IF_EQUAL, _LOAD_OCTET
    router = int(ROUTER_LINK_LOCAL) & 0xFFFFFFFF
    return [
        (load, _NEXT_HEADER_AT, "", ""),
        (test, NEXT_HEADER_ICMPV6, "discovery", ""),
        (test, NEXT_HEADER_MOBILITY, "", "options"),
        (_LOAD_WORD, _DESTINATION_END_AT, "", ""),
        (test, router, _ACCEPT, _DROP),
        (test, NEXT_HEADER_HOP_BY_HOP, "", _DROP),
        (load, _PAYLOAD_AT, "", ""),
        (test, NEXT_HEADER_ICMPV6, "", _DROP),
        (load, _PAYLOAD_AT + 1, "", ""),
        (test, 0, "", _DROP),
        (load, _AFTER_HOP_BY_HOP_AT, "", ""),
        (test, MLD_REPORT, _ACCEPT, ""),
        (test, MLD_REPORT_V2, _ACCEPT, _DROP),
        (load, _PAYLOAD_AT, "", ""),
        (test, ROUTER_SOLICITATION, _ACCEPT, ""),
        (test, NEIGHBOR_SOLICITATION, _ACCEPT, ""),
        (test, NEIGHBOR_ADVERTISEMENT, _ACCEPT, _DROP),
        (_RETURN, 0, "", ""),
        (_RETURN, _WHOLE_PACKET, "", ""),
    ]


def assemble() -> bytes:
    """The filter as the kernel takes it: what nodes say by neighbour discovery, MLD and to us."""
    program = _program()
    labels = {"options": 5, "discovery": 13, _DROP: len(program) - 2, _ACCEPT: len(program) - 1}

    def distance(label: str, at: int) -> int:
        return labels[label] - at - 1 if label else 0

    return b"".join(
        struct.pack("=HBBI", code, distance(equal, at), distance(other, at), constant)
        for at, (code, constant, equal, other) in enumerate(program)
    )


def attach(listener: socket.socket) -> None:
    """Put the filter on a packet socket."""
    instructions = assemble()
    buffer = ctypes.create_string_buffer(instructions, len(instructions))
    description = struct.pack("@HP", len(instructions) // 8, ctypes.addressof(buffer))
    listener.setsockopt(_SOL_SOCKET, SO_ATTACH_FILTER, description)


_SOL_SOCKET = 1
