"""Our Ansible modules, run the way Ansible runs them."""

from __future__ import annotations

import getpass
import grp
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

    import pytest

ROOT = Path(__file__).parents[3]
MODULES = ROOT / "plugins" / "modules"
OWN = {"owner": getpass.getuser(), "group": grp.getgrgid(os.getgid()).gr_name}


def run(module: str, check: bool = False, **arguments: Any) -> dict[str, Any]:
    """Run a module; gives its result."""
    given = {"ANSIBLE_MODULE_ARGS": {**arguments, "_ansible_check_mode": check}}
    source = f"""
import sys, runpy
from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args
with patch_module_args({given["ANSIBLE_MODULE_ARGS"]!r}):
    runpy.run_path({str(MODULES / f"{module}.py")!r}, run_name="__main__")
"""
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=False
    )
    found: dict[str, Any] = json.loads(done.stdout or done.stderr)
    return found


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TestMachineFiles:
    def test_files_are_written_with_their_permissions_and_only_once(self, tmp_path: Path) -> None:
        files = [
            {"path": str(tmp_path / "deep" / "one"), "content": "1\n", "mode": "0600", **OWN},
            {"path": str(tmp_path / "two"), "content": "2\n", **OWN},
        ]
        done = run("machine_files", files=files)
        assert done["changed_paths"] == [file["path"] for file in files]
        assert (tmp_path / "deep" / "one").read_text() == "1\n"
        assert (tmp_path / "deep" / "one").stat().st_mode & 0o777 == 0o600
        assert not run("machine_files", files=files)["changed"]

    def test_checking_tells_the_difference_and_writes_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "one").write_text("old\n")
        files = [{"path": str(tmp_path / "one"), "content": "new\n", **OWN}]
        done = run("machine_files", check=True, files=files)
        assert done["changed"]
        assert (done["diff"][0]["before"], done["diff"][0]["after"]) == ("old\n", "new\n")
        assert (tmp_path / "one").read_text() == "old\n"

    def test_other_permissions_are_put_right(self, tmp_path: Path) -> None:
        (tmp_path / "one").write_text("same\n")
        (tmp_path / "one").chmod(0o777)
        files = [{"path": str(tmp_path / "one"), "content": "same\n", **OWN}]
        assert run("machine_files", check=True, files=files)["changed"]
        assert run("machine_files", files=files)["changed"]
        assert (tmp_path / "one").stat().st_mode & 0o777 == 0o644

    def test_a_file_that_its_program_refuses_is_not_written(self, tmp_path: Path) -> None:
        target = tmp_path / "one"
        files = [{"path": str(target), "content": "x", "validate": "ls --no-such %s", **OWN}]
        done = run("machine_files", files=files)
        assert done["failed"]
        assert done["msg"].startswith(f"{target}: refused by `ls --no-such %s`: ")
        assert not target.exists()

    def test_files_that_shall_not_be_there_go(self, tmp_path: Path) -> None:
        (tmp_path / "one").write_text("x")
        gone = [str(tmp_path / "one"), str(tmp_path / "never")]
        assert run("machine_files", check=True, absent=gone)["changed_paths"] == gone[:1]
        assert run("machine_files", absent=gone)["changed_paths"] == gone[:1]
        assert not run("machine_files", absent=gone)["changed"]

    def test_a_tree_becomes_files(self, tmp_path: Path) -> None:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "tool").write_text("#!/bin/sh\n")
        (tmp_path / "bin" / "tool").chmod(0o755)
        (tmp_path / "note").write_text("é")
        read_tree = load(ROOT / "plugins" / "action" / "machine_files.py").read_tree
        assert read_tree(tmp_path, "/usr/local") == [
            {"path": "/usr/local/bin/tool", "content": "#!/bin/sh\n", "mode": "0755"},
            {"path": "/usr/local/note", "content": "é", "mode": "0644"},
        ]


class TestWaitForRoutes:
    def test_routes_that_are_there_need_no_waiting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        line = "20010db8000100000000000000000001 80 " + "0" * 32 + " 00 gateway 00000000 eth0\n"
        module = load(MODULES / "wait_for_routes.py")
        monkeypatch.setattr(Path, "read_text", lambda *_, **__: line)
        assert [str(route) for route in module.routes()] == ["2001:db8:1::1/128"]

    def test_routes_that_do_not_come_are_told_in_time(self) -> None:
        done = run("wait_for_routes", prefixes=["2001:db8:dead::/48"], within_s=0.2)
        assert done["failed"]
        assert done["msg"].startswith("no route to 2001:db8:dead::/48 after 0 s: look at `birdc")


def test_facts_are_few() -> None:
    facts = run("machine_facts")["ansible_facts"]
    assert set(facts) == {"service_mgr", "dmm_agent_bundle"}
    assert facts["service_mgr"] in {"systemd", "service"}
