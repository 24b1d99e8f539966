"""A lab of its own for the acceptance tests, made once.

`--machines` (or MACHINES) says of what: namespace, or vagrant. `--lab-topology`, `--keep-lab`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from labs import KINDS, Lab

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


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """What only virtual machines can do is tried on them alone."""
    if collection_path.name == "vm" and config.getoption("--machines") != "vagrant":
        return True
    return None


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A complete lab, apart from one the user may have."""
    option = request.config.getoption
    kind = option("--machines")
    if kind == "namespace" and os.geteuid() != 0:
        pytest.fail("the tests make machines: run them as root, for example with sudo")
    wanted = Lab(f"{os.environ.get('LAB', 'dmm')[:11]}-test", kind, option("--lab-topology"))
    terminal = request.config.pluginmanager.getplugin("terminalreporter")
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def say(line: str) -> None:
        with capture.global_and_fixture_disabled():
            terminal.ensure_newline()
            terminal.write_line(line)

    try:
        wanted.make(say)
        yield wanted
    finally:
        if not option("--keep-lab"):
            wanted.destroy(say)


@pytest.fixture
def until(until: Callable[..., Any], lab: Lab) -> Callable[..., Any]:
    """Look first, then wait until something is true; longer where machines are slow."""
    if lab.kind == "namespace":
        return until

    def wait(look: Callable[[], Any], what: str, within_s: float = 20.0) -> Any:
        return until(look, what, within_s * SLOWER)

    return wait
