"""Messages around Proxy Mobile IPv6: liveness, revocation, local routing, notification.

RFC 5847, 5846, 6705 and 7077. The proxy's own binding messages are those of `mip6`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dmm_agent.wire.layout import (
    Layout,
    constant,
    flag_bits,
    named,
    reserved,
    unsigned,
)
from dmm_agent.wire.message import Message, mobility_message

if TYPE_CHECKING:
    from dmm_agent.wire.option import Option

INFINITE_LIFETIME_S = 0xFFFF
"""Lifetime of localized routing that does not end (RFC 6705, 10.1)."""


class HeartbeatFlag(enum.IntFlag):
    """Flags of a Heartbeat (RFC 5847, 3.3)."""

    UNSOLICITED = 0x0002
    """U: sent after a restart, not as an answer."""
    RESPONSE = 0x0001
    """R."""


@mobility_message
@dataclass(frozen=True, slots=True)
class Heartbeat(Message):
    """Are you there; and the answer (RFC 5847, 3.3)."""

    sequence: int
    """32 bits, unlike that of most messages."""
    flags: HeartbeatFlag
    options: tuple[Option, ...] = ()

    mh_type: ClassVar[int] = 13
    body: ClassVar[Layout] = Layout(flag_bits("flags", 2, HeartbeatFlag), unsigned("sequence", 4))


class RevocationTrigger(enum.IntEnum):
    """Why a binding is revoked (RFC 5846, 5.1)."""

    UNSPECIFIED = 0
    ADMINISTRATIVE = 1
    INTER_MAG_HANDOVER_SAME_ACCESS_TYPE = 2
    INTER_MAG_HANDOVER_DIFFERENT_ACCESS_TYPE = 3
    INTER_MAG_HANDOVER_UNKNOWN = 4
    USER_INITIATED_SESSION_TERMINATION = 5
    ACCESS_NETWORK_SESSION_TERMINATION = 6
    POSSIBLE_OUT_OF_SYNC_BCE_STATE = 7
    PER_PEER_POLICY = 128
    REVOKING_MOBILITY_NODE_LOCAL_POLICY = 129


class RevocationStatus(enum.IntEnum):
    """What became of a revocation (RFC 5846, 5.2); below 128 it succeeded."""

    SUCCESS = 0
    PARTIAL_SUCCESS = 1
    BINDING_DOES_NOT_EXIST = 128
    IPV4_HOME_ADDRESS_OPTION_REQUIRED = 129
    GLOBAL_REVOCATION_NOT_AUTHORIZED = 130
    REVOKED_MOBILE_NODE_IDENTITY_REQUIRED = 131
    REVOCATION_FAILED_MN_IS_ATTACHED = 132
    REVOCATION_TRIGGER_NOT_SUPPORTED = 133
    REVOCATION_FUNCTION_NOT_SUPPORTED = 134
    PROXY_BINDING_REVOCATION_NOT_SUPPORTED = 135


class RevocationFlag(enum.IntFlag):
    """Flags of both revocation messages (RFC 5846, 5.1)."""

    PROXY = 0x8000
    """P."""
    IPV4_HOME_ADDRESS_ONLY = 0x4000
    """V."""
    GLOBAL = 0x2000
    """G."""


@mobility_message
@dataclass(frozen=True, slots=True)
class BindingRevocationIndication(Message):
    """Ends bindings from the network's side (RFC 5846, 5.1)."""

    trigger: int
    """A `RevocationTrigger` where it has a name."""
    sequence: int
    flags: RevocationFlag
    options: tuple[Option, ...] = ()

    mh_type: ClassVar[int] = 16
    kind: ClassVar[int] = 1
    body: ClassVar[Layout] = Layout(
        constant(1),
        named("trigger", 1, RevocationTrigger),
        unsigned("sequence", 2),
        flag_bits("flags", 2, RevocationFlag),
    )


@mobility_message
@dataclass(frozen=True, slots=True)
class BindingRevocationAcknowledgement(Message):
    """Answers a Binding Revocation Indication (RFC 5846, 5.2)."""

    status: int
    """A `RevocationStatus` where it has a name."""
    sequence: int
    flags: RevocationFlag
    options: tuple[Option, ...] = ()

    mh_type: ClassVar[int] = 16
    kind: ClassVar[int] = 2
    body: ClassVar[Layout] = Layout(
        constant(2),
        named("status", 1, RevocationStatus),
        unsigned("sequence", 2),
        flag_bits("flags", 2, RevocationFlag),
    )


