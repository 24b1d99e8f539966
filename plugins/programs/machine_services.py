"""On a machine: several services of a machine in one task."""

from __future__ import annotations

import sys
from typing import Any

from dmm_commands import run_command
from dmm_services import ServiceError, service_manager

LISTS = ("running", "stopped", "restarted", "reloaded")


def run(wanted: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Have the services be as wanted; gives Ansible's result."""
    manager = service_manager(run_command)
    names = list(dict.fromkeys(name for kind in LISTS for name in wanted[kind]))
    found = manager.states(names)
    enable = [name for name in wanted["running"] if not found[name]["enabled"]]
    disable = [name for name in wanted["stopped"] if found[name]["enabled"]]
    actions = [(verb, name) for name in names if (verb := action(name, wanted, found[name]))]
    if not check_mode:
        try:
            manager.enable(disable, enabled=False, reload_units=False)
            manager.enable(enable, enabled=True, reload_units=wanted["reload_units"])
            for verb, name in actions:
                manager.act(verb, name)
        except ServiceError as error:
            sys.exit(str(error))
    touched = {*enable, *disable, *(name for _, name in actions)}
    return {"changed": bool(touched), "changed_services": [n for n in names if n in touched]}


def action(name: str, wanted: dict[str, Any], found: dict[str, bool]) -> str | None:
    """What has to be done to a service so that it is as wanted now."""
    if not found["running"]:
        return "start" if name in wanted["running"] else None
    for kind, verb in (("stopped", "stop"), ("restarted", "restart"), ("reloaded", "reload")):
        if name in wanted[kind]:
            return verb
    return None
