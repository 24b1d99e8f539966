"""The topology of a testbed: read from a user's file, checked, and resolved once into a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmm_testbed.topology.file import read_file
from dmm_testbed.topology.model import (
    DefaultRoute,
    Impairments,
    Interface,
    InterfaceKind,
    Link,
    Machine,
    MobileNode,
    Network,
    Role,
    Topology,
)
from dmm_testbed.topology.paths import links_between, shortest_path
from dmm_testbed.topology.rules import mistakes
from dmm_testbed.topology.sentences import InputError
from dmm_testbed.topology.transform import resolve

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "DefaultRoute",
    "Impairments",
    "InputError",
    "Interface",
    "InterfaceKind",
    "Link",
    "Machine",
    "MobileNode",
    "Network",
    "Role",
    "Topology",
    "links_between",
    "load_topology",
    "shortest_path",
]


def load_topology(path: Path | str) -> Topology:
    """Read, check and resolve a topology file.

    Raises:
        InputError: something is wrong with it; one sentence for each mistake, file name first.
    """
    file = read_file(path)
    if found := mistakes(file):
        raise InputError(f"{path}: {sentence}" for sentence in found)
    return resolve(file)
