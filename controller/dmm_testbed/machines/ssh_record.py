"""What Ansible wrote down of a lab reached by SSH: `build/labs/LAB/`, or below DMM_LABS.

`ssh_config` says how to reach each machine, in OpenSSH's own syntax; `lab.json` what the lab was
made of: `{"kind": "vagrant", "topology": "small", "machines": ["gw1", ...]}`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from dmm_testbed.machines import state
from dmm_testbed.machines.errors import MachineError

SshKind = Literal["vagrant", "metal"]
LABS = Path("build/labs")


class LabFile(BaseModel):
    """The content of `lab.json`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    kind: str
    topology: str
    machines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SshRecord:
    """Where a lab's record is; read anew each time, because machines come back elsewhere."""

    kind: SshKind
    lab: str

    @property
    def directory(self) -> Path:
        """The lab's folder.

        Raises:
            MachineError: that is no name for a lab.
        """
        state.check_name(self.lab)
        return Path(os.environ.get("DMM_LABS", LABS)) / self.lab

    @property
    def exists(self) -> bool:
        """Whether such a lab is known here.

        Raises:
            MachineError: that is no name for a lab.
        """
        return (self.directory / "lab.json").is_file()

    @property
    def ssh_config(self) -> Path:
        """The file that says how to reach the machines.

        Raises:
            MachineError: it is not there; says what to do.
        """
        file = self.directory / "ssh_config"
        if not file.is_file():
            raise MachineError(
                f"lab {self.lab} is not known here: there is no {file}; make it with {self.make}"
            )
        return file

    @property
    def make(self) -> str:
        """The command that makes such a lab."""
        return f"`make up MACHINES={self.kind} LAB={self.lab}`"

    def read(self) -> LabFile:
        """What the lab was made of.

        Raises:
            MachineError: it is not known, cannot be read, or is of another kind; says what to do.
        """
        file = self.ssh_config.with_name("lab.json")
        try:
            found = LabFile.model_validate_json(file.read_bytes())
        except OSError as error:
            raise MachineError(f"{file}: {error.strerror}: run {self.make} again") from None
        except ValidationError as error:
            problem = error.errors()[0]
            field = ".".join(map(str, problem["loc"])) or "(top)"
            raise MachineError(f"{file}: {field}: {problem['msg']}: run {self.make}") from None
        if found.kind != self.kind:
            raise MachineError(
                f"lab {self.lab} consists of {found.kind} machines, not of {self.kind} ones: add "
                f"MACHINES={found.kind} (or --machines={found.kind})"
            )
        return found
