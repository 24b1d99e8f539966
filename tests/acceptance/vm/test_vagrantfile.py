"""What Vagrant would tell each provider, for the topologies that come with the testbed.

VirtualBox is not installed where these tests run: a program that answers with a version stands in
for it, which is all that Vagrant asks before it makes a machine.
"""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dmm_testbed.topology import load_topology

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dmm_testbed.topology import Topology

ROOT = Path(__file__).parents[3]
VAGRANT = ROOT / "vagrant"
WITHIN_S = 120

Environment = dict[str, str]
Rendered = dict[str, Any]


@pytest.fixture(scope="module", params=["small", "three-networks"])
def topology(request: pytest.FixtureRequest) -> Topology:
    return load_topology(ROOT / "inventory" / f"{request.param}.yml")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, topology: Topology) -> Environment:
    """A place of its own, where nothing has been made yet."""
    tmp_path = tmp_path_factory.mktemp("vagrant")
    manage = tmp_path / "bin" / "VBoxManage"
    manage.parent.mkdir()
    manage.write_text('#!/bin/sh\n[ "$1" = --version ] && echo 7.0.20r163906\n')
    manage.chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{manage.parent}:{os.environ['PATH']}",
        "VAGRANT_DOTFILE_PATH": str(tmp_path / "dot"),
        "VAGRANT_HOME": str(tmp_path / "home"),
        "TOPOLOGY": topology.name,
        "LAB": "rendered",
    }


def run(
    *command: str, environment: Environment, **changed: str
) -> subprocess.CompletedProcess[str]:
    """Run a command where the Vagrantfile is."""
    return subprocess.run(
        command,
        env={**environment, **changed},
        cwd=VAGRANT,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )


def rendered(environment: Environment, provider: str) -> Rendered:
    """What a provider would be told, by name of the machine."""
    script = str(Path(__file__).parent / "rendered.rb")
    command = ("ruby", script, str(VAGRANT), provider)
    shown = run(*command, environment=environment, VAGRANT_DEFAULT_PROVIDER=provider)
    assert shown.returncode == 0, shown.stderr
    found: Rendered = json.loads(shown.stdout)
    return found


@pytest.fixture(scope="module")
def render(environment: Environment) -> Callable[[str], Rendered]:
    return cache(lambda provider: rendered(environment, provider))


def links(machine: dict[str, Any]) -> list[dict[str, Any]]:
    return [options for kind, options in machine["networks"] if kind == "private_network"]


@pytest.mark.parametrize("provider", ["libvirt", "virtualbox"])
def test_vagrant_finds_no_mistake(environment: Environment, provider: str) -> None:
    done = run("vagrant", "validate", environment=environment, VAGRANT_DEFAULT_PROVIDER=provider)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "validated successfully" in done.stdout


@pytest.mark.parametrize("provider", ["libvirt", "virtualbox"])
def test_every_machine_gets_a_network_for_each_of_its_links(
    render: Callable[[str], Rendered], topology: Topology, provider: str
) -> None:
    rendered = render(provider)
    assert list(rendered) == list(topology.machines)
    for name, machine in rendered.items():
        assert machine["hostname"] == name
        assert len(links(machine)) == len(topology.machines[name].interfaces)
        assert all(link["auto_config"] is False for link in links(machine)), "our roles do that"
    macs = [link["mac"] for machine in rendered.values() for link in links(machine)]
    assert len(set(macs)) == len(macs)


@pytest.mark.parametrize("provider", ["libvirt", "virtualbox"])
def test_the_last_machine_provisions_all(render: Callable[[str], Rendered], provider: str) -> None:
    *others, last = render(provider).values()
    assert last["provisioners"] == ["site"]
    assert all(machine["provisioners"] == [] for machine in others)


def test_libvirts_links_are_isolated_networks_with_the_links_mtu(
    render: Callable[[str], Rendered], topology: Topology
) -> None:
    rendered = render("libvirt")
    for name, machine in rendered.items():
        mtus = {f"rendered-{'-'.join(link.ends)}": link.mtu for link in topology.links}
        for link in links(machine):
            assert link["libvirt__forward_mode"] == "none"
            assert link["libvirt__dhcp_enabled"] is False
            assert link["libvirt__mtu"] == mtus[link["libvirt__network_name"]], name


