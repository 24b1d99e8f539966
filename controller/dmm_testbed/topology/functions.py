"""The mobility functions that are installed, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from dmm_agent.functions.base import Function
from dmm_testbed.topology.sentences import InputError

ENTRY_POINT_GROUP = "dmm_agent.functions"

Functions = Mapping[str, type[Function[Any]]]
"""Function classes by the name that profiles use."""


class InstalledFunctions(Functions):
    """Functions that installed packages register as entry points; each is loaded when asked for."""

    def __init__(self) -> None:
        self._entries: dict[str, EntryPoint] = {
            entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)
        }

    def __getitem__(self, name: str) -> type[Function[Any]]:
        entry = self._entries[name]
        try:
            loaded: type[Function[Any]] = entry.load()
        except Exception as error:  # another package's import can fail in any way
            raise InputError(
                [f"function {name}: {entry.value} cannot be loaded: {error}"]
            ) from error
        return loaded

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
