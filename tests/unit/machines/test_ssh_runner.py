"""Programs on machines reached by SSH: run as root, ended in time, and again after a death."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paramiko
import pytest

from dmm_testbed.machines import MachineError, ssh_runner

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.machines.conftest import SshLab

    from dmm_testbed.machines.ssh_runner import SshRunner

GOES_ON = ["sh", "-c", 'echo $$ > "$1"; exec sleep 600', "goes-on"]
"""Leaves its process number."""


@pytest.fixture
def is_running(tmp_path: Path) -> Callable[[], bool]:
    """Whether the program that left its process number runs."""

    def look() -> bool:
        text = (tmp_path / "pid").read_text() if (tmp_path / "pid").exists() else ""
        return text.strip().isdigit() and Path(f"/proc/{text.strip()}").exists()

    return look


class TestRun:
    def test_status_output_and_errors_come_back(self, runner: SshRunner) -> None:
        done = runner.run("gw1", ["sh", "-c", "echo out; echo wrong >&2; exit 7"])
        assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "wrong\n")

    def test_arguments_arrive_as_they_are(self, runner: SshRunner) -> None:
        odd = ["two words", "it's", '"', "$HOME", "*", "", "a\nb", "ä"]
        done = runner.run("gw1", ["printf", "%s|", *odd])
        assert done.stdout == "".join(f"{word}|" for word in odd)

    def test_programs_run_as_root_in_the_environment_of_all_machines(
        self, runner: SshRunner, ssh_lab: SshLab
    ) -> None:
        shown = runner.run("gw1", ["env"]).stdout.split()
        assert ssh_lab.server.commands[0].startswith("sudo -n -- ")
        assert {"HOME=/root", "LANG=C.UTF-8"} < set(shown)

    def test_root_needs_no_sudo(self, runner: SshRunner, ssh_lab: SshLab) -> None:
        ssh_lab.configure("StrictHostKeyChecking no", user="root")
        ssh_lab.server.sudo("#!/bin/sh\nexit 99\n")
        assert runner.run("gw1", ["true"]).returncode == 0

    def test_sudo_that_asks_for_a_password_is_told_with_what_to_do(
        self, runner: SshRunner, ssh_lab: SshLab
    ) -> None:
        ssh_lab.server.sudo("#!/bin/sh\necho sudo: a password is required >&2; exit 1\n")
        with pytest.raises(MachineError, match="machine gw1: programs cannot be run as root there"):
            runner.run("gw1", ["true"])

    def test_a_program_that_takes_too_long_is_told_and_ended(
        self,
        runner: SshRunner,
        tmp_path: Path,
        is_running: Callable[[], bool],
        until: Callable[..., Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(ssh_runner, "END_WITHIN_S", 0.5)
        pid = str(tmp_path / "pid")
        with pytest.raises(subprocess.TimeoutExpired):
            runner.run("gw1", [*GOES_ON, pid], timeout_s=1.0)
        until(lambda: not is_running(), "the program has ended")
        assert Path(pid).exists()

    def test_much_output_of_both_kinds_is_read_to_its_end(self, runner: SshRunner) -> None:
        script = "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2"
        found = runner.output("gw1", ["sh", "-c", script])
        assert (len(found.out), len(found.errors)) == (3_000_000, 3_000_000)

    def test_a_program_ended_by_a_signal_is_no_lost_connection(self, runner: SshRunner) -> None:
        assert runner.run("gw1", ["sh", "-c", "kill -KILL $$"]).returncode != 0


class TestReadFile:
    def test_a_large_file_comes_back_byte_for_byte(self, runner: SshRunner, tmp_path: Path) -> None:
        content = os.urandom(4_000_000)
        (tmp_path / "a file").write_bytes(content)
        assert runner.read_file("gw1", str(tmp_path / "a file")) == content

    def test_a_file_that_cannot_be_read_is_named(self, runner: SshRunner) -> None:
        with pytest.raises(OSError, match="gw1: cat: /nowhere: No such file"):
            runner.read_file("gw1", "/nowhere")


class TestStart:
    def test_its_status_is_known_when_it_has_ended(self, runner: SshRunner) -> None:
        started = runner.start("gw1", ["sh", "-c", "exit 7"])
        assert started.wait(20) == 7
        assert (started.poll(), started.returncode) == (7, 7)

    def test_waiting_for_a_program_that_goes_on_takes_as_long_as_it_should(
        self, runner: SshRunner
    ) -> None:
        started = runner.start("gw1", ["sleep", "600"])
        with pytest.raises(subprocess.TimeoutExpired):
            started.wait(0.2)
        assert started.poll() is None
        started.kill()
        assert started.wait(20) != 0

    def test_killing_it_ends_the_program_and_its_children(
        self,
        runner: SshRunner,
        tmp_path: Path,
        is_running: Callable[[], bool],
        until: Callable[..., Any],
    ) -> None:
        child = ["sh", "-c", 'sh -c \'echo $$ > "$0"; exec sleep 600\' "$1"; true', "-"]
        started = runner.start("gw1", [*child, str(tmp_path / "pid")])
        until(is_running, "the program runs")
        started.kill()
        assert started.wait(20) != 0
        until(lambda: not is_running(), "the program has ended")

    def test_losing_the_connection_ends_the_program(
        self,
        runner: SshRunner,
        ssh_lab: SshLab,
        tmp_path: Path,
        is_running: Callable[[], bool],
        until: Callable[..., Any],
    ) -> None:
        started = runner.start("gw1", [*GOES_ON, str(tmp_path / "pid")])
        until(is_running, "the program runs")
        ssh_lab.server.die()
        until(lambda: not is_running(), "the program has ended")
        assert started.wait(20) == -1


class TestConnection:
    def test_many_threads_share_one(self, runner: SshRunner, ssh_lab: SshLab) -> None:
        with ThreadPoolExecutor(8) as pool:
            found = pool.map(lambda n: runner.run("gw1", ["echo", str(n)]).stdout, range(24))
            assert list(found) == [f"{n}\n" for n in range(24)]
        assert ssh_lab.server.connections == 1

    def test_a_machine_that_was_killed_and_came_back_is_reached_again(
        self, runner: SshRunner, ssh_lab: SshLab
    ) -> None:
        assert runner.answers("gw1")
        ssh_lab.server.die()
        assert not runner.answers("gw1")
        ssh_lab.server.listen()
        assert runner.answers("gw1")
        assert ssh_lab.server.connections == 2

    def test_a_machine_that_came_back_elsewhere_is_found_there(
        self, runner: SshRunner, ssh_lab: SshLab
    ) -> None:
        assert runner.answers("gw1")
        ssh_lab.server.die()
        ssh_lab.server.port = 0
        ssh_lab.server.listen()
        ssh_lab.configure()
        assert runner.answers("gw1")

    def test_a_machine_that_does_not_answer_is_told_with_what_to_try(
        self, runner: SshRunner, ssh_lab: SshLab
    ) -> None:
        with pytest.raises(MachineError) as refused:
            runner.run("gone", ["true"])
        told = str(refused.value)
        assert told.startswith("machine gone of lab away cannot be reached: ")
        assert f"try `ssh -F {ssh_lab.folder}/ssh_config gone`" in told
        assert "`make up MACHINES=vagrant LAB=away`" in told

    def test_losing_it_while_a_program_runs_is_told(
        self,
        runner: SshRunner,
        ssh_lab: SshLab,
        tmp_path: Path,
        is_running: Callable[[], bool],
        until: Callable[..., Any],
    ) -> None:
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(runner.run, "gw1", [*GOES_ON, str(tmp_path / "pid")])
            until(is_running, "the program runs")
            ssh_lab.server.die()
            with pytest.raises(MachineError, match="machine gw1: the connection was lost while sh"):
                running.result(20)
        os.kill(int((tmp_path / "pid").read_text()), 15)


PROXY = """
import os, socket, sys, threading
far = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def inwards():
    while chunk := far.recv(65536):
        os.write(1, chunk)
    os._exit(0)
