"""A lab of its own for the acceptance tests, made once.

`--machines` (or MACHINES) says of what: namespace, or vagrant. `--lab-topology`, `--keep-lab`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from cast import Cast
from effort import SPARE_NOTHING, spare_emulated_machines
from labs import KINDS, NAMES, Lab, lab_of_its_own, name_of
from tests.playing import ROOT

from dmm_testbed.machines.lab import down
from dmm_testbed.scenario.file import load_scenario
from dmm_testbed.topology import load_topology

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SLOWER = 6
"""How much longer than a namespace machine a VM may take for anything, at most."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--machines",
        default=os.environ.get("MACHINES", "namespace"),
        choices=KINDS,
        help="what the machines of the lab are",
    )
    parser.addoption("--lab-topology", default="three-networks", help="topology of the lab")
    parser.addoption("--keep-lab", action="store_true", help="leave the lab up at the end")
    parser.addoption(
        SPARE_NOTHING,
        action="store_true",
        help="play on emulated VMs, too, what takes them many minutes more",
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """What only virtual machines can do is tried on them alone."""
    if collection_path.name == "vm" and config.getoption("--machines") != "vagrant":
        return True
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that change the lab come last, in turns: on VMs, changing it back takes minutes.

    Before, what VMs alone can do comes first but for the scenario: there may be no time for all.
    """

    def turn(item: pytest.Item) -> tuple[int, bool]:
        marker = item.get_closest_marker("changes_lab")
        return int(marker.kwargs["turn"]) if marker else 0, item.path.name.startswith("test_site")

    items.sort(key=turn)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Take away what an interruption left: processes that share tests are ended in their midst."""
    shared = config.getoption("numprocesses", None) is not None
    if shared and os.geteuid() == 0 and not config.getoption("--keep-lab"):
        for name in NAMES:
            down(name_of(name))


@pytest.fixture(autouse=True)
def fast_enough(request: pytest.FixtureRequest) -> None:
    """Skips what takes many minutes more on VMs, unless hardware runs them."""
    if request.node.get_closest_marker("not_emulated") is not None:
        spare_emulated_machines(request.config)


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A complete lab, apart from one the user may have."""
    option = request.config.getoption
    kind = option("--machines")
    if kind == "namespace" and os.geteuid() != 0:
        pytest.fail("the tests make machines: run them as root, for example with sudo")
    wanted = Lab(name_of("test"), kind, option("--lab-topology"))
    terminal = request.config.pluginmanager.getplugin("terminalreporter")
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def say(line: str) -> None:
        if terminal is None:  # one of several processes, which have none
            return
        with capture.global_and_fixture_disabled():
            terminal.ensure_newline()
            terminal.write_line(line)

    try:
        wanted.make(say)
        yield wanted
    finally:
        if option("--keep-lab"):
            wanted.change_to()
        else:
            wanted.destroy(say)


@pytest.fixture(scope="session")
def five_networks(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A lab of five networks, with a node that mobility is declined to."""
    with lab_of_its_own(request.config, "five", "five-networks") as made:
        yield made


@pytest.fixture(scope="module")
def cast(lab: Lab) -> Cast:
    """Who plays which part in the scenario of the lab's topology."""
    topology = load_topology(ROOT / "inventory" / f"{lab.topology}.yml")
    file = ROOT / "inventory" / "scenarios" / f"{lab.topology}.yml"
    return Cast(topology, load_scenario(file, topology))


@pytest.fixture
def until(until: Callable[..., Any], request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Look first, then wait until something is true; longer where machines are slow."""
    if request.config.getoption("--machines") == "namespace":
        return until

    def wait(look: Callable[[], Any], what: str, within_s: float = 60.0) -> Any:
        return until(look, what, within_s * SLOWER)

    return wait
