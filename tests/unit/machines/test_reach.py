"""Reaching a lab, whatever its machines are: what is not there is told with what to do."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from dmm_testbed.machines import MachineError
from dmm_testbed.machines.reach import reach

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.machines.conftest import SshLab


def test_a_kind_that_is_none_is_told_with_those_there_are() -> None:
    with pytest.raises(MachineError, match="expected one of namespace, vagrant, metal, got 'vm'"):
        reach("vm", "dmm")


@pytest.mark.parametrize("kind", ["namespace", "vagrant", "metal"])
class TestAnyKind:
    def test_what_is_no_name_for_a_lab_is_refused(self, kind: str) -> None:
        with pytest.raises(MachineError, match="lab name: expected 1 to 16 lower-case letters"):
            reach(kind, "../etc")

    def test_a_lab_that_is_not_there_is_told_with_how_to_make_it(
        self, kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("DMM_LABS", str(tmp_path))
        absent = reach(kind, "nowhere")
        assert absent.running() == []
        with pytest.raises(MachineError, match=r"lab nowhere .*`make up .*LAB=nowhere`"):
            absent.made()
        with pytest.raises(MachineError, match="`make up"):
            absent.command("gw1", ["true"])


class TestBySsh:
    def test_a_lab_is_what_its_record_says(self, ssh_lab: SshLab) -> None:
        made = ssh_lab.reach.made()
        assert (made.topology, made.machines) == ("one", frozenset({"gw1", "gone"}))

    def test_machines_that_answer_run(self, ssh_lab: SshLab) -> None:
        assert ssh_lab.reach.running() == ["gw1"]

    def test_a_lab_of_which_nobody_answers_is_told(self, ssh_lab: SshLab) -> None:
        ssh_lab.write(machines=["gone"])
        with pytest.raises(MachineError, match="no machine of lab away answers: start them with"):
            ssh_lab.reach.made()

    def test_a_lab_of_another_kind_is_told(self, ssh_lab: SshLab) -> None:
        ssh_lab.write(kind="metal")
        with pytest.raises(MachineError, match="consists of metal machines, not of vagrant ones"):
            ssh_lab.reach.made()

    def test_a_broken_record_is_told_by_file_and_field(self, ssh_lab: SshLab) -> None:
        ssh_lab.write(machines=7)
        with pytest.raises(MachineError, match=r"away/lab\.json: machines: .*run `make up"):
            ssh_lab.reach.made()

    def test_a_machine_of_no_such_name_is_told_with_those_there_are(self, ssh_lab: SshLab) -> None:
        with pytest.raises(MachineError, match=r"machine gw9 is not .* one of gone, gw1"):
            ssh_lab.reach.command("gw9", ["true"])

    def test_a_command_line_is_one_of_ssh_with_the_labs_file(self, ssh_lab: SshLab) -> None:
        line = ssh_lab.reach.command("gw1", ["echo", "two words"])
        assert line[:3] == ["ssh", "-F", str(ssh_lab.folder / "ssh_config")]
        assert line[-2] == "gw1"
        assert line[-1].startswith("sudo -n -- ")
        assert line[-1].endswith(" echo 'two words'")

    def test_testinfra_shares_the_runners_connection(self, ssh_lab: SshLab, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"\0\xff")
        found = ssh_lab.reach
        host = found.host("gw1")
        assert host.check_output("echo %s", "it's") == "it's"
        assert host.run("exit 3").rc == 3
        assert host.file(str(tmp_path / "file")).content == b"\0\xff"
        assert found.host("gw1") is host
        assert found.runner().run("gw1", ["true"]).returncode == 0
        assert ssh_lab.server.connections == 1

    def test_the_command_lists_them(self, ssh_lab: SshLab) -> None:
        listed = subprocess.run(
            [
                sys.executable,
                "-m",
                "dmm_testbed.machines",
                "list",
                "--machines=vagrant",
                "--lab=away",
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        assert listed.stdout == f"gw1\tsomeone@127.0.0.1:{ssh_lab.server.port}\n"
