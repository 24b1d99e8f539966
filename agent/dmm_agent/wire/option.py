"""Mobility options: type, length, data, each at an offset of its own choosing (RFC 6275, 6.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self, TypeVar

from dmm_agent.wire.errors import DecodeError, EncodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dmm_agent.wire.layout import Layout

PAD1 = 0
PADN = 1
LARGEST_DATA_OCTETS = 255


class Option:
    """A mobility option. A subclass is a frozen dataclass passed to `mobility_option`."""

    __slots__ = ()

    option_type: ClassVar[int]
    layout: ClassVar[Layout]
    """The data, after the type and length octets."""
    aligned: ClassVar[tuple[int, int]] = (1, 0)
    """(x, y): the type octet sits at an offset of x·n + y from the Mobility Header's start."""
    other_lengths: ClassVar[frozenset[int]] = frozenset()
    """Data lengths of forms that are not read here (IPv4 ones); they become an `UnknownOption`."""
    uncounted_octets: ClassVar[int] = 0
    """Data octets that the length octet leaves out."""

    def alignment(self) -> tuple[int, int]:
        """Where the option may start; for most of them that does not depend on its data."""
        return self.aligned

    def octets(self) -> bytes:
        """The data: what follows type and length.

        Raises:
            EncodeError: a value does not fit into its field.
        """
        return self.layout.pack(self)

    @classmethod
    def from_octets(cls, data: bytes) -> Self:
        """The option with these data.

        Raises:
            ValueError: no sender may write that.
        """
        build: Callable[..., Self] = cls
        return build(**cls.layout.unpack(data))


@dataclass(frozen=True, slots=True)
class UnknownOption(Option):
    """An option that is not implemented: a receiver skips it (RFC 6275, 6.2.1)."""

    type: int
    data: bytes

    @property
    def option_type(self) -> int:  # type: ignore[override]
        """The type it came with."""
        return self.type

    def octets(self) -> bytes:
        """The data as it came."""
        return self.data


OptionT = TypeVar("OptionT", bound=Option)

_registry: dict[int, type[Option]] = {}


def mobility_option(cls: type[OptionT]) -> type[OptionT]:
    """Make an option class known to the decoder, by its `option_type`.

    Raises:
        ValueError: another class has that type already.
    """
    if cls.option_type in (PAD1, PADN) or cls.option_type in _registry:
        raise ValueError(f"mobility option {cls.option_type} ({cls.__name__}) is already taken")
    _registry[cls.option_type] = cls
    return cls


def option_classes() -> tuple[type[Option], ...]:
    """All options the decoder knows, by number."""
    return tuple(cls for _, cls in sorted(_registry.items()))


def padding(size: int) -> bytes:
    """That many octets of Pad1 or PadN (RFC 6275, 6.2.2 and 6.2.3)."""
    if size < 2:
        return bytes(size)
    return bytes([PADN, size - 2]) + bytes(size - 2)


def write_options(message: bytearray, options: Iterable[Option]) -> None:
    """Append options to a message that has been written so far, each aligned, and the tail pad.

    Raises:
        EncodeError: an option's data does not fit.
    """
    for option in options:
        multiple, remainder = option.alignment()
        message += padding((remainder - len(message)) % multiple)
        message += _write(option)
    message += padding(-len(message) % 8)


def _write(option: Option) -> bytes:
    data = option.octets()
    length = len(data) - option.uncounted_octets
    if not 0 <= length <= LARGEST_DATA_OCTETS:
        name = type(option).__name__
        raise EncodeError(f"{name}: expected at most {LARGEST_DATA_OCTETS} octets, got {length}")
    if not PADN < option.option_type <= 255:
        raise EncodeError(f"UnknownOption.type: expected 2 to 255, got {option.option_type}")
    return bytes([option.option_type, length]) + data


def read_options(data: bytes, offset: int) -> Iterator[Option]:
    """Read the options that fill `data` from `offset` on, in any order and with any padding.

    Raises:
        DecodeError: an option runs past the end, or its data is not what its type demands.
    """
    for option_type, start, end in extents(data, offset):
        yield _read(option_type, data[start:end], start - 2)


def extents(data: bytes, offset: int) -> Iterator[tuple[int, int, int]]:
    """Type, first octet of the data and the one after its last, of each option but padding.

    Raises:
        DecodeError: an option runs past the end.
    """
    while offset < len(data):
        option_type = data[offset]
        if option_type == PAD1:
            offset += 1
            continue
        start, end = _extent(data, offset)
        if option_type != PADN:
            yield option_type, start, end
        offset = end


def _extent(data: bytes, offset: int) -> tuple[int, int]:
    """First octet of an option's data, and the one after its last."""
    start = offset + 2
    if start > len(data):
        raise DecodeError(f"option {data[offset]} has no length octet", offset)
    cls = _registry.get(data[offset])
    end = start + data[offset + 1] + (cls.uncounted_octets if cls else 0)
    if end > len(data):
        raise DecodeError(f"option {data[offset]} runs past the end of the message", offset + 1)
    return start, end


def _read(option_type: int, data: bytes, offset: int) -> Option:
    cls = _registry.get(option_type)
    if cls is None or len(data) in cls.other_lengths:
        return UnknownOption(option_type, data)
    try:
        return cls.from_octets(data)
    except ValueError as error:
        raise DecodeError(f"option {option_type} ({cls.__name__}): {error}", offset) from error


def natural_alignment(identifier: bytes) -> tuple[int, int]:
    """Alignment "by the identifier's size" of an option whose identifier is four octets in.

    RFC 5213 (8.6) and RFC 8885 (4.8) say no more than that: an identifier of 8 octets goes to
    an offset of 8n, one of 6 octets, a MAC address, to 2n.
    """
    for multiple in (8, 4, 2):
        if identifier and len(identifier) % multiple == 0:
            return multiple, -4 % multiple
    return 1, 0
