"""A lab of its own for the acceptance tests, made once; `--lab-topology`, `--keep-lab`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dmm_testbed.machines.testinfra_backend import machine
from dmm_testbed.topology import load_topology
from dmm_testbed.topology.plain import plain_machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dmm_testbed.topology.model import Role


ROOT = Path(__file__).parents[2]
PLAYBOOK_WITHIN_S = 600.0


@dataclass(frozen=True)
class Played:
    """What became of a playbook."""

    status: int
    output: str

    @property
    def changed(self) -> dict[str, int]:
        """Changed tasks by host, hosts without changes left out."""
        found = re.findall(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)", self.output, re.MULTILINE)
        return {host: int(count) for host, count in found if int(count)}


@dataclass(frozen=True)
class Lab:
    """A lab under test."""

    name: str
    topology: str = "three-networks"

    def play(self, playbook: str, *options: str, **variables: str) -> Played:
        """Run a playbook of ours on the lab."""
        given = [part for key, value in variables.items() for part in ("-e", f"{key}={value}")]
        done = subprocess.run(
            [
                str(Path(sys.executable).parent / "ansible-playbook"),
                *("-i", f"inventory/{self.topology}.yml", f"playbooks/{playbook}.yml"),
                *given,
                *options,
            ],
            cwd=ROOT,
            env={**os.environ, "LAB": self.name},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PLAYBOOK_WITHIN_S,
            check=False,
        )
        return Played(done.returncode, done.stdout)

    def host(self, name: str) -> Any:
        """Testinfra's view of a machine."""
        return machine(self.name, name)

    def machines(self, *roles: Role) -> dict[str, dict[str, Any]]:
        """All that is known of the machines with these roles, or of all, by name."""
        machines = load_topology(ROOT / "inventory" / f"{self.topology}.yml").machines.values()
        return {m.name: plain_machine(m) for m in machines if not roles or m.role in roles}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--lab-topology", default="three-networks", help="topology of the lab")
    parser.addoption("--keep-lab", action="store_true", help="leave the lab up at the end")


@pytest.fixture(scope="session", autouse=True)
def _root() -> None:
    if os.geteuid() != 0:
        pytest.fail("acceptance tests make machines: run them as root, for example with sudo")


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A complete lab, apart from one the user may have."""
    wanted = Lab(
        f"{os.environ.get('LAB', 'dmm')[:11]}-test", request.config.getoption("--lab-topology")
    )
    made = wanted.play("site")
    assert made.status == 0, made.output
    yield wanted
    if not request.config.getoption("--keep-lab"):
        wanted.play("destroy")


@pytest.fixture
def until() -> Callable[..., Any]:
    """Look first, then wait until something is true; gives its value."""

    def wait(look: Callable[[], Any], what: str, within_s: float = 20.0) -> Any:
        deadline = time.monotonic() + within_s
        while not (found := look()):
            assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {what}"
            time.sleep(0.05)
        return found

    return wait
