"""An agent that is killed at any write to its store loses nothing that was answered.

strace counts the system calls that change the files, and kills the process when it enters the
N-th: for every N.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.kernel.store import promising

from dmm_agent.runtime.executor import Executor

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[3]
CHANGES = ("pwrite64", "write", "fdatasync", "fsync", "ftruncate", "unlink", "rename")

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


def traced(folder: Path, what: str, *options: str) -> tuple[int, list[str]]:
    """Let an agent take its events in an empty folder; how many answers left, what was traced."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    store, log = folder / "agent.db", folder / "strace"
    command = ["strace", "-f", "-o", str(log), "-P", str(store), "-P", f"{store}-wal"]
    program = [sys.executable, promising.__file__, str(store), what]
    done = subprocess.run(
        [*command, "-e", f"trace={','.join(CHANGES)}", *options, *program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "agent")},
    )
    answered = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode in (0, -9), done.stderr
    return max((batch for batch, *_ in answered), default=0), log.read_text().splitlines()


def killed(
    folder: Path, what: str, at: tuple[str, ...], state_after: list[promising.Held]
) -> Iterator[str]:
    """Kill an agent at each such change of its files; what was wrong then, empty if nothing was.

    The next agent must hold what is held after some batch of events, one from which on no answer
    had left.
    """
    _, log = traced(folder, what)
    made = (line.split()[1].split("(")[0] for line in log if "(" in line)
    calls = Counter(call for call in made if call in at)
    for call, count in calls.items():
        for nth in range(1, count + 1):
            inject = f"inject={call}:signal=KILL:when={nth}"
            answered, log = traced(folder, what, "-e", inject)
            assert "killed by SIGKILL" in log[-1], (call, nth)
            found = promising.restarted(folder / "agent.db")
            kept = found in state_after[answered:]
            problem = f"{call} {nth}: batch {answered} was answered, and there is {found}"
            yield "" if kept else problem


@pytest.fixture(scope="module")
def state_after(tmp_path_factory: pytest.TempPathFactory) -> list[promising.Held]:
    """What is held after none, one, two ... batches of events, when nobody is killed."""
    store = tmp_path_factory.mktemp("undisturbed") / "agent.db"
    states = list(promising.play(store, Executor))
    assert len(set(map(frozenset, states))) == len(states), "each batch changes something"
    assert promising.restarted(store) == states[-1]
    return states


def test_nothing_that_was_answered_is_lost(
    tmp_path: Path, state_after: list[promising.Held]
) -> None:
    problems = list(killed(tmp_path / "store", "careful", CHANGES, state_after))
    assert [problem for problem in problems if problem] == []
    assert len(problems) > 5 * len(state_after), "a commit is more than five changes of the files"


def test_an_agent_that_answers_before_its_commit_is_caught(
    tmp_path: Path, state_after: list[promising.Held]
) -> None:
    """So the test above can fail."""
    assert any(killed(tmp_path / "store", "hasty", ("pwrite64",), state_after))
