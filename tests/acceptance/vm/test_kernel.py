"""The kernel tests of what this computer's kernel may lack, in a machine whose kernel has it.

A machine of the lab only lends its kernel: the tests make network namespaces of their own.
"""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dmm_testbed.machines.bundle import PLACE
from dmm_testbed.topology import load_topology
from dmm_testbed.topology.model import Role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs import Lab

ROOT = Path(__file__).parents[3]
PARTS = (
    "agent/dmm_agent",
    "agent/pyproject.toml",
    "pyproject.toml",
    "tests/kernel/agent",
    "controller/dmm_testbed/verify",
)
PURE_PYTHON = ("pytest", "pluggy", "iniconfig", "packaging", "pygments")
"""What pytest needs; the rest is the agent's, which each machine has or gets in its bundle."""
FOLDER = "/root/dmm-kernel-tests"
WITHIN_S = 1500.0


@pytest.fixture
def machine(lab: Lab) -> Iterator[str]:
    """A gateway, with the tests and what they need in a folder that goes away."""
    topology = load_topology(ROOT / "inventory" / f"{lab.topology}.yml")
    name = topology.with_role(Role.GATEWAY)[0].name
    unpack = ["sh", "-c", f"rm -rf {FOLDER} && mkdir {FOLDER} && tar -xz -C {FOLDER}"]
    subprocess.run(lab.reach.command(name, unpack), input=packed(), check=True, timeout=120)
    yield name
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


def test_all_that_needs_tunnel_devices_passes_on_a_kernel_that_has_them(
    lab: Lab, machine: str
) -> None:
    paths = ":".join(f"{FOLDER}/{part}" for part in ("agent", "controller", "lib")) + f":{PLACE}"
    script = (
        f"cd {FOLDER} && PYTHONPATH={paths} PYTHONDONTWRITEBYTECODE=1 "
        "python3 -m pytest -p no:cacheprovider -m ip6tnl tests/kernel/agent"
    )
    done = subprocess.run(
        lab.reach.command(machine, ["sh", "-c", script]),
        capture_output=True,
        text=True,
        check=False,
        timeout=WITHIN_S,
    )

    print(done.stdout)
    summary = done.stdout.strip().splitlines()[-1]
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert re.search(r"\d+ passed", summary)
    assert "skipped" not in summary, "this kernel has all of it"