def test_libvirts_machines_have_a_name_and_a_management_network_of_their_lab(
    render: Callable[[str], Rendered],
) -> None:
    for machine in render("libvirt").values():
        settings = machine["settings"]
        assert settings["default_prefix"] == "rendered_"
        assert settings["management_network_name"] == "rendered-management"
        assert settings["graphics_type"] == "none"
        assert settings["nic_model_type"] == "virtio"


def test_virtualboxes_links_are_internal_networks_that_carry_any_address(
    render: Callable[[str], Rendered], topology: Topology
) -> None:
    for name, machine in render("virtualbox").items():
        machine_links = links(machine)
        ends = {link["virtualbox__intnet"] for link in machine_links}
        assert len(ends) == len(machine_links)
        assert all(link["nic_type"] == "virtio" for link in machine_links)
        for adapter in range(2, len(machine_links) + 2):
            # A mobile node's bridge and an access router speak from addresses of their own.
            wanted = ["modifyvm", ":id", f"--nicpromisc{adapter}", "allow-all"]
            assert wanted in machine["customizations"], name
        assert len(machine_links) == len(topology.machines[name].interfaces)


def test_virtualbox_takes_a_public_box_and_a_chipset_with_room(
    render: Callable[[str], Rendered],
) -> None:
    for machine in render("virtualbox").values():
        assert machine["box"] == "debian/bookworm64"
        many = len(links(machine)) + 1 > 8
        chipset = ["modifyvm", ":id", "--chipset", "ich9" if many else "piix3"]
        assert chipset in machine["customizations"]


def test_a_machine_that_the_topology_has_no_more_is_known_and_not_started(
    environment: Environment, topology: Topology, tmp_path: Path
) -> None:
    made = tmp_path / "dot" / "machines" / "former" / "libvirt"
    made.mkdir(parents=True)
    (made / "id").write_text("b7d5a5e4-0000-4000-8000-000000000000")
    machines = rendered({**environment, "VAGRANT_DOTFILE_PATH": str(tmp_path / "dot")}, "libvirt")
    assert set(machines) == {*topology.machines, "former"}
    assert links(machines["former"]) == []
    assert {name for name, machine in machines.items() if not machine["autostart"]} == {"former"}


@pytest.fixture
def made(environment: Environment, topology: Topology) -> Iterator[None]:
    """The place holds a lab."""
    place = Path(environment["VAGRANT_DOTFILE_PATH"])
    place.mkdir(exist_ok=True)
    record = place / "dmm-lab.json"
    record.write_text(
        json.dumps({"topology": topology.name, "profile": "gateway-query", "lab": "rendered"})
    )
    yield
    record.unlink(missing_ok=True)


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("other", [{"LAB": "other"}, {"TOPOLOGY": "five-networks"}])
def test_another_lab_in_the_same_place_is_refused(
    environment: Environment, other: dict[str, str]
) -> None:
    refused = run("vagrant", "status", environment=environment, **other)
    assert refused.returncode != 0
    ((name, value),) = other.items()
    assert f"{name}={value} is refused: run `vagrant destroy -f` first" in " ".join(
        refused.stderr.split()
    )


@pytest.mark.usefixtures("made")
def test_a_lab_is_destroyed_whatever_topology_one_names(
    environment: Environment, topology: Topology
) -> None:
    command = ("vagrant", "destroy", "-f")
    destroyed = run(*command, environment=environment, TOPOLOGY="five-networks")
    assert destroyed.returncode == 0, destroyed.stderr
    for name in topology.machines:
        assert f"{name}: Domain is not created" in destroyed.stdout


def test_a_lab_larger_than_the_computer_is_refused_before_anything_is_made(
    environment: Environment,
) -> None:
    refused = run("vagrant", "up", environment=environment, DMM_MEMORY_MIB="1000000")
    assert refused.returncode != 0
    assert "MiB of memory" in refused.stderr
    assert "TOPOLOGY=small has eight machines" in " ".join(refused.stderr.split())
