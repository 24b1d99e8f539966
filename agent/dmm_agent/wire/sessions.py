"""Session report and acknowledgement: this testbed's own messages, in the type for experiments.

A mobile node tells its access router which of its prefixes sessions use (draft, 4.4 and 5:
mobility support only where a session needs it). No RFC has a message for that. `docs/wire.md` draws
these two; RFC 5096 is the type.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dmm_agent.wire.layout import Layout, constant, one_of, reserved, unsigned
from dmm_agent.wire.message import EXPERIMENTAL, Message, mobility_message

if TYPE_CHECKING:
    from dmm_agent.wire.option import Option


class ReportStatus(enum.IntEnum):
    """What an access router makes of a report; from 128 on nothing of it has been taken."""

    ACCEPTED = 0
    NOT_ATTACHED = 128
    """It does not know the node on this link (yet): show yourself, then report again."""
    TOO_MANY = 129
    """More prefixes than it serves for a node."""


@mobility_message
@dataclass(frozen=True, slots=True)
class SessionReport(Message):
    """The sender's prefixes in use that need continuity, all of them.

    Each is a `HomeNetworkPrefix` option; without any, no session of the node needs mobility.
    """

    sequence: int
    """Newer by serial number arithmetic (RFC 1982) than what the node said before."""
    lifetime_s: int
    """For how long it holds unless another one follows, in seconds."""
    options: tuple[Option, ...] = ()

    mh_type: ClassVar[int] = EXPERIMENTAL
    kind: ClassVar[int] = 3
    body: ClassVar[Layout] = Layout(
        constant(3), reserved(1), unsigned("sequence", 2), unsigned("lifetime_s", 2)
    )


@mobility_message
@dataclass(frozen=True, slots=True)
class SessionReportAcknowledgement(Message):
    """Answers a `SessionReport`."""

    status: ReportStatus
    sequence: int
    """Copied from the report."""
    options: tuple[Option, ...] = ()

    mh_type: ClassVar[int] = EXPERIMENTAL
    kind: ClassVar[int] = 4
    body: ClassVar[Layout] = Layout(
        constant(4), one_of("status", 1, ReportStatus), unsigned("sequence", 2), reserved(2)
    )
