"""Ansible filters that make files for the machines of a DMM testbed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleFilterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

DOCUMENTATION = r"""
name: dmm_agent_config
short_description: Configuration of a host's DMM agent
description:
  - Checks the topology and the profile and gives what belongs into the agent's configuration file,
    or nothing if the profile places no function on the host.
positional: topology_file, profile_file
options:
  _input:
    description: Name of the host.
    type: str
    required: true
  topology_file:
    description: Path of the topology file; the inventory has it as C(dmm_topology.file).
    type: path
    required: true
  profile_file:
    description: Path of the profile file.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Configure the agent
  ansible.builtin.copy:
    content: "{{ config | to_nice_yaml(sort_keys=false) }}"
    dest: /etc/dmm/agent.yml
    mode: "0644"
  when: config is not none
  vars:
    config: "{{ inventory_hostname | dmm_agent_config(dmm_topology.file, dmm_profile_file) }}"
"""

RETURN = r"""
_value:
  description: The configuration, or null.
  type: dict
"""


def dmm_agent_config(host: str, topology_file: str, profile_file: str) -> dict[str, Any] | None:
    """Make the configuration of a host's agent.

    Raises:
        AnsibleFilterError: something is wrong with the files, or the host is not in the topology.
    """
    # Imported here: Ansible loads all filters in every process, and few use this one.
    from dmm_testbed.topology.agent_config import agent_config
    from dmm_testbed.topology.check import load_checked
    from dmm_testbed.topology.sentences import InputError

    try:
        topology, profile = load_checked(topology_file, profile_file)
        return agent_config(topology, profile, host)
    except InputError as error:
        raise AnsibleFilterError(str(error)) from None
    except KeyError as error:
        raise AnsibleFilterError(f"{topology_file}: no host {error}") from None


def dmm_agent_keys(host: str, topology_file: str, profile_file: str, secret: str) -> str:
    """Make the file of keys of a host's agent; empty if it needs none.

    Raises:
        AnsibleFilterError: something is wrong with the files.
    """
    import yaml

    from dmm_testbed.topology.agent_keys import agent_keys
    from dmm_testbed.topology.check import load_checked
    from dmm_testbed.topology.sentences import InputError

    try:
        keys = agent_keys(*load_checked(topology_file, profile_file), host, secret)
    except InputError as error:
        raise AnsibleFilterError(str(error)) from None
    return yaml.safe_dump(keys, sort_keys=False) if keys else ""


def dmm_dataplanes(topology_file: str, profile_file: str) -> list[str]:
    """Say how the agents tunnel (docs/dataplane.md), all of them together.

    Raises:
        AnsibleFilterError: something is wrong with the files.
    """
    from dmm_testbed.topology.check import load_checked
    from dmm_testbed.topology.placement import data_planes
    from dmm_testbed.topology.sentences import InputError

    try:
        return sorted(data_planes(*load_checked(topology_file, profile_file)))
    except InputError as error:
        raise AnsibleFilterError(str(error)) from None


def dmm_underlay(topology_file: str, profile_file: str) -> dict[str, dict[str, Any]]:
    """Say what each router announces and advertises, and which routes it is to have.

    Raises:
        AnsibleFilterError: something is wrong with the files.
    """
    from dmm_testbed.topology.check import load_checked
    from dmm_testbed.topology.sentences import InputError
    from dmm_testbed.topology.underlay import underlay

    try:
        routing = underlay(*load_checked(topology_file, profile_file))
    except InputError as error:
        raise AnsibleFilterError(str(error)) from None
    return {
        host: {
            "announces": list(map(str, part.announces)),
            "own_blocks_only": part.own_blocks_only,
            "plain": part.plain and str(part.plain),
            "advertises_plain": part.advertises_plain,
            "mobile_networks": [
                {"prefix": str(n.prefix), "via": str(n.via), "interface": n.interface}
                for n in part.mobile_networks
            ],
            "routes": list(map(str, part.routes)),
        }
        for host, part in routing.items()
    }


def dmm_all_run(states: Mapping[str, Mapping[str, bool]], names: Sequence[str]) -> bool:
    """Say whether services run and start at boot, by what `machine_facts` has found of them."""
    return all(states[name]["running"] and states[name]["enabled"] for name in names)


class FilterModule:
    """The filters of this file, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filters by name."""
        return {
            "dmm_agent_config": dmm_agent_config,
            "dmm_agent_keys": dmm_agent_keys,
            "dmm_all_run": dmm_all_run,
            "dmm_dataplanes": dmm_dataplanes,
            "dmm_underlay": dmm_underlay,
        }
