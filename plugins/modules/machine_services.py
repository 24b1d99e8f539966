#!/usr/bin/python3
"""Ansible module: several services of a machine in one task."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dmm_services import ServiceError, service_manager

DOCUMENTATION = r"""
module: machine_services
short_description: Have several services run, or not, in one task
description:
  - Does for a list of services what C(ansible.builtin.service) does for one. A task costs seconds
    on an emulated machine, and so does each time that systemd reads its units.
options:
  running:
    description: Services that run, now and after boot; started in this order.
    type: list
    elements: str
    default: []
  stopped:
    description: Services that do not run, now or after boot.
    type: list
    elements: str
    default: []
  restarted:
    description: Services to restart if they run already, because something of theirs has changed.
    type: list
    elements: str
    default: []
  reloaded:
    description: Services to reload if they run already.
    type: list
    elements: str
    default: []
  reload_units:
    description: Whether systemd has to read its units first, because one was written.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
"""

EXAMPLES = r"""
- name: Run network and routing
  machine_services:
    running: [dmm-network, bird]
    reloaded: "{{ ['bird'] if written is changed else [] }}"
"""

RETURN = r"""
changed_services:
  description: Services that were started, stopped, restarted, reloaded, enabled or disabled.
  returned: always
  type: list
  elements: str
"""

LISTS = ("running", "stopped", "restarted", "reloaded")


def main() -> None:
    """Run the module."""
    listed = {"type": "list", "elements": "str", "default": []}
    module = AnsibleModule(
        {**dict.fromkeys(LISTS, listed), "reload_units": {"type": "bool", "default": False}},
        supports_check_mode=True,
    )
    wanted = module.params
    manager = service_manager(module)
    names = list(dict.fromkeys(name for kind in LISTS for name in wanted[kind]))
    found = manager.states(names)
    enable = [name for name in wanted["running"] if not found[name]["enabled"]]
    disable = [name for name in wanted["stopped"] if found[name]["enabled"]]
    actions = [(verb, name) for name in names if (verb := action(name, wanted, found[name]))]
    if not module.check_mode:
        try:
            manager.enable(disable, enabled=False, reload_units=False)
            manager.enable(enable, enabled=True, reload_units=wanted["reload_units"])
            for verb, name in actions:
                manager.act(verb, name)
        except ServiceError as error:
            module.fail_json(msg=str(error))
    touched = {*enable, *disable, *(name for _, name in actions)}
    module.exit_json(changed=bool(touched), changed_services=[n for n in names if n in touched])


def action(name: str, wanted: dict[str, Any], found: dict[str, bool]) -> str | None:
    """What has to be done to a service so that it is as wanted now."""
    if not found["running"]:
        return "start" if name in wanted["running"] else None
    for kind, verb in (("stopped", "stop"), ("restarted", "restart"), ("reloaded", "reload")):
        if name in wanted[kind]:
            return verb
    return None


if __name__ == "__main__":
    main()
