"""Our Ansible modules: their programs, run the way they are run on machines."""

from __future__ import annotations

import ast
import getpass
import grp
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from tests.loading import load

from dmm_testbed.machines.errors import MachineError
from dmm_testbed.machines.program import COMMAND, PROGRAMS, answer, sent, sources
from dmm_testbed.machines.program_action import argument_spec

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]
OWN = {"owner": getpass.getuser(), "group": grp.getgrgid(os.getgid()).gr_name}


def run(module: str, check: bool = False, **arguments: Any) -> dict[str, Any]:
    """Run a module's program as on a machine; gives its result."""
    checked = ArgumentSpecValidator(argument_spec(module)).validate(arguments)
    assert checked.error_messages == []
    done = subprocess.run(
        ["sh", "-c", COMMAND],
        input=sent(module, checked.validated_parameters, check),
        capture_output=True,
        check=False,
    )
    return answer(module, done.returncode, done.stdout.decode(), done.stderr.decode())


class TestPrograms:
    def test_what_a_machine_prints_before_the_result_is_left_out(self) -> None:
        assert answer("p", 0, 'Welcome\n{"changed": false}\n', "") == {"changed": False}

    @pytest.mark.parametrize(
        ("status", "output", "errors", "told"),
        [
            (1, "", "Traceback\nOSError: disk full", "Traceback\nOSError: disk full"),
            (127, "", "/usr/bin/python3: not found", "/usr/bin/python3: not found"),
            (0, "Welcome", "", "Welcome"),
            (137, "", "", "exit status 137"),
        ],
    )
    def test_the_last_words_of_one_that_ended_otherwise_are_told(
        self, status: int, output: str, errors: str, told: str
    ) -> None:
        with pytest.raises(MachineError) as raised:
            answer("machine_files", status, output, errors)
        assert str(raised.value) == f"machine_files.py ended unexpectedly on the machine: {told}"

    @pytest.mark.parametrize("program", sorted(path.stem for path in PROGRAMS.glob("[!d]*.py")))
    def test_each_needs_the_standard_library_alone(self, program: str) -> None:
        for source in sources(program).values():
            names = {
                name.partition(".")[0]
                for node in ast.walk(ast.parse(source))
                for name in imported_by(node)
            }
            assert names <= sys.stdlib_module_names | {*sources(program)}

    def test_arguments_are_checked_by_the_documentation(self) -> None:
        validator = ArgumentSpecValidator(argument_spec("machine_files"))
        wrong = validator.validate({"files": [{"path": "/etc/one"}]})
        assert wrong.error_messages == ["missing required arguments: content found in files"]
        right = validator.validate({"files": [{"path": "/etc/one", "content": 1}]})
        assert right.validated_parameters["files"][0] == {
            "path": "/etc/one",
            "content": "1",
            "mode": "0644",
            "owner": "root",
            "group": "root",
            "block": False,
            "validate": None,
        }


