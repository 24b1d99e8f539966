"""Read a user's YAML file into a model, with a sentence for everything that can be wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from dmm_testbed.topology.sentences import InputError, Location, sentences_of

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_FILE_BYTES = 1 << 20
"""No topology a machine can hold needs more; a wrong file named by mistake may have more."""


class StrictModel(BaseModel):
    """Part of a user's file: unknown fields are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


ModelT = TypeVar("ModelT", bound=StrictModel)


class _UniqueKeyLoader(yaml.SafeLoader):
    """Refuses a key given twice in one mapping, where YAML would silently take the later one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line = key.start_mark.line + 1
            first = lines.setdefault(key.value, line)
            if first != line:
                raise yaml.constructor.ConstructorError(
                    None,
                    None,
                    f"expected each name once; {key.value} is already on line {first}",
                    key.start_mark,
                )
        return super().construct_mapping(node, deep)


def read_model(
    path: Path | str,
    model: type[ModelT],
    place: Callable[[Location, dict[Any, Any]], str],
) -> ModelT:
    """Read a YAML file and check each of its fields for itself.

    Args:
        path: the file.
        model: what it should hold.
        place: turns a location, in the data read, into the user's words for it.

    Raises:
        InputError: the file cannot be read, or fields are unknown, missing or wrong.
    """
    data = _read_mapping(path)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        found = sentences_of(error, model, lambda location: place(location, data))
        raise InputError(f"{path}: {sentence}" for sentence in found) from error


def _read_mapping(path: Path | str) -> dict[Any, Any]:
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InputError([f"{path}: cannot be read: {error.strerror}"]) from error
    if len(content) > MAX_FILE_BYTES:
        raise InputError([f"{path}: expected a file of at most {MAX_FILE_BYTES} bytes"])
    try:
        data = yaml.load(content.decode(), Loader=_UniqueKeyLoader)  # noqa: S506 (a SafeLoader)
    except UnicodeDecodeError as error:
        raise InputError([f"{path}: not UTF-8 text: byte {error.start} is wrong"]) from error
    except yaml.MarkedYAMLError as error:
        raise InputError([f"{path}: {_at(error)}"]) from error
    except yaml.YAMLError as error:
        raise InputError([f"{path}: not YAML: {error}"]) from error
    except RecursionError as error:
        raise InputError([f"{path}: nested too deeply"]) from error
    if not isinstance(data, dict):
        raise InputError([f"{path}: expected fields and values (a YAML mapping) at the top level"])
    return data


def _at(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    kind = "" if isinstance(error, yaml.constructor.ConstructorError) else "not YAML: "
    return f"{place}{kind}{error.problem}"
