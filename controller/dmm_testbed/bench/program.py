"""Python programs that measure something on a machine of the lab."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from dmm_testbed.bench.figures import BenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dmm_testbed.measure.runner import Runner

WITHIN_S = 60.0


def command(script: str, *arguments: object) -> Sequence[str]:
    """What runs a program on a machine."""
    return ["/usr/bin/python3", "-I", "-c", script, *map(str, arguments)]


def output(runner: Runner, host: str, script: str, *arguments: object) -> str:
    """What a program on a machine says.

    Raises:
        BenchError: it fails, or does not end in time.
    """
    try:
        done = runner.run(host, command(script, *arguments), timeout_s=WITHIN_S)
    except subprocess.TimeoutExpired:
        raise BenchError(f"{host}: not done after {WITHIN_S:.0f} s") from None
    if done.returncode:
        raise BenchError(f"{host}: {done.stderr.strip()}")
    return done.stdout
