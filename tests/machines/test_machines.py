"""Machines of namespaces: apart from each other and from the user's computer, whole or absent."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dmm_testbed.machines import MachineError, lab, process, state
from dmm_testbed.machines.spec import lab_spec
from dmm_testbed.machines.testinfra_backend import machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dmm_testbed.machines.spec import LabSpec

NAME = f"{os.environ.get('LAB', 'dmm')[:10]}-parts"
SPEC = lab_spec(
    "two-and-one",
    ["left", "middle", "right"],
    [{"ends": ["left", "middle"], "mtu": 1600}, {"ends": ["middle", "right"], "mtu": 1400}],
)
PLACES = ("/etc", "/run", "/tmp", "/usr", "/var", "/dev/shm", "/root")  # noqa: S108 - for both


@pytest.fixture
def words() -> list[str]:
    return []


@pytest.fixture
def up(agent: Path, words: list[str]) -> Iterator[Callable[..., lab.Plan]]:
    def build(spec: LabSpec = SPEC) -> lab.Plan:
        return lab.up(NAME, spec, agent, words.append)

    lab.down(NAME)
    yield build
    lab.down(NAME)


def machine_processes() -> set[str]:
    """PIDs of all processes on this computer that belong to a machine of our lab."""
    mark = f"DMM_MACHINE={NAME}/".encode()
    found = set()
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in environment.read_bytes():
                found.add(environment.parent.name)
        except OSError:
            continue
    return found


def users_computer() -> dict[str, Any]:
    """What a user would notice of his own computer if a lab touched it."""

    def told(*command: str) -> list[str]:
        if not shutil.which(command[0]):
            return []
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split(
            "\n"
        )

    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return {
        "links": [line.split(":")[1] for line in told("ip", "-oneline", "link") if line],
        "addresses": told("ip", "-brief", "address"),
        "routes": told("ip", "route", "show", "table", "all"),
        "routes6": told("ip", "-6", "route", "show", "table", "all"),
        "rules": told("ip", "rule") + told("ip", "-6", "rule"),
        "nftables": told("nft", "list", "ruleset"),
        "mounts": sorted(mount for mount in mounts if not mount.startswith("/run/netns")),
        "packages": Path("/var/lib/dpkg/status").read_bytes(),
        "sysctls": kernel_settings(),
    }


def kernel_settings() -> dict[str, str]:
    """Settings of the kernel that only change when someone changes them."""
    settings = {}
    for folder in ("/proc/sys/net/core", "/proc/sys/net/ipv4", "/proc/sys/net/ipv6/conf/all"):
        for file in Path(folder).rglob("*"):
            try:
                settings[str(file)] = file.read_text(encoding="ascii")
            except OSError:  # directories, and some settings that cannot be read while unset
                continue
    settings["hostname"] = Path("/proc/sys/kernel/hostname").read_text()
    return settings


@pytest.fixture(scope="class")
def _built(agent: Path) -> Iterator[None]:
    lab.up(NAME, SPEC, agent, lambda _: None)
    yield
    lab.down(NAME)


@pytest.mark.usefixtures("_built")
class TestApart:
    def test_a_machine_has_its_own_host_name_processes_and_interfaces(self) -> None:
        left = machine(NAME, "left")
        assert left.check_output("hostname") == "left"
        assert left.check_output("cat /etc/hostname") == "left"
        assert left.check_output("cat /proc/1/comm") == "tini"
        assert int(left.check_output("ls -d /proc/[0-9]* | wc -l")) < 10
        assert left.check_output("ls /sys/class/net").split() == ["lo", "middle"]

    @pytest.mark.parametrize("place", PLACES)
    def test_what_a_machine_writes_is_its_own(self, place: str) -> None:
        file = f"{place}/written-by-left"
        machine(NAME, "left").check_output("echo mine > %s", file)
        assert machine(NAME, "left").file(file).content_string == "mine\n"
        assert not machine(NAME, "right").file(file).exists
        assert not Path(file).exists()

    def test_a_machine_has_the_programs_that_the_user_needs_not_have(self) -> None:
        for program in ("bird", "birdc", "ifup", "nft", "ping", "rdisc6", "tcpdump", "tini"):
            assert machine(NAME, "left").exists(program), program
        assert machine(NAME, "left").file("/opt/dmm-agent/bin/dmm-agent").mode & 0o111

    def test_a_machine_starts_without_the_users_network_configuration(self) -> None:
        interfaces = machine(NAME, "left").file("/etc/network/interfaces").content_string
        assert "eth0" not in interfaces
        assert machine(NAME, "left").check_output("ls /etc/network/interfaces.d") == ""

    def test_a_machine_may_change_the_kernel_settings_of_its_network_only(self) -> None:
        left = machine(NAME, "left")
        assert left.run("sysctl -w net.ipv6.conf.all.forwarding=1").rc == 0
        same = Path("/proc/sys/kernel/panic").read_text(encoding="ascii").strip()
        assert left.run("sysctl -w kernel.panic=%s", same).rc != 0

    def test_a_link_has_an_end_in_each_machine_named_after_the_other(self) -> None:
        middle = machine(NAME, "middle")
        assert sorted(middle.check_output("ls /sys/class/net").split()) == ["left", "lo", "right"]
        assert middle.check_output("cat /sys/class/net/left/mtu") == "1600"
        assert machine(NAME, "right").check_output("cat /sys/class/net/middle/mtu") == "1400"

    def test_packets_cross_a_link(self, until: Callable[..., Any]) -> None:
        for near, far in (("left", "middle"), ("middle", "left")):
            machine(NAME, near).check_output("ip link set dev %s up", far)
        link_local = machine(NAME, "middle").check_output(
            "ip -brief -6 address show dev left | awk '{print $3}' | cut -d/ -f1"
        )
        ping = "ping -c 1 -W 1 %s%%middle"
        until(lambda: machine(NAME, "left").run(ping, link_local).rc == 0, "an answer")

    def test_ending_what_entered_a_machine_ends_the_command_inside(
        self, until: Callable[..., Any]
    ) -> None:
        line = process.enter(state.pid_of(NAME, "right"), ["sleep", "54321"])
        entered = subprocess.Popen(line)
        running = "pgrep --full --exact 'sleep 54321'"
        until(lambda: machine(NAME, "right").run(running).rc == 0, "the command runs")
        entered.kill()
        entered.wait()
        until(lambda: machine(NAME, "right").run(running).rc == 1, "the command has ended")


class TestWholeOrNothing:
    def test_building_again_changes_nothing(self, up: Callable[..., lab.Plan]) -> None:
        assert up().build
        before = state.running(NAME)
        assert not up().build
        assert state.running(NAME) == before
        assert set(before) == set(SPEC.machines)

    def test_another_topology_under_the_same_name_is_refused(
        self, up: Callable[..., lab.Plan]
    ) -> None:
        up()
        with pytest.raises(MachineError, match=rf"lab {NAME} runs topology two-and-one: take it"):
            up(lab_spec("other", ["left"], []))
        with pytest.raises(MachineError, match="an earlier state of topology two-and-one"):
            up(lab_spec("two-and-one", ["left"], []))
        assert len(state.running(NAME)) == 3

    def test_a_lab_that_lost_a_machine_is_built_anew_with_a_word(
        self, up: Callable[..., lab.Plan], words: list[str]
    ) -> None:
        up()
        before = state.running(NAME)
        process.end(before["right"], NAME, "right")
        assert up().build
        assert f"lab {NAME} has lost right: building it anew" in words
        assert set(state.running(NAME)) == set(SPEC.machines)
        assert not set(state.running(NAME).values()) & set(before.values())

    def test_taking_down_twice_is_fine(self, up: Callable[..., lab.Plan]) -> None:
        up()
        assert sorted(lab.down(NAME)) == sorted(SPEC.machines)
        assert lab.down(NAME) == []
        assert not state.directory(NAME).exists()

    @pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
    def test_a_builder_that_is_ended_midway_leaves_no_machine(
        self,
        how: signal.Signals,
        agent: Path,
        up: Callable[..., lab.Plan],
        words: list[str],
        until: Callable[..., Any],
    ) -> None:
        builder = subprocess.Popen(
            [sys.executable, "-c", BUILDER, NAME, SPEC.model_dump_json(), str(agent)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert builder.stdout
        assert builder.stdout.readline() == "machines wait for their links\n"
        assert len(machine_processes()) >= len(SPEC.machines)
        builder.send_signal(how)
        builder.wait(20)
        until(lambda: not machine_processes(), "no process of a machine is left")
        assert up().build
        if how is signal.SIGKILL:
            assert any("what an interrupted run left: building it anew" in word for word in words)
        assert set(state.running(NAME)) == set(SPEC.machines)

    def test_half_a_lab_can_be_taken_down(self, up: Callable[..., lab.Plan]) -> None:
        up()
        (state.directory(NAME) / "lab.json").unlink()
        lab.down(NAME)
        assert not machine_processes()
        assert not state.directory(NAME).exists()

    def test_a_failed_build_leaves_nothing(
        self, up: Callable[..., lab.Plan], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> tuple[str, ...]:
            raise MachineError("no links today")

        monkeypatch.setattr("dmm_testbed.machines.links.connect", refuse)
        with pytest.raises(MachineError, match="no links today"):
            up()
        assert not machine_processes()
        assert not state.directory(NAME).exists()

    def test_a_machine_that_does_not_run_is_told_with_what_to_do(self) -> None:
        with pytest.raises(MachineError, match="does not run: run `make up` first"):
            machine(NAME, "left").run("true")


BUILDER = """
import signal, sys, time
from pathlib import Path
from dmm_testbed.machines import lab
from dmm_testbed.machines.spec import LabSpec

