"""Location query and answer: this testbed's own messages, in the type for experiments (RFC 5096).

No RFC has a message by which one location manager, or a mobility router, asks another where a
prefix is. `docs/wire.md` draws these two.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dmm_agent.wire.layout import Layout, constant, one_of, reserved, unsigned
from dmm_agent.wire.message import EXPERIMENTAL, Message, mobility_message

if TYPE_CHECKING:
    from dmm_agent.wire.option import Option


class AnswerStatus(enum.IntEnum):
    """What a location manager knows of a prefix; below 128 the answer names a tunnel endpoint."""

    AWAY = 0
    """The prefix is reached at the location given."""
    HOME = 1
    """No binding: plain routing serves the prefix; the location is the MR of its network."""
    FIXED = 2
    """Not a mobile prefix: the MR given covers the prefix given."""
    UNKNOWN = 128
    """In this location manager's pool, but leased to nobody."""
    NOT_SERVED = 129
    """Not among this location manager's data."""


@mobility_message
@dataclass(frozen=True, slots=True)
class LocationQuery(Message):
    """Where is the prefix or address in the `HomeNetworkPrefix` option?"""

    sequence: int
    options: tuple[Option, ...] = ()

    mh_type: ClassVar[int] = EXPERIMENTAL
    kind: ClassVar[int] = 1
    body: ClassVar[Layout] = Layout(constant(1), reserved(1), unsigned("sequence", 2), reserved(2))


@mobility_message
@dataclass(frozen=True, slots=True)
class LocationAnswer(Message):
    """Answers a `LocationQuery`.

    The `HomeNetworkPrefix` option holds the prefix the answer is valid for, which may be wider than
    the one asked; with a status below 128 a `MagAddress` option holds the tunnel endpoint.
    """

    status: AnswerStatus
    sequence: int
    """Copied from the query."""
    lifetime_s: int
    """For how long the answer may be kept, in seconds."""
    options: tuple[Option, ...] = ()

    mh_type: ClassVar[int] = EXPERIMENTAL
    kind: ClassVar[int] = 2
    body: ClassVar[Layout] = Layout(
        constant(2),
        one_of("status", 1, AnswerStatus),
        unsigned("sequence", 2),
        unsigned("lifetime_s", 2),
    )