@mobility_message
@dataclass(frozen=True, slots=True)
class LocalizedRoutingInitiation(Message):
    """Asks a MAG to route between two mobile nodes past the anchor (RFC 6705, 10.1)."""

    sequence: int
    lifetime_s: int
    """In seconds; 0 ends it, `INFINITE_LIFETIME_S` never does."""
    options: tuple[Option, ...] = ()

    mh_type: ClassVar[int] = 17
    body: ClassVar[Layout] = Layout(unsigned("sequence", 2), reserved(2), unsigned("lifetime_s", 2))


class LocalizedRoutingFlag(enum.IntFlag):
    """Flags of a Localized Routing Acknowledgement (RFC 6705, 10.2)."""

    UNSOLICITED = 0x80
    """U: no answer, but a request for a new lifetime."""


class LocalizedRoutingStatus(enum.IntEnum):
    """What became of localized routing (RFC 6705, 10.2)."""

    SUCCESS = 0
    NOT_ALLOWED = 128
    MN_NOT_ATTACHED = 129


@mobility_message
@dataclass(frozen=True, slots=True)
class LocalizedRoutingAcknowledgement(Message):
    """Answers a Localized Routing Initiation (RFC 6705, 10.2)."""

    status: int
    """A `LocalizedRoutingStatus` where it has a name."""
    sequence: int
    lifetime_s: int
    flags: LocalizedRoutingFlag
    options: tuple[Option, ...] = ()

    mh_type: ClassVar[int] = 18
    body: ClassVar[Layout] = Layout(
        unsigned("sequence", 2),
        flag_bits("flags", 1, LocalizedRoutingFlag),
        named("status", 1, LocalizedRoutingStatus),
        unsigned("lifetime_s", 2),
    )


class UpdateReason(enum.IntEnum):
    """Why an anchor notifies (RFC 7077, 4.1; 5 RFC 7222, 8 RFC 7864)."""

    FORCE_REREGISTRATION = 1
    UPDATE_SESSION_PARAMETERS = 2
    VENDOR_SPECIFIC_REASON = 3
    ANI_PARAMS_REQUESTED = 4
    QOS_SERVICE_REQUEST = 5
    FLOW_MOBILITY = 8


class UpdateStatus(enum.IntEnum):
    """What became of a notification (RFC 7077, 4.2; 130 RFC 7222, 131 and 132 RFC 7864)."""

    SUCCESS = 0
    FAILED_TO_UPDATE_SESSION_PARAMETERS = 128
    MISSING_VENDOR_SPECIFIC_OPTION = 129
    CANNOT_MEET_QOS_SERVICE_REQUEST = 130
    REASON_UNSPECIFIED = 131
    MN_NOT_ATTACHED = 132


class UpdateNotificationFlag(enum.IntFlag):
    """Flags of an Update Notification (RFC 7077, 4.1)."""

    ACKNOWLEDGE = 0x8000
    """A: an answer is wanted."""
    RETRANSMISSION = 0x4000
    """D."""


@mobility_message
@dataclass(frozen=True, slots=True)
class UpdateNotification(Message):
    """Tells a MAG that something about a session has changed (RFC 7077, 4.1)."""

    sequence: int
    reason: int
    """An `UpdateReason` where it has a name."""
    flags: UpdateNotificationFlag
    options: tuple[Option, ...] = ()

    mh_type: ClassVar[int] = 19
    body: ClassVar[Layout] = Layout(
        unsigned("sequence", 2),
        named("reason", 2, UpdateReason),
        flag_bits("flags", 2, UpdateNotificationFlag),
    )


@mobility_message
@dataclass(frozen=True, slots=True)
class UpdateNotificationAcknowledgement(Message):
    """Answers an Update Notification (RFC 7077, 4.2)."""

    sequence: int
    status: int
    """An `UpdateStatus` where it has a name."""
    options: tuple[Option, ...] = ()

    mh_type: ClassVar[int] = 20
    body: ClassVar[Layout] = Layout(
        unsigned("sequence", 2), named("status", 1, UpdateStatus), reserved(3)
    )
