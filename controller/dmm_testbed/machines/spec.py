"""What a lab shall consist of: machines and the links between them."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Annotated, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from dmm_testbed.machines.errors import MachineError

LabName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,15}$")]
HostName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,14}$")]
MAX_MACHINES = 256


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Impairments(_Strict):
    """How a link is worse than the kernel's memory: applied in each direction."""

    delay_ms: float = Field(0.0, ge=0, le=60_000)
    loss_percent: float = Field(0.0, ge=0, le=100)
    rate_mbit: float | None = Field(None, gt=0, le=100_000)

    @property
    def any(self) -> bool:
        """Whether there is anything to impair."""
        return bool(self.delay_ms or self.loss_percent or self.rate_mbit)


class LinkSpec(_Strict):
    """A link between two machines; each end's interface is named after the other machine."""

    ends: tuple[HostName, HostName]
    mtu: int = Field(1500, ge=1280, le=65535)
    impairments: Impairments = Impairments()


class LabSpec(_Strict):
    """All machines and links of a lab."""

    topology: str
    """Name of the topology, to tell the user which one a lab runs."""
    machines: tuple[HostName, ...] = Field(min_length=1, max_length=MAX_MACHINES)
    links: tuple[LinkSpec, ...] = ()

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        for machine, count in Counter(self.machines).items():
            if count > 1:
                raise ValueError(f"machine {machine} is listed {count} times")
        pairs: set[frozenset[str]] = set()
        for link in self.links:
            pair = frozenset(link.ends)
            for end in link.ends:
                if end not in self.machines:
                    raise ValueError(f"link {'-'.join(link.ends)}: there is no machine {end}")
            if len(pair) == 1 or pair in pairs:
                raise ValueError(
                    f"link {'-'.join(link.ends)}: expected two machines, one link each"
                )
            pairs.add(pair)
        return self

    def digest(self) -> str:
        """A short name for exactly this content."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


def lab_spec(topology: str, machines: object, links: object) -> LabSpec:
    """Check what a lab shall consist of.

    Raises:
        MachineError: a field is wrong; names the field and what was expected.
    """
    try:
        return LabSpec.model_validate({"topology": topology, "machines": machines, "links": links})
    except ValidationError as error:
        lines = (
            f"{'.'.join(str(part) for part in problem['loc']) or 'lab'}: {problem['msg']}"
            for problem in error.errors()
        )
        raise MachineError("; ".join(lines)) from None