def imported_by(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


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

    def test_a_program_that_is_missing_is_told(self, tmp_path: Path) -> None:
        target = str(tmp_path / "one")
        files = [{"path": target, "content": "x", "validate": "no-such-program %s", **OWN}]
        done = run("machine_files", files=files)
        assert (
            done["msg"] == f"{target}: refused by `no-such-program %s`: no-such-program: not found"
        )

    def test_no_draft_is_left_beside_a_file(self, tmp_path: Path) -> None:
        refused = {"path": str(tmp_path / "one"), "content": "x", "validate": "false %s", **OWN}
        run("machine_files", files=[refused])
        run("machine_files", files=[{"path": str(tmp_path / "two"), "content": "x", **OWN}])
        assert [path.name for path in tmp_path.iterdir()] == ["two"]

    def test_an_owner_that_the_machine_does_not_know_is_told(self, tmp_path: Path) -> None:
        files = [{"path": str(tmp_path / "one"), "content": "x", "owner": "nobody-at-all"}]
        done = run("machine_files", files=files)
        assert done["failed"]
        assert done["msg"].startswith(f"{tmp_path / 'one'}: ")
        assert "nobody-at-all" in done["msg"]

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


class TestBlocks:
    OWNERS = "127.0.0.1 localhost\n192.0.2.7 printer\n"

    def block(self, path: Path, content: str, check: bool = False) -> dict[str, Any]:
        files = [{"path": str(path), "content": content, "block": True, **OWN}]
        return run("machine_files", check=check, files=files)

    def test_a_file_keeps_its_own_lines_and_permissions(self, tmp_path: Path) -> None:
        hosts = tmp_path / "hosts"
        hosts.write_text(self.OWNERS)
        hosts.chmod(0o640)
        assert self.block(hosts, "2001:db8::1 gw\n")["changed"]
        assert hosts.read_text().startswith(f"{self.OWNERS}# Begin of what Ansible made")
        assert "\n2001:db8::1 gw\n# End of what" in hosts.read_text()
        assert hosts.stat().st_mode & 0o777 == 0o640
        assert not self.block(hosts, "2001:db8::1 gw\n")["changed"]

    def test_another_content_takes_the_place_of_the_one_before(self, tmp_path: Path) -> None:
        hosts = tmp_path / "hosts"
        hosts.write_text(self.OWNERS)
        self.block(hosts, "2001:db8::1 gw\n")
        assert self.block(hosts, "2001:db8::2 gw\n", check=True)["changed"]
        assert self.block(hosts, "2001:db8::2 gw\n")["changed"]
        assert "db8::1" not in hosts.read_text()
        assert hosts.read_text().count("Begin of") == 1

    def test_what_the_owner_adds_below_stays(self, tmp_path: Path) -> None:
        hosts = tmp_path / "hosts"
        hosts.write_text(self.OWNERS)
        self.block(hosts, "2001:db8::1 gw\n")
        hosts.write_text(hosts.read_text() + "192.0.2.8 scanner\n")
        self.block(hosts, "2001:db8::2 gw\n")
        assert "192.0.2.8 scanner\n" in hosts.read_text()

    def test_leaving_the_host_takes_it_out_again(self, tmp_path: Path) -> None:
        hosts = tmp_path / "hosts"
        hosts.write_text(self.OWNERS)
        self.block(hosts, "2001:db8::1 gw\n")
        load(PROGRAMS / "dmm_files.py").restore(hosts, "block")
        assert hosts.read_text() == self.OWNERS


class TestRecord:
    """Files on hosts that somebody wants back as they were."""

    def write(self, place: Path, path: Path, check: bool = False) -> None:
        files = [{"path": str(path), "content": "ours\n", **OWN}]
        run("machine_files", check=check, files=files, record=str(place / "files.json"))

    def test_what_was_there_before_is_kept_and_comes_back(self, tmp_path: Path) -> None:
        conf = tmp_path / "bird.conf"
        conf.write_text("theirs\n")
        conf.chmod(0o600)
        for _ in range(2):
            self.write(tmp_path, conf)
        assert conf.read_text() == "ours\n"
        kept = tmp_path / "bird.conf.before-dmm"
        assert kept.read_text() == "theirs\n"
        load(PROGRAMS / "dmm_files.py").restore(conf, "file")
        assert conf.read_text() == "theirs\n"
        assert conf.stat().st_mode & 0o777 == 0o600
        assert not kept.exists()

    def test_what_was_not_there_before_goes_with_its_empty_directory(self, tmp_path: Path) -> None:
        conf = tmp_path / "dmm" / "agent.yml"
        self.write(tmp_path, conf)
        assert json.loads((tmp_path / "files.json").read_text()) == {str(conf): "file"}
        load(PROGRAMS / "dmm_files.py").restore(conf, "file")
        assert not conf.parent.exists()
        assert tmp_path.exists()

    def test_checking_remembers_nothing(self, tmp_path: Path) -> None:
        self.write(tmp_path, tmp_path / "bird.conf", check=True)
        assert not (tmp_path / "files.json").exists()


class TestFilesThatAreRight:
    """Facts tell the controller of files that were written, so that it need not ask again."""

    def wanted(self, place: Path) -> list[dict[str, Any]]:
        return [
            {"path": str(place / "one"), "content": "é\n", "mode": "0600", **OWN},
            {"path": str(place / "hosts"), "content": "2001:db8::1 gw\n", "block": True, **OWN},
        ]

    def are_right(self, place: Path, **others: Any) -> bool:
        facts = run("machine_facts", record=str(place / "files.json"))["ansible_facts"]
        module = load(ROOT / "plugins" / "action" / "machine_files.py")
        return bool(
            module.all_right(
                others.get("files", self.wanted(place)),
                others.get("absent", []),
                facts["dmm_files"],
            )
        )

    @pytest.fixture
    def place(self, tmp_path: Path) -> Path:
        (tmp_path / "hosts").write_text("127.0.0.1 localhost\n")
        record = str(tmp_path / "files.json")
        run("machine_files", files=self.wanted(tmp_path), record=record)
        return tmp_path

    def test_what_was_written_is_known_to_be_right(self, place: Path) -> None:
        assert self.are_right(place)

    @pytest.mark.parametrize(
        "change",
        [
            lambda place: (place / "one").write_text("another\n"),
            lambda place: (place / "one").chmod(0o640),
            lambda place: (place / "one").unlink(),
            lambda place: (place / "one").rename(place / "two") and (place / "one").mkdir(),
            lambda place: (place / "one").unlink() or (place / "one").symlink_to("hosts"),
            lambda place: (place / "hosts").write_text("127.0.0.1 localhost\n"),
            lambda place: (place / "hosts").write_text(
                (place / "hosts").read_text().replace("::1 gw", "::2 gw")
            ),
            lambda place: (place / "files.json").unlink(),
        ],
        ids=[
            "its text",
            "its permissions",
            "gone",
            "a directory",
            "a symbolic link",
            "without our block",
            "another line in our block",
            "nothing recorded",
        ],
    )
    def test_what_somebody_changed_is_not(
        self, place: Path, change: Callable[[Path], object]
    ) -> None:
        change(place)
        assert not self.are_right(place)

    def test_the_owners_own_lines_do_not_matter(self, place: Path) -> None:
        with (place / "hosts").open("a") as hosts:
            hosts.write("192.0.2.7 printer\n")
        assert self.are_right(place)

    @pytest.mark.parametrize("other", [{"content": "b\n"}, {"mode": "0644"}, {"owner": "nobody"}])
    def test_what_shall_be_otherwise_is_not(self, place: Path, other: dict[str, str]) -> None:
        files = self.wanted(place)
        assert not self.are_right(place, files=[files[0] | other, files[1]])

    def test_a_file_of_ours_that_shall_not_be_there_is_right_once_it_is_gone(
        self, place: Path
    ) -> None:
        gone = str(place / "one")
        assert not self.are_right(place, files=[], absent=[gone])
        (place / "one").unlink()
        assert self.are_right(place, files=[], absent=[gone])
        assert not self.are_right(place, files=[], absent=[str(place / "unknown")])


class TestWaitForRoutes:
    def test_routes_that_are_there_need_no_waiting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        line = "20010db8000100000000000000000001 80 " + "0" * 32 + " 00 gateway 00000000 eth0\n"
        module = load(PROGRAMS / "wait_for_routes.py")
        monkeypatch.setattr(Path, "read_text", lambda *_, **__: line)
        assert [str(route) for route in module.routes()] == ["2001:db8:1::1/128"]

    def test_routes_that_do_not_come_are_told_in_time(self) -> None:
        done = run("wait_for_routes", prefixes=["2001:db8:dead::/48"], within_s=0.2)
        assert done["failed"]
        assert done["msg"].startswith("no route to 2001:db8:dead::/48 after 0 s: look at `birdc")


def test_facts_are_few() -> None:
    facts = run("machine_facts")["ansible_facts"]
    assert set(facts) == {"service_mgr", "dmm_agent_bundle", "dmm_services", "dmm_files"}
    assert set(facts["dmm_services"]) >= {"bird", "dmm-network", "dmm-agent"}
    assert all(
        set(state) == {"known", "running", "enabled"}
        and all(isinstance(v, bool) for v in state.values())
        for state in facts["dmm_services"].values()
    )
    assert facts["service_mgr"] in {"systemd", "service"}


def test_of_a_host_that_is_to_be_a_machine_it_is_told_what_it_lacks() -> None:
    facts = run("machine_facts", packages=["dpkg", "no-such-package"])["ansible_facts"]
    assert facts["dmm_host"]["packages"] == ["no-such-package"]
    assert facts["dmm_host"]["links"] is False
    forwarding = Path("/proc/sys/net/ipv6/conf/all/forwarding").read_text().strip()
    assert facts["dmm_host"]["settings"]["net.ipv6.conf.all.forwarding"] == forwarding
