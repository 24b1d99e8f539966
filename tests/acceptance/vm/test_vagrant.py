"""Vagrant's own commands on the lab, and what a lab leaves alone on the user's computer."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dmm_testbed.topology.model import Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from labs import Lab

LIBVIRTD = Path(__file__).parents[3] / "vagrant" / "libvirtd"
FIREWALL = [["nft", "list", "ruleset"], ["ip", "rule"], ["ip", "-6", "rule"]]
NETWORK = [["ip", "-brief", "address"], ["ip", "route", "show", "table", "all"]]
FORWARDING = ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding")


def test_vagrant_knows_every_machine_as_running(lab: Lab) -> None:
    status, said = lab.vagrant("status", within_s=120)
    assert status == 0, said
    for name in lab.machines():
        assert any(line.split()[:2] == [name, "running"] for line in said.splitlines()), said


def test_vagrant_ssh_opens_a_shell_on_a_machine(lab: Lab) -> None:
    name = next(iter(lab.machines(Role.MOBILE_NODE)))
    status, said = lab.vagrant("ssh", name, "-c", "hostname", within_s=120)
    assert status == 0, said
    assert name in said.split()


def test_a_halted_machine_comes_back_by_vagrant_up_alone(
    lab: Lab, until: Callable[..., Any]
) -> None:
    name = next(iter(lab.machines(Role.CORRESPONDENT)))
    for command in (("halt", name), ("up", name)):
        status, said = lab.vagrant(*command, within_s=900)
        assert status == 0, said
    assert "Running ansible-playbook" not in said, "nothing had to be provisioned"
    router = next(iter(lab.machines(Role.GATEWAY).values()))["loopback"]
    until(lambda: lab.host(name).run("ping -c 1 -W 2 %s", router).rc == 0, "it reaches a router")


@pytest.mark.parametrize("command", [("up",), ("destroy", "-f")])
def test_machines_that_another_directory_made_are_refused_and_left_alone(
    lab: Lab, command: tuple[str, ...], tmp_path: Path
) -> None:
    name = next(iter(lab.machines(Role.CORRESPONDENT)))
    status, said = lab.vagrant(*command, within_s=120, files=tmp_path)
    assert status != 0
    assert f"{lab.name}_{name}" in said
    assert f"make down MACHINES=vagrant LAB={lab.name}" in said
    assert lab.host(name).run("true").rc == 0


@pytest.fixture
def _own_libvirtd() -> None:
    if subprocess.run([str(LIBVIRTD), "status"], check=False, capture_output=True).returncode:
        pytest.skip("this computer's own libvirt carries the lab")


@pytest.mark.usefixtures("lab", "_own_libvirtd")
def test_a_running_lab_does_not_show_in_the_computers_network() -> None:
    bridges = subprocess.run(
        ["ip", "-brief", "link", "show", "type", "bridge"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "virbr" not in bridges.stdout
    if shutil.which("nft"):
        rules = subprocess.run(
            ["nft", "list", "ruleset"], capture_output=True, text=True, check=True
        )
        assert "LIBVIRT" not in rules.stdout


@pytest.mark.usefixtures("lab", "_own_libvirtd")
def test_libvirts_configuration_on_the_computer_is_as_it_was() -> None:
    for place in ("/etc/libvirt/qemu", "/etc/libvirt/storage", "/var/lib/libvirt/images"):
        found = Path(place)
        assert not found.exists() or not any("test_" in file.name for file in found.rglob("*"))


def users_computer() -> dict[str, Any]:
    """What a user would notice of the computer if libvirt touched it."""

    def told(command: list[str]) -> str:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout

    configuration = Path("/etc/libvirt")
    return {
        "network": [told(command) for command in NETWORK],
        "firewall": [told(command) for command in FIREWALL if shutil.which(command[0])],
        "forwarding": [(Path("/proc/sys") / name).read_text() for name in FORWARDING],
        "mounts": sorted(
            line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()
        ),
        "accounts": Path("/etc/passwd").read_bytes(),
        "libvirt": sorted(map(str, configuration.rglob("*"))) if configuration.exists() else [],
        "places": [str(p) for p in map(Path, PLACES) if p.exists()],
    }


PLACES = ("/run/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt")


def test_a_libvirtd_of_the_testbeds_own_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DMM_LIBVIRT_STATE", str(tmp_path / "libvirt"))
    before = users_computer() | {"places": None}
    if subprocess.run([str(LIBVIRTD), "start"], check=True, capture_output=True).stdout == b"":
        pytest.skip("this computer has a libvirt, so none of the testbed's own is started")
    network = tmp_path / "network.xml"
    network.write_text(
        "<network><name>try</name><bridge name='virbr77'/>"
        "<ip address='192.168.77.1' netmask='255.255.255.0'><dhcp>"
        "<range start='192.168.77.2' end='192.168.77.9'/></dhcp></ip></network>"
    )
    try:
        subprocess.run(
            [str(LIBVIRTD), "virsh", "net-create", str(network)], check=True, capture_output=True
        )
        during = users_computer() | {"places": None}
    finally:
        subprocess.run([str(LIBVIRTD), "stop"], check=True)
    assert during == before
    assert users_computer() | {"places": None} == before
    assert not (tmp_path / "libvirt").exists()
    assert not subprocess.run(
        ["pgrep", "--full", "virbr77|192.168.77"], capture_output=True, check=False
    ).stdout


DOMAIN = """\
<domain type='qemu'><name>LAB_gw1</name><memory unit='MiB'>64</memory><os><type>hvm</type></os>
<devices><disk type='file'><source file='/var/lib/libvirt/images/LAB_gw1.img'/>
<target dev='vda'/></disk><interface type='network'><source network='LAB-gw1-ar11'/></interface>
</devices></domain>"""
NETWORK_OF_A_LAB = "<network><name>LAB-gw1-ar11</name></network>"
LABS = ("try", "try-other")


def test_machines_left_by_a_computer_that_was_cut_off_can_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, here = tmp_path / "libvirt", tmp_path / ".vagrant"
    monkeypatch.setenv("DMM_LIBVIRT_STATE", str(state))

    def libvirtd(*command: str | Path) -> str:
        done = subprocess.run([LIBVIRTD, *command], check=True, capture_output=True, text=True)
        return done.stdout

    if not libvirtd("start"):
        pytest.skip("this computer has a libvirt, so none of the testbed's own is started")
    disks = {lab: state / "lib" / "images" / f"{lab}_gw1.img" for lab in LABS}
    description = tmp_path / "description.xml"
    try:
        for lab in LABS:
            disks[lab].touch()
            for command, text in (("net-define", NETWORK_OF_A_LAB), ("define", DOMAIN)):
                description.write_text(text.replace("LAB", lab))
                libvirtd("virsh", command, description)
        libvirtd("virsh", "pool-refresh", "default")
        os.kill(int((state / "libvirtd.pid").read_text()), signal.SIGKILL)

        assert "try_gw1" in libvirtd("clear", "try", here)

        assert libvirtd("strangers", "try-other", here).split()[1:] == ["try-other_gw1"]
        assert libvirtd("virsh", "net-list", "--all", "--name").split() == ["try-other-gw1-ar11"]
        assert [lab for lab in LABS if disks[lab].exists()] == ["try-other"]
    finally:
        for lab in LABS:
            libvirtd("clear", lab, here)
    assert not state.exists(), "the last one takes the libvirtd with it"
