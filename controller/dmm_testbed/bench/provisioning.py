"""Seconds of making a lab from nothing, and of making sure that it is as it should be."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dmm_testbed.bench.figures import BenchError, Provisioning
from dmm_testbed.machines import bundle, image

if TYPE_CHECKING:
    from collections.abc import Callable

PLAYBOOK_WITHIN_S = 240.0
LAST_LINES = 30
_CHANGED = re.compile(r"^\S+\s+: ok=\d+\s+changed=(\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab to be made and removed by playbooks, run where the repository's root is."""

    name: str
    inventory: Path
    profile: str
    logs: Path

    def play(self, playbook: str) -> tuple[float, str]:
        """Run a playbook; returns seconds and output.

        Raises:
            BenchError: it fails, or takes too long; the end of its output is in the text.
        """
        log = self.logs / f"{playbook}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        with log.open("w", encoding="utf-8") as file:
            try:
                done = subprocess.run(
                    self._command(playbook),
                    env={**os.environ, "LAB": self.name},
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    timeout=PLAYBOOK_WITHIN_S,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise BenchError(
                    f"playbooks/{playbook}.yml took more than {PLAYBOOK_WITHIN_S:.0f} s: see {log}"
                ) from None
        took_s = time.monotonic() - began
        output = log.read_text(encoding="utf-8", errors="replace")
        if done.returncode:
            last = "\n".join(output.splitlines()[-LAST_LINES:])
            raise BenchError(f"playbooks/{playbook}.yml failed:\n{last}")
        return took_s, output

    def _command(self, playbook: str) -> list[str]:
        program = str(Path(sys.executable).parent / "ansible-playbook")
        options = ["-i", str(self.inventory), "-e", f"profile={self.profile}"]
        return [program, *options, f"playbooks/{playbook}.yml"]


def measure(lab: Lab, machines: int, say: Callable[[str], None]) -> Provisioning:
    """Make the lab from nothing, then once more; it runs afterwards.

    Raises:
        BenchError: a playbook fails.
        MachineError: the machine image cannot be built.
    """
    say("packages of the machine image, which are not timed")
    image.packages_layer(say)
    bundle.agent_bundle(Path("agent"), Path("requirements-agent.txt"), say)
    lab.play("destroy")
    say("making the lab from nothing")
    from_nothing_s, _ = lab.play("site")
    say("making sure that it is as it should be")
    again_s, output = lab.play("site")
    return Provisioning(
        machines=machines,
        from_nothing_s=from_nothing_s,
        again_s=again_s,
        again_changed=sum(map(int, _CHANGED.findall(output))),
    )
