"""A function in a package of its own is found by its entry point; nothing here is edited for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "tests" / "packages" / "tally"

USE_IT = """
import json
from ipaddress import IPv6Address
from random import Random

from dmm_agent.functions.events import Attached
from dmm_agent.functions.node import build_node
from dmm_agent.simulator.plan import make_plan

plan = make_plan(networks=1, access_routers=1, mobile_nodes=2)
config = plan.config(plan.routers["ar11"], {})
config = config.model_copy(update={"functions": {**config.functions, "tally": {}}})
node = build_node(config, Random(1))
for mac in ("02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:01"):
    node.handle(Attached("mn1", mac, IPv6Address("fe80::1"), solicited=True), 0.0)
print(json.dumps(node.snapshot(0.0)["tally"]))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the package is installed, and in no other."""
    target = tmp_path_factory.mktemp("site")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"),
            *("--no-build-isolation", "--target", str(target), str(PACKAGE)),
        ],
        check=True,
    )
    searched = [str(target), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(searched)}


def profile_with_it(folder: Path) -> Path:
    shipped = (ROOT / "inventory/profiles/gateway-query.yml").read_text(encoding="utf-8")
    changed = shipped.replace("access_router: [proxy]", "access_router: [proxy, tally]")
    assert changed != shipped
    file = folder / "with-tally.yml"
    file.write_text(f"{changed}  tally_every: 5\n", encoding="utf-8")
    return file


def check(profile: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dmm_testbed.topology.check"]
    return subprocess.run(
        [*command, "inventory/three-networks.yml", str(profile)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_agent_runs_it_beside_its_own(installed: dict[str, str]) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", USE_IT], env=installed, capture_output=True, text=True, check=True
    )
    assert json.loads(ran.stdout) == [{"host": "ar11", "nodes": 2}]


def test_a_profile_may_place_it_and_set_its_options(
    installed: dict[str, str], tmp_path: Path
) -> None:
    done = check(profile_with_it(tmp_path), installed)
    assert done.returncode == 0, done.stderr


def test_where_it_is_not_installed_the_profile_is_refused(tmp_path: Path) -> None:
    done = check(profile_with_it(tmp_path), dict(os.environ))
    assert done.returncode == 2
    assert "tally" in done.stderr


def test_the_documentation_shows_this_very_function() -> None:
    page = (ROOT / "docs" / "functions.md").read_text(encoding="utf-8")
    assert (PACKAGE / "tally.py").read_text(encoding="utf-8") in page
    assert (PACKAGE / "pyproject.toml").read_text(encoding="utf-8") in page
