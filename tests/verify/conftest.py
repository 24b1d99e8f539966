"""The running lab: `--lab NAME --topology FILE --profile NAME`."""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dmm_testbed.machines import MachineError, state
from dmm_testbed.topology import InputError, load_topology
from dmm_testbed.topology.profile import load_profile
from dmm_testbed.verify.running import RunningLab, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dmm_testbed.verify.running import Snapshot

ROOT = Path(__file__).parents[2]
SETTLES_WITHIN_S = 15.0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--lab", default=os.environ.get("LAB", "dmm"), help="name of the lab")
    parser.addoption("--topology", default="inventory/three-networks.yml", help="topology file")
    parser.addoption("--profile", default="distributed-query", help="profile in use")


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> RunningLab:
    """The lab; nothing is checked when there is none."""
    options = request.config
    try:
        topology = load_topology(ROOT / options.getoption("--topology"))
        profile = load_profile(
            ROOT / "inventory" / "profiles" / f"{options.getoption('--profile')}.yml"
        )
        name = options.getoption("--lab")
        _refuse_another(name, topology.name, set(topology.machines))
    except (InputError, MachineError) as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
    return RunningLab(name, topology, profile)


def _refuse_another(name: str, topology: str, machines: set[str]) -> None:
    if not state.running(name):
        raise MachineError(f"lab {name} does not run: start it with `make up LAB={name}` first")
    record = state.recorded(name)
    if record is None:
        raise MachineError(f"lab {name} is only half built: run `make up LAB={name}` again")
    if set(record.spec.machines) != machines:
        raise MachineError(
            f"lab {name} was not made by topology {topology}: give the one it runs, "
            f"for example `make verify LAB={name} TOPOLOGY=small`"
        )


@pytest.fixture(scope="session")
def watch(lab: RunningLab) -> Watch:
    seen = lab.look()
    for node, view in seen.nodes.items():
        if not view.switched_on:
            warnings.warn(
                f"{node} is switched off, so it is not checked; `make shell HOST={node}`, "
                "`ip link set radio0 up` wakes it",
                stacklevel=1,
            )
    return Watch(lab, seen, time.monotonic() + SETTLES_WITHIN_S)


@pytest.fixture
def holds(
    watch: Watch, nothing_amiss: Callable[[Iterable[str]], None]
) -> Callable[[Callable[[Snapshot], Iterable[str]]], None]:
    """Look first; if something is amiss, look again until a deadline."""
    return lambda amiss: nothing_amiss(watch.until_quiet(amiss))


@pytest.fixture
def nothing_amiss() -> Callable[[Iterable[str]], None]:
    """Fail with the sentences, if there are any."""

    def check(sentences: Iterable[str]) -> None:
        if found := list(sentences):
            pytest.fail("\n".join(found), pytrace=False)

    return check
