"""A lab is known by what its builder wrote down and by the processes that are alive."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from dmm_testbed.machines import MachineError, cache, lab, process, state
from dmm_testbed.machines.spec import lab_spec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SPEC = lab_spec("two", ["a", "b"], [{"ends": ["a", "b"]}])


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "STATE", tmp_path / "run")
    monkeypatch.setattr(cache, "CACHE", tmp_path / "cache")


@pytest.fixture
def alive() -> Iterator[dict[str, int]]:
    """Processes that look like the machines of lab `x`."""
    sleepers = {
        name: subprocess.Popen(["sleep", "60"], env={"DMM_MACHINE": f"x/{name}", **os.environ})
        for name in SPEC.machines
    }
    deadline = time.monotonic() + 10
    while not all(process.is_alive(s.pid, "x", name) for name, s in sleepers.items()):
        assert time.monotonic() < deadline
    yield {name: sleeper.pid for name, sleeper in sleepers.items()}
    for sleeper in sleepers.values():
        sleeper.kill()
        sleeper.wait()


def recorded(pids: dict[str, int], *, complete: bool = True) -> None:
    state.directory("x").mkdir(parents=True)
    for name, pid in pids.items():
        state.record_pid("x", name, pid)
    if complete:
        state.record("x", SPEC, ("this kernel has no netem queue",))


def test_what_was_never_built_has_to_be_built() -> None:
    assert lab.plan("x", SPEC) == lab.Plan(True, False, "lab x is not there yet")


def test_a_complete_lab_stays_and_its_warnings_are_told_again(alive: dict[str, int]) -> None:
    recorded(alive)
    needed = lab.plan("x", SPEC)
    assert not needed.build
    assert needed.reason == "lab x runs with 2 machines"
    assert needed.warnings == ("this kernel has no netem queue",)


def test_what_an_interrupted_run_left_is_built_anew(alive: dict[str, int]) -> None:
    recorded(alive, complete=False)
    needed = lab.plan("x", SPEC)
    assert (needed.build, needed.clean) == (True, True)
    assert needed.reason == "lab x is what an interrupted run left: building it anew"


def test_a_broken_record_counts_as_none(alive: dict[str, int]) -> None:
    recorded(alive)
    (state.directory("x") / "lab.json").write_text("{", encoding="utf-8")
    assert lab.plan("x", SPEC).clean


def test_another_process_with_the_number_of_a_machine_is_no_machine() -> None:
    recorded({"a": os.getpid(), "b": os.getpid()})
    assert state.running("x") == {}
    assert lab.plan("x", SPEC).reason == "lab x was ended from outside: building it anew"
    process.end(os.getpid(), "x", "a")  # and does not end us


def test_a_machine_that_does_not_run_cannot_be_entered() -> None:
    with pytest.raises(MachineError, match="machine a of lab x does not run: run `make up` first"):
        state.pid_of("x", "a")


@pytest.mark.parametrize("name", ["", "../x", "UPPER", "a" * 17, "a b"])
def test_a_name_that_could_leave_the_directory_is_refused(name: str) -> None:
    with pytest.raises(MachineError, match="lab name: expected 1 to 16 lower-case letters"):
        state.directory(name)


def test_two_cannot_build_the_same_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "LOCK_WITHIN_S", 0.1)
    with (
        state.locked("x"),
        pytest.raises(MachineError, match="just being built or taken down by another command"),
        state.locked("x"),
    ):
        pass


def test_a_cached_file_is_built_once_and_the_oldest_go(tmp_path: Path) -> None:
    built: list[str] = []

    def fetch(key: str) -> Path:
        def build(file: Path, work: Path) -> None:
            assert work.is_dir()
            built.append(key)
            file.write_text(key, encoding="ascii")

        return cache.cached("layer", key, ".tar", build)

    for age, key in enumerate(("one", "two", "two", "three")):
        os.utime(fetch(key), (age, age))
    fetch("four")
    assert built == ["one", "two", "three", "four"]
    kept = sorted(file.name for file in (tmp_path / "cache").glob("layer-*"))
    assert kept == ["layer-four.tar", "layer-three.tar", "layer-two.tar"]


def test_a_build_that_fails_leaves_no_file(tmp_path: Path) -> None:
    def build(file: Path, _: Path) -> None:
        file.write_text("half", encoding="ascii")
        raise MachineError("no network")

    with pytest.raises(MachineError, match="no network"):
        cache.cached("layer", "key", ".tar", build)
    assert list((tmp_path / "cache").glob("layer*")) == []


def test_a_held_process_that_fails_tells_its_last_words() -> None:
    from dmm_testbed.machines.held import Held

    held = Held("machine a", [sys.executable, "-c", "raise SystemExit('no overlay here')"], {})
    with pytest.raises(MachineError, match="machine a did not start: no overlay here"):
        held.ready()
    held.abandon()
