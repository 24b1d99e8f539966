"""What all Mobility Header messages have in common, and which ones there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeVar

from dmm_agent.wire.errors import DecodeError, UnknownExperiment, UnknownMessageType
from dmm_agent.wire.option import Option

if TYPE_CHECKING:
    from dmm_agent.wire.layout import Layout

EXPERIMENTAL = 11
"""Mobility Header type for experiments in a lab (RFC 5096)."""

OptionT = TypeVar("OptionT", bound=Option)


class Message:
    """A Mobility Header message. A subclass is a frozen dataclass passed to `mobility_message`."""

    __slots__ = ()

    mh_type: ClassVar[int]
    kind: ClassVar[int | None] = None
    """First octet of the body, where one MH type stands for several messages."""
    body: ClassVar[Layout]
    """The fixed fields from octet 6 on; options follow."""

    if TYPE_CHECKING:

        @property
        def options(self) -> tuple[Option, ...]:
            """The mobility options in the order in which they travel."""

    def first(self, option_class: type[OptionT]) -> OptionT | None:
        """The first option of a class, if there is one."""
        return next((o for o in self.options if isinstance(o, option_class)), None)

    def every(self, option_class: type[OptionT]) -> tuple[OptionT, ...]:
        """All options of a class, in order."""
        return tuple(o for o in self.options if isinstance(o, option_class))


MessageT = TypeVar("MessageT", bound=Message)

_registry: dict[int, dict[int | None, type[Message]]] = {}


def mobility_message(cls: type[MessageT]) -> type[MessageT]:
    """Make a message class known to the decoder, by its `mh_type` and `kind`.

    Raises:
        ValueError: another class has them already.
    """
    kinds = _registry.setdefault(cls.mh_type, {})
    if cls.kind in kinds or None in kinds or (cls.kind is None and kinds):
        raise ValueError(f"Mobility Header type {cls.mh_type} ({cls.__name__}) is already taken")
    kinds[cls.kind] = cls
    return cls


def message_classes() -> tuple[type[Message], ...]:
    """All messages the decoder knows, by number."""
    return tuple(cls for _, kinds in sorted(_registry.items()) for cls in kinds.values())


def class_of(mh_type: int, kind: int) -> type[Message]:
    """The message class of a Mobility Header type and the first octet of its body.

    Raises:
        UnknownMessageType: the type is not implemented.
        UnknownExperiment: type 11, but not one of ours.
        DecodeError: the type has no message of that kind.
    """
    kinds = _registry.get(mh_type)
    if kinds is None:
        raise UnknownMessageType(mh_type)
    cls = kinds.get(None) or kinds.get(kind)
    if cls is not None:
        return cls
    if mh_type == EXPERIMENTAL:
        raise UnknownExperiment(kind)
    raise DecodeError(f"Mobility Header type {mh_type} has no message of kind {kind}", offset=6)