threading.Thread(target=inwards, daemon=True).start()
while chunk := os.read(0, 65536):
    far.sendall(chunk)
"""
"""Carries bytes between its own input and output and a host and port."""


class TestProxy:
    @pytest.fixture(autouse=True)
    def _through(self, ssh_lab: SshLab, tmp_path: Path) -> None:
        (tmp_path / "proxy.py").write_text(PROXY)
        command = f"ProxyCommand {sys.executable} {tmp_path}/proxy.py %h %p"
        ssh_lab.configure("StrictHostKeyChecking no", command)

    def test_a_machine_is_reached_through_a_program(self, runner: SshRunner) -> None:
        assert runner.run("gw1", ["echo", "through"]).stdout == "through\n"

    def test_the_program_ends_with_the_connection(
        self, runner: SshRunner, tmp_path: Path, until: Callable[..., Any]
    ) -> None:
        def there() -> bool:
            return (
                subprocess.run(["pgrep", "-f", f"{tmp_path}/proxy.py"], check=False).returncode == 0
            )

        assert runner.answers("gw1")
        assert there()
        runner.close()
        until(lambda: not there(), "the program has ended")

    def test_a_machine_that_came_back_behind_it_is_reached_again(
        self, runner: SshRunner, ssh_lab: SshLab
    ) -> None:
        started = runner.start("gw1", ["sleep", "600"])
        ssh_lab.server.die()
        assert started.wait(5) == -1, "noticed without anything being sent"
        assert not runner.answers("gw1")
        ssh_lab.server.listen()
        assert runner.answers("gw1")


class TestHostKeys:
    def known(self, ssh_lab: SshLab, key: paramiko.PKey, name: str = "") -> str:
        """A file that knows this key of the machine; gives the option that names it."""
        file = ssh_lab.folder / "known_hosts"
        name = name or f"[127.0.0.1]:{ssh_lab.server.port}"
        file.write_text(f"{name} {key.get_name()} {key.get_base64()}\n")
        return f"UserKnownHostsFile {file}"

    def test_a_known_key_is_taken(self, runner: SshRunner, ssh_lab: SshLab) -> None:
        ssh_lab.configure(self.known(ssh_lab, ssh_lab.server.key))
        assert runner.run("gw1", ["true"]).returncode == 0

    def test_a_key_known_by_another_name_is_taken_if_the_file_says_so(
        self, runner: SshRunner, ssh_lab: SshLab
    ) -> None:
        known = self.known(ssh_lab, ssh_lab.server.key, "alias")
        ssh_lab.configure(known, "HostKeyAlias alias")
        assert runner.run("gw1", ["true"]).returncode == 0

    def test_a_new_one_is_kept_where_new_ones_are_accepted(
        self, runner: SshRunner, ssh_lab: SshLab
    ) -> None:
        file = ssh_lab.folder / "known_hosts"
        ssh_lab.configure(f"UserKnownHostsFile {file}", "StrictHostKeyChecking accept-new")
        assert runner.run("gw1", ["true"]).returncode == 0
        assert ssh_lab.server.key.get_base64() in file.read_text()

    def test_an_unknown_one_is_not(self, runner: SshRunner, ssh_lab: SshLab) -> None:
        ssh_lab.configure("UserKnownHostsFile /dev/null")
        with pytest.raises(MachineError, match=r"machine gw1 .* not found in known_hosts"):
            runner.run("gw1", ["true"])

    def test_another_key_than_the_known_one_is_not(
        self, runner: SshRunner, ssh_lab: SshLab
    ) -> None:
        ssh_lab.configure(self.known(ssh_lab, paramiko.ECDSAKey.generate()))
        with pytest.raises(MachineError, match="machine gw1 of lab away is not who it was"):
            runner.run("gw1", ["true"])
