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
import yaml

from dmm_testbed.machines.testinfra_backend import machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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

    def hosts(self, group: str = "machines") -> list[str]:
        """Names of the machines of an inventory group."""
        listed = subprocess.run(
            [
                str(Path(sys.executable).parent / "ansible-inventory"),
                *("-i", f"inventory/{self.topology}.yml", "--list", "--yaml"),
            ],
            cwd=ROOT,
            env={**os.environ, "LAB": self.name},
            capture_output=True,
            text=True,
            check=True,
        )
        return list(_group(yaml.safe_load(listed.stdout)["all"], group)["hosts"])


def _group(tree: dict[str, Any], name: str) -> dict[str, Any]:
    for child, content in (tree.get("children") or {}).items():
        if child == name:
            return dict(content)
        if found := _group(content or {}, name):
            return found
    return {}


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
