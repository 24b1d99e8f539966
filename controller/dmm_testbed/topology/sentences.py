"""Say what is wrong in a user's file: one sentence a mistake, with place, field and expectation."""

from __future__ import annotations

from difflib import get_close_matches
from reprlib import Repr
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pydantic import ValidationError
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

Location = tuple[int | str, ...]

NAME_RULE = "lower-case letters, digits and hyphens, starting with a letter"
"""What a name may be made of."""
DATA_PLANE_RULE = "seg6 or ip6tnl (docs/dataplane.md)"
"""The ways in which a host can tunnel."""

MAX_QUOTED = 80
"""A value longer than these characters is cut where a sentence quotes it."""

_quoting = Repr()
_quoting.maxstring = _quoting.maxother = MAX_QUOTED


class InputError(Exception):
    """A topology or profile that cannot be used, with one sentence for each mistake."""

    def __init__(self, sentences: Iterable[str]) -> None:
        self.sentences = tuple(map(_printable, sentences))
        super().__init__("\n".join(self.sentences))


def _printable(sentence: str) -> str:
    """One line that no terminal takes for a command, whatever a file quoted in it holds."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in sentence)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question to add to a sentence when something known is spelt nearly like the word."""
    near = get_close_matches(word, sorted(known), n=1, cutoff=0.8)
    return f"; did you mean {near[0]}?" if near else ""


def listed(names: Iterable[str]) -> str:
    """Names for a sentence, in the order given."""
    return ", ".join(names) or "none"


def sentences_of(
    error: ValidationError,
    model: type[BaseModel],
    place: Callable[[Location], str],
) -> list[str]:
    """Translate what pydantic found into sentences.

    The expectation is the description of the field, where it has one.

    Args:
        error: what pydantic found.
        model: the model that was validated.
        place: turns a location in the data into the user's words for it.
    """
    return [
        f"{place(problem['loc'])}: {_complaint(problem, *locate(model, problem['loc']))}"
        for problem in error.errors()
    ]


def _complaint(
    problem: ErrorDetails, owner: type[BaseModel] | None, field: FieldInfo | None
) -> str:
    if problem["type"] == "extra_forbidden":
        known = field_names(owner) if owner else []
        guess = did_you_mean(str(problem["loc"][-1]), known)
        return f"unknown field{guess or f'; the fields here are {listed(known)}'}"
    expectation = _expectation(problem, field)
    if problem["type"] == "missing":
        return f"missing; expected {expectation}" if expectation else "missing"
    got = problem["input"]
    choices = _choices(problem, field)
    guess = did_you_mean(got, choices) if isinstance(got, str) else ""
    if expectation is None and choices:
        expectation = f"one of {listed(choices)}"
    what = f"expected {expectation}" if expectation else _in_our_words(problem["msg"])
    return f"{what}, got {_shortened(got)}{guess}"


def _shortened(value: object) -> str:
    text = _quoting.repr(value)  # bounded: aliases in YAML can make a short file a huge value
    return text if len(text) <= MAX_QUOTED else f"{text[: MAX_QUOTED - 3]}..."


def locate(
    model: type[BaseModel], location: Sequence[int | str]
) -> tuple[type[BaseModel] | None, FieldInfo | None]:
    """Find the model that owns the last field of a location, and that field if it exists."""
    owner: type[BaseModel] | None = model
    inside: type[BaseModel] | None = model
    field: FieldInfo | None = None
    in_container = False
    for part in location:
        if in_container:
            in_container = False
            continue
        if inside is None:
            break
        owner = inside
        field = _field(owner, str(part))
        if field is None:
            break
        inside = _model_in(field.annotation)
        in_container = get_origin(field.annotation) is not None
    return owner, field


def field_names(model: type[BaseModel]) -> list[str]:
    """Names of a model's fields as users write them."""
    return [field.alias or name for name, field in model.model_fields.items()]


def _field(model: type[BaseModel], name: str) -> FieldInfo | None:
    for field_name, field in model.model_fields.items():
        if name == (field.alias or field_name):
            return field
    return None


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)


def _expectation(problem: ErrorDetails, field: FieldInfo | None) -> str | None:
    if problem["loc"][-1:] != ("[key]",):
        return field.description if field else None
    return NAME_RULE if problem["type"] == "string_pattern_mismatch" else None


def _in_our_words(message: str) -> str:
    return message.replace("Input should be", "expected", 1)


def _choices(problem: ErrorDetails, field: FieldInfo | None) -> list[str]:
    if problem["type"] != "literal_error" or field is None:
        return []
    return [choice for choice in _literals(field.annotation) if isinstance(choice, str)]


def _literals(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [choice for part in get_args(annotation) for choice in _literals(part)]
