"""Kernel tests on another kernel: of what this computer's may lack, and of what is rarely asked.

Machines of the lab only lend their kernel: the tests make network namespaces of their own. Two
machines share them, for under emulation one machine keeps one core busy for minutes.
"""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dmm_testbed.machines.bundle import PLACE
from dmm_testbed.topology import load_topology
from dmm_testbed.topology.model import Role

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labs import Lab

ROOT = Path(__file__).parents[3]
TESTS = "tests/kernel/agent"
PARTS = (
    "agent/dmm_agent",
    "agent/pyproject.toml",
    "pyproject.toml",
    TESTS,
    "controller/dmm_testbed/verify",
)
PURE_PYTHON = ("pytest", "pluggy", "iniconfig", "packaging", "pygments")
"""What pytest needs; the rest is the agent's, which each machine has or gets in its bundle."""
FOLDER = "/root/dmm-kernel-tests"
WANTED = "ip6tnl or other_kernels"
WITHIN_S = 1500.0


@pytest.fixture
def machines(lab: Lab) -> Iterator[list[str]]:
    """Two gateways, with the tests and what they need in a folder that goes away."""
    topology = load_topology(ROOT / "inventory" / f"{lab.topology}.yml")
    names = [machine.name for machine in topology.with_role(Role.GATEWAY)[:2]]
    unpack = ["sh", "-c", f"rm -rf {FOLDER} && mkdir {FOLDER} && tar -xz -C {FOLDER}"]
    archive = packed()
    for name in names:
        subprocess.run(lab.reach.command(name, unpack), input=archive, check=True, timeout=120)
    yield names
    for name in names:
        lab.host(name).check_output("rm -rf %s", FOLDER)


def packed() -> bytes:
    """The tests, the agent and pytest as an archive."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for part in PARTS:
            archive.add(ROOT / part, arcname=part, filter=_only_sources)
        for name in PURE_PYTHON:
            for file in distribution(name).files or ():
                if ".." not in file.parts and "__pycache__" not in file.parts:
                    archive.add(str(file.locate()), arcname=f"lib/{file}")
    return made.getvalue()


def _only_sources(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if entry.name.endswith("__pycache__") else entry


def test_tunnel_devices_and_rewriting_work_on_the_kernel_of_the_machines(
    lab: Lab, machines: list[str]
) -> None:
    files = sorted(str(path.relative_to(ROOT)) for path in (ROOT / TESTS).glob("test_*.py"))
    shares = [files[number :: len(machines)] for number in range(len(machines))]
    with ThreadPoolExecutor(len(machines)) as pool:
        for done in pool.map(partial(run_tests, lab), machines, shares):
            print(done.stdout)
            summary = done.stdout.strip().splitlines()[-1]
            assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
            assert re.search(r"\d+ passed", summary)
            assert "skipped" not in summary, "this kernel has all of it"


def run_tests(lab: Lab, machine: str, files: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run those of the tests in files that this computer's kernel says too little about."""
    paths = ":".join(f"{FOLDER}/{part}" for part in ("agent", "controller", "lib")) + f":{PLACE}"
    script = (
        f"cd {FOLDER} && PYTHONPATH={paths} "
        f"python3 -m pytest -p no:cacheprovider -m '{WANTED}' {' '.join(files)}"
    )
    return subprocess.run(
        lab.reach.command(machine, ["sh", "-c", script]),
        capture_output=True,
        text=True,
        check=False,
        timeout=WITHIN_S,
    )