# Whoever was started in the background by a shell ignores SIGINT, and so would its children.
signal.signal(signal.SIGINT, signal.default_int_handler)

def stay(*_):
    print("machines wait for their links", flush=True)
    time.sleep(60)

lab.links.connect = stay
lab.up(sys.argv[1], LabSpec.model_validate_json(sys.argv[2]), Path(sys.argv[3]), lambda _: None)
"""


def test_a_slow_link_is_emulated_or_its_absence_told(up: Callable[..., lab.Plan]) -> None:
    slow = {"delay_ms": 20, "loss_percent": 1, "rate_mbit": 10}
    spec = lab_spec("slow", ["left", "right"], [{"ends": ["left", "right"], "impairments": slow}])
    done = up(spec)
    queues = machine(NAME, "left").check_output("tc qdisc show dev right")
    for scheduler in ("netem", "tbf"):
        told = any(f"no {scheduler} queue" in warning for warning in done.warnings)
        assert told != (scheduler in queues), (scheduler, queues, done.warnings)
    assert up(spec).warnings == done.warnings, "told again when nothing has to be done"


def test_nothing_outside_a_lab_is_touched(up: Callable[..., lab.Plan]) -> None:
    before = users_computer()
    up()
    machine(NAME, "left").check_output(
        "ip link set middle up; nft add table ip6 mine; ip -6 rule add pref 5 lookup 605;"
        "sysctl -qw net.ipv6.conf.all.forwarding=1; touch /etc/network/mine; mount -t tmpfs x /mnt"
    )
    during = users_computer()
    lab.down(NAME)
    after = users_computer()
    for what, then in before.items():
        assert during[what] == then, what
        assert after[what] == then, what
