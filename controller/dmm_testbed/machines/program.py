"""Programs of `plugins/programs`: how they get to a machine, and what they answer.

Ansible packs a module of its own with all that it imports, and the machine unpacks and compiles
these anew for each task: most of what a task costs, and seconds on an emulated machine. A program
of ours needs the standard library alone: it travels as text, with its arguments, into the standard
input of Python.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmm_testbed.machines.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRAMS = Path(__file__).parents[3] / "plugins" / "programs"
RUN_SENT = """
import json, sys, types
sent = json.load(sys.stdin)
for name, source in sent["sources"].items():
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(source, name + ".py", "exec"), module.__dict__)
try:
    result = module.run(sent["arguments"], sent["check_mode"])
except SystemExit as end:
    result = {"failed": True, "msg": str(end.code)}
print(json.dumps(result))
"""
"""Runs on the machine. A program that cannot go on exits with a sentence."""
# Without `site`, which looks for packages that no program of ours needs: half of Python's start.
COMMAND = f"/usr/bin/python3 -IS -c '{RUN_SENT}'"
_IMPORT = re.compile(r"^from (dmm_\w+) import ", re.MULTILINE)


@cache
def sources(name: str) -> Mapping[str, str]:
    """Text of a program, by module name, after that of all that it imports of ours."""
    text = (PROGRAMS / f"{name}.py").read_text(encoding="utf-8")
    imported: dict[str, str] = {}
    for library in _IMPORT.findall(text):
        imported |= sources(library)
    return imported | {name: text}


def sent(name: str, arguments: Mapping[str, Any], check_mode: bool) -> bytes:
    """What COMMAND reads on its standard input.

    Args:
        name: of the program.
        arguments: as it takes them, complete.
        check_mode: whether it shall only say what it would do.
    """
    message = {"sources": sources(name), "arguments": arguments, "check_mode": check_mode}
    return json.dumps(message).encode()


def answer(name: str, status: int, output: str, errors: str) -> dict[str, Any]:
    """The result that a program has printed.

    Raises:
        MachineError: it did not end as it should; its last words are in the text.
    """
    lines = output.strip().splitlines()
    try:
        result = json.loads(lines[-1]) if lines and not status else None
    except ValueError:
        result = None
    if not isinstance(result, dict):
        told = (errors.strip() or output.strip()) or f"exit status {status}"
        raise MachineError(f"{name}.py ended unexpectedly on the machine: {told}")
    return result
