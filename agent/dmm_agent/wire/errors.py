"""What can go wrong between octets and messages."""

from __future__ import annotations


class WireError(ValueError):
    """Octets and messages do not fit together."""


class EncodeError(WireError):
    """A message holds a value that its wire format has no room for."""


class DecodeError(WireError):
    """The octets are not a message of the format they claim to be.

    Attributes:
        offset: Octet at fault, from the first one of the Mobility Header, where one can be named.
            It is what an ICMPv6 Parameter Problem points at (RFC 6275, 9.2).
    """

    def __init__(self, reason: str, offset: int | None = None) -> None:
        super().__init__(reason if offset is None else f"{reason} (at octet {offset})")
        self.offset = offset


class UnknownMessageType(DecodeError):  # noqa: N818 - named after the condition, as RFC 6275 does
    """A Mobility Header type that is not implemented; the receiver answers Binding Error status 2.

    Attributes:
        mh_type: The type.
    """

    def __init__(self, mh_type: int) -> None:
        super().__init__(f"Mobility Header type {mh_type} is not known here", offset=2)
        self.mh_type = mh_type


class UnknownExperiment(DecodeError):  # noqa: N818
    """A Mobility Header of type 11 (RFC 5096) of another experiment than ours.

    Attributes:
        kind: The octet in which our messages say what they are.
    """

    def __init__(self, kind: int) -> None:
        super().__init__(f"experimental message of kind {kind} is not of this testbed", offset=6)
        self.kind = kind
