"""Commands of a machine: run to their end, their words in a language that can be parsed."""

from __future__ import annotations

import os
import subprocess

NOT_FOUND = 127


def run_command(command: list[str], **environment: str) -> tuple[int, str, str]:
    """Run a command; gives its exit status, output and errors, as a shell would have them."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env={**os.environ, "LC_ALL": "C.UTF-8", **environment},
        )
    except FileNotFoundError:
        return NOT_FOUND, "", f"{command[0]}: not found"
    return done.returncode, done.stdout, done.stderr
