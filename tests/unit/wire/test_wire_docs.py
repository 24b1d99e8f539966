"""docs/wire.md tells the truth."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from dmm_agent.wire import message_classes, option_classes

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "wire.md"


def test_the_examples_run_by_the_command_on_the_page() -> None:
    assert "`PYTHONPATH=agent python3 -m doctest docs/wire.md`" in PAGE.read_text(encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "doctest", str(PAGE)],
        env=os.environ | {"PYTHONPATH": str(ROOT / "agent")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.stdout + run.stderr == ""
    assert run.returncode == 0


def rows(heading: str) -> list[tuple[int, str]]:
    """Number and class name of each row of the table under a heading."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    found = re.findall(r"^\| (\d+) \| `(\w+)`", section, re.MULTILINE)
    return [(int(number), name) for number, name in found]


def test_the_table_of_messages_is_complete() -> None:
    assert rows("Messages") == [(cls.mh_type, cls.__name__) for cls in message_classes()]


def test_the_table_of_options_is_complete() -> None:
    assert rows("Options") == [(cls.option_type, cls.__name__) for cls in option_classes()]
