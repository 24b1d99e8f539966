"""Ansible sees a topology file as an inventory, and a profile as the agents' configuration."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ansible.errors import AnsibleFilterError
from tests.loading import load

from dmm_testbed.topology import functions as installed

if TYPE_CHECKING:
    from collections.abc import Callable

    from dmm_agent.functions.base import Function

REPOSITORY = Path(__file__).parents[3]
ERRORS = REPOSITORY / "tests" / "errors"


def ansible_inventory(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ansible-inventory with this repository's plugins and no configuration of the user's."""
    environment = {
        "HOME": os.environ["HOME"],
        "LC_ALL": "C.UTF-8",
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(sys.path),
        "ANSIBLE_CONFIG": str(Path(__file__).with_name("ansible.cfg")),
    }
    command = Path(sys.executable).with_name("ansible-inventory")
    return subprocess.run(
        [sys.executable, command, *arguments],
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


NAMESPACE = {
    "ansible_connection": "namespace",
    "ansible_python_interpreter": "/usr/bin/python3",
    "dmm_machines": "namespace",
}
ON_MACHINES = """
ssh_machines:
  children:
    machines:
      vars: {dmm_machines: metal, ansible_connection: ssh}
      hosts:
        gw1: {ansible_host: 192.0.2.1}
"""
ON_THEIR_PARENT = """
hosts_of_mine:
  vars: {dmm_machines: metal, ansible_connection: ssh}
  children:
    ssh_machines:
    machines:
      hosts:
        gw1: {ansible_host: 192.0.2.1}
ssh_machines: {children: {machines: }}
"""


def variables(host: str, *files: Path) -> dict[str, Any]:
    """All variables of a host, merged as Ansible merges them."""
    sources = [part for file in files for part in ("-i", str(file))]
    run = ansible_inventory(*sources, "--host", host)
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = _plain(json.loads(run.stdout))
    return found


@pytest.fixture(scope="module")
def listing() -> dict[str, Any]:
    """The inventory of the default topology."""
    path = REPOSITORY / "inventory" / "three-networks.yml"
    run = ansible_inventory("-i", str(path), "--list", "--export", LAB="a-lab")
    assert run.returncode == 0, run.stderr
    inventory: dict[str, Any] = _plain(json.loads(run.stdout))
    return inventory


def _plain(value: Any) -> Any:
    """Without Ansible's marks on text that must not be taken for a template."""
    if isinstance(value, dict):
        return value.get("__ansible_unsafe") or {key: _plain(v) for key, v in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def test_machines_are_grouped_by_role_and_by_network(listing: dict[str, Any]) -> None:
    members = {name: group.get("hosts", []) for name, group in listing.items()}

    assert members["gateways"] == ["gw1", "gw2", "gw3"]
    assert members["access_routers"] == ["ar11", "ar12", "ar21", "ar31", "ar32"]
    assert members["routers"] == ["core"]
    assert members["anchors"] == ["anchor"]
    assert members["correspondents"] == ["cn2"]
    assert members["mobile_nodes"] == ["mn11", "mn21"]
    assert members["network_net2"] == ["gw2", "ar21", "cn2", "mn21"]
    assert set(members["machines"]) - set(members["underlay"]) == {"cn2", "mn11", "mn21"}


def test_each_machine_has_one_variable_with_all_that_roles_need(listing: dict[str, Any]) -> None:
    dmm = listing["_meta"]["hostvars"]["ar12"]["dmm"]

    assert dmm["role"] == "access_router"
    assert dmm["loopback"] == "2001:db8:1::3"
    assert dmm["announces"] == ["2001:db8:1:8200::/56"]
    assert dmm["default_route"] == {"via": "2001:db8:1:2::1", "interface": "gw1"}
    assert [interface["kind"] for interface in dmm["interfaces"]] == ["router", "access", "access"]


def test_machines_are_namespaces_of_the_lab_and_other_hosts_are_not(
    listing: dict[str, Any],
) -> None:
    assert listing["all"]["vars"]["dmm_lab"] == "a-lab"
    assert "ansible_connection" not in listing["all"]["vars"]
    of_a_machine = variables("gw1", REPOSITORY / "inventory" / "small.yml")
    assert {name: of_a_machine[name] for name in NAMESPACE} == NAMESPACE
    assert not listing.get("ssh_machines")


@pytest.mark.parametrize("content", [ON_MACHINES, ON_THEIR_PARENT])
@pytest.mark.parametrize("order", [1, -1])
def test_a_second_inventory_says_what_machines_are_whatever_its_place(
    order: int, content: str, tmp_path: Path
) -> None:
    second = tmp_path / "second.yml"
    second.write_text(content)
    files = [REPOSITORY / "inventory" / "small.yml", second][::order]
    gateway, other = variables("gw1", *files), variables("cn3", *files)

    assert (gateway["dmm_machines"], gateway["ansible_connection"]) == ("metal", "ssh")
    assert (other["dmm_machines"], other["ansible_connection"]) == ("metal", "ssh")
    assert gateway["ansible_host"] == "192.0.2.1"
    assert gateway["dmm"]["role"] == "gateway"
    groups = ansible_inventory("-i", str(files[0]), "-i", str(files[1]), "--list")
    assert json.loads(groups.stdout)["ssh_machines"]["children"] == ["machines"]


def test_a_mistake_in_the_topology_is_an_inventory_error_with_our_sentence() -> None:
    run = ansible_inventory("-i", str(ERRORS / "topology-unknown-role.yml"), "--list")

    assert run.returncode != 0
    assert "topology-unknown-role.yml: host ar11: role: expected one of" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_topology_that_is_not_yaml_is_still_ours_to_explain() -> None:
    run = ansible_inventory("-i", str(ERRORS / "topology-not-yaml.yml"), "--list")

    assert run.returncode != 0
    assert "topology-not-yaml.yml: line 17, column 21: not YAML" in run.stderr


def test_a_lab_must_have_a_name_that_machines_can_carry() -> None:
    run = ansible_inventory(
        "-i", str(REPOSITORY / "inventory" / "small.yml"), "--list", LAB="My Lab"
    )

    assert run.returncode != 0
    assert "LAB (dmm_lab): expected a name of 1 to 16 lower-case letters" in run.stderr


@pytest.fixture
def agent_config_filter(
    functions: dict[str, type[Function[Any]]], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """The filter as Ansible loads it, where the functions of these tests are installed."""
    monkeypatch.setattr(installed.InstalledFunctions, "__new__", lambda _: functions)
    module = load(REPOSITORY / "plugins" / "filter" / "dmm.py")
    filters: dict[str, Callable[..., Any]] = module.FilterModule().filters()
    return filters["dmm_agent_config"]


def test_a_role_gets_the_configuration_of_an_agent_or_nothing(
    agent_config_filter: Callable[..., Any], inventory: Path
) -> None:
    files = (str(inventory / "small.yml"), str(inventory / "profiles" / "gateway-query.yml"))

    assert agent_config_filter("gw1", *files)["address"] == "2001:db8:1::1"
    assert agent_config_filter("cn3", *files) is None


def test_a_mistake_in_a_profile_is_an_error_of_the_filter_with_our_sentence(
    agent_config_filter: Callable[..., Any], inventory: Path
) -> None:
    topology = str(inventory / "small.yml")

    with pytest.raises(AnsibleFilterError, match="unknown function proxi"):
        agent_config_filter("gw1", topology, str(ERRORS / "profile-unknown-function.yml"))
    profile = inventory / "profiles" / "gateway-query.yml"
    with pytest.raises(AnsibleFilterError, match="no host 'gw9'"):
        agent_config_filter("gw9", topology, str(profile))
