"""Running our playbooks from tests, as a user would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Played:
    """What became of a playbook."""

    status: int
    output: str

    @property
    def changed(self) -> dict[str, int]:
        """Changed tasks by host, hosts without changes left out."""
        found = re.findall(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)", self.output, re.MULTILINE)
        return {host: int(count) for host, count in found if int(count)}

    @property
    def words(self) -> str:
        """All that was said, without line breaks."""
        return " ".join(self.output.split())


def play(
    lab: str,
    inventories: Sequence[Path],
    playbook: str,
    *options: str,
    within_s: float = 600.0,
    **variables: str,
) -> Played:
    """Run a playbook of ours on a lab."""
    from_files = [part for file in inventories for part in ("-i", str(file))]
    given = [part for key, value in variables.items() for part in ("-e", f"{key}={value}")]
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "ansible-playbook"),
            *from_files,
            f"playbooks/{playbook}.yml",
            *given,
            *options,
        ],
        cwd=ROOT,
        env={**os.environ, "LAB": lab},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=within_s,
        check=False,
    )
    return Played(done.returncode, done.stdout)
