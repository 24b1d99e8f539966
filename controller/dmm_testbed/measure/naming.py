"""Short names of Mobility Header messages, and what they say, for tables and sequence charts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmm_agent import wire

if TYPE_CHECKING:
    from collections.abc import Iterator

_TYPE_OFFSET = 2
_MIN_BYTES = 8

_NAMES = {
    0: "BRR", 1: "HoTI", 2: "CoTI", 3: "HoT", 4: "CoT", 5: "BU", 6: "BA", 7: "BE",
    8: "FBU", 9: "FBack", 10: "FNA", 11: "Experimental", 12: "Home Agent Switch",
    13: "Heartbeat", 14: "HI", 15: "HAck", 16: "Binding Revocation", 17: "LRI", 18: "LRA",
    19: "UPN", 20: "UPA", 21: "Flow Binding", 22: "Subscription Query",
    23: "Subscription Response",
}  # fmt: skip
"""By MH type (IANA, Mobility Header Types); abbreviations as in the RFCs."""

_BY_CLASS = {
    wire.BindingRevocationIndication: "BRI",
    wire.BindingRevocationAcknowledgement: "BRA",
    wire.LocationQuery: "Query",
    wire.LocationAnswer: "Answer",
    wire.SessionReport: "Report",
    wire.SessionReportAcknowledgement: "Report Ack",
}


def message_name(mobility: bytes) -> str:
    """The short name of a message, from its Mobility Header on; proxy updates are PBU and PBA."""
    if len(mobility) < _MIN_BYTES:
        return "cut off"
    mh_type = mobility[_TYPE_OFFSET]
    flags = int.from_bytes(mobility[8:10], "big")
    if mh_type == 5 and flags & wire.BindingUpdateFlag.PROXY:
        return "PBU"
    if mh_type == 6 and mobility[7] & wire.BindingAckFlag.PROXY:
        return "PBA"
    message = decoded(mobility)
    return _BY_CLASS.get(type(message), _NAMES.get(mh_type, f"MH type {mh_type}"))


def message_detail(message: wire.Message | None) -> str:
    """What a message says in a few words; empty if it cannot be read."""
    return ", ".join(_facts(message)) if message is not None else ""


def _facts(message: wire.Message) -> Iterator[str]:
    sequence = getattr(message, "sequence", None)
    if sequence is not None:
        yield f"seq {sequence}"
    status = getattr(message, "status", None)
    if status is not None:
        yield f"status {getattr(status, 'name', status)}".lower().replace("_", " ")
    lifetime_s = getattr(message, "lifetime_s", None)
    if lifetime_s is not None:
        yield f"lifetime {lifetime_s} s"
    prefixes = [option.prefix for option in message.every(wire.HomeNetworkPrefix)]
    yield from (str(prefix) for prefix in prefixes if prefix.prefixlen)


def decoded(mobility: bytes) -> wire.Message | None:
    """The message, from its Mobility Header on; None if it cannot be read."""
    try:
        return wire.decode(mobility)
    except wire.WireError:
        return None
