"""The running lab: `--lab NAME --topology FILE --profile NAME`."""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dmm_testbed.machines import MachineError
from dmm_testbed.machines.reach import reach
from dmm_testbed.topology import InputError, load_topology
from dmm_testbed.topology.profile import load_profile
from dmm_testbed.verify.running import RunningLab, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dmm_testbed.machines.reach import Reach
    from dmm_testbed.topology import Topology
    from dmm_testbed.verify.running import Snapshot

ROOT = Path(__file__).parents[2]
SETTLES_WITHIN_S = {"namespace": 15.0}
SETTLES_ELSEWHERE_WITHIN_S = 90.0
"""Looking at all machines may take ten seconds where each command is one over SSH."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--lab", default=os.environ.get("LAB", "dmm"), help="name of the lab")
    parser.addoption(
        "--machines",
        default=os.environ.get("MACHINES", "namespace"),
        help="what it is made of: namespace, vagrant or metal",
    )
    parser.addoption("--topology", default="inventory/three-networks.yml", help="topology file")
    parser.addoption("--profile", default="gateway-query", help="profile in use")


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> RunningLab:
    """The lab; nothing is checked when there is none."""
    options = request.config
    try:
        topology = load_topology(ROOT / options.getoption("--topology"))
        profile = load_profile(
            ROOT / "inventory" / "profiles" / f"{options.getoption('--profile')}.yml"
        )
        found = reach(options.getoption("--machines"), options.getoption("--lab"))
        _refuse_another(found, topology)
    except (InputError, MachineError) as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
    return RunningLab(found, topology, profile)


def _refuse_another(found: Reach, topology: Topology) -> None:
    if found.made().machines != set(topology.machines):
        raise MachineError(
            f"lab {found.lab} was not made by topology {topology.name}: give the one it runs, "
            f"for example `make verify LAB={found.lab} TOPOLOGY={found.made().topology}`"
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
    within_s = SETTLES_WITHIN_S.get(lab.reach.kind, SETTLES_ELSEWHERE_WITHIN_S)
    return Watch(lab, seen, time.monotonic() + within_s)


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
