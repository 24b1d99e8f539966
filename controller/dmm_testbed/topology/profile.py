"""The profile file: which functions run on which role of host, and their options."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from dmm_agent.config import DataPlane  # noqa: TC001 (pydantic reads it)
from dmm_testbed.topology.file import Name  # noqa: TC001 (pydantic reads it)
from dmm_testbed.topology.sentences import (
    DATA_PLANE_RULE,
    NAME_RULE,
    InputError,
    Location,
    did_you_mean,
    listed,
)
from dmm_testbed.topology.yamlfile import StrictModel, read_model

if TYPE_CHECKING:
    from dmm_testbed.topology.model import Machine

PlacedRole = Literal["router", "gateway", "access_router", "anchor", "mobile_node"]
"""Roles on whose hosts functions can be."""


class Profile(StrictModel):
    """A placement of functions with their options: what the draft calls a configuration."""

    name: Name = Field(description=NAME_RULE)
    description: str = Field(description="a sentence for reports")
    draft: str = Field("", description="the sections and figures it stands for")
    placement: dict[PlacedRole, tuple[str, ...]] = Field(
        min_length=1, description="lists of functions by the role of their hosts"
    )
    dataplane: DataPlane = Field("seg6", description=DATA_PLANE_RULE)
    """How hosts tunnel of which the topology says nothing."""
    options: dict[str, Any] = Field(
        default_factory=dict, description="options by name, for each function that has them"
    )
    functions: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="options of single functions, which win, by function"
    )

    def on(self, machine: Machine) -> tuple[str, ...]:
        """The functions that run on a machine; none on a node that mobility is declined to."""
        if machine.mobile is not None and machine.mobile.mobility == "declined":
            return ()
        return next((f for role, f in self.placement.items() if role == machine.role), ())

    def options_of(self, function: str) -> dict[str, Any]:
        """What it says of one function's options, with those of other functions among them."""
        return {**self.options, **self.functions.get(function, {})}


def load_profile(path: Path | str) -> Profile:
    """Read a profile file and check each of its fields for itself.

    Raises:
        InputError: the file cannot be read, or fields are unknown, missing or wrong.
    """
    file = Path(path)
    if not file.is_file() and file.parent.is_dir():
        available = sorted(other.stem for other in file.parent.glob("*.yml"))
        guess = did_you_mean(file.stem, available)
        raise InputError(
            [f"{path}: no profile {file.stem}; those beside it are {listed(available)}{guess}"]
        )
    return read_model(path, Profile, _place)


def _place(location: Location, _: dict[Any, Any]) -> str:
    return ".".join(str(part) for part in location if isinstance(part, str) and part != "[key]")
