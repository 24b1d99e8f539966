"""Builds or takes down a lab of namespace machines; options are in `plugins/modules`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from dmm_testbed.machines import MachineError, interrupt, lab, state
from dmm_testbed.machines.spec import LinkSpec, lab_spec

_display = Display()


def say(words: str) -> None:
    """Show words at once; whoever dies in this leaves a lock behind that Ansible waits for."""
    with interrupt.held_off():
        _display.display(words)


class ActionModule(ActionBase):
    """One task for a whole lab, in the controller's own Python."""

    _supports_check_mode = True
    _requires_connection = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Do it; returns Ansible's result."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            {
                "lab": {"type": "str", "required": True},
                "state": {"choices": ["present", "absent"], "default": "present"},
                "topology": {"type": "str"},
                "machines": {"type": "list", "elements": "str"},
                "links": {"type": "list", "elements": "dict", "default": []},
                "agent_bundle": {"type": "path"},
                "dataplanes": {"type": "list", "elements": "str", "default": []},
            },
            required_if=[("state", "present", ("topology", "machines", "agent_bundle"))],
        )
        act = self._present if arguments["state"] == "present" else self._absent
        try:
            with interrupt.cleaned_up():
                return result | act(arguments)
        except MachineError as error:
            raise AnsibleActionFail(str(error)) from None

    def _present(self, arguments: dict[str, Any]) -> dict[str, Any]:
        name = arguments["lab"]
        # A resolved link also has addresses and the like, which are for the machines to know.
        links = [
            {key: value for key, value in link.items() if key in LinkSpec.model_fields}
            for link in arguments["links"]
        ]
        spec = lab_spec(arguments["topology"], arguments["machines"], links)
        if self._task.check_mode:
            plan = lab.plan(name, spec)
            return {"changed": plan.build, "running": not plan.build, "msg": plan.reason}
        done = lab.up(name, spec, Path(arguments["agent_bundle"]), say, arguments["dataplanes"])
        for warning in done.warnings:
            _display.warning(warning)
        return {"changed": done.build, "running": True, "msg": done.reason}

    def _absent(self, arguments: dict[str, Any]) -> dict[str, Any]:
        name = arguments["lab"]
        there = state.directory(name).exists()
        if not there:
            return {"changed": False, "running": False, "msg": f"there is no lab {name}"}
        if self._task.check_mode:
            return {"changed": True, "running": True, "msg": f"lab {name} would be taken down"}
        ended = lab.down(name)
        return {
            "changed": True,
            "running": False,
            "msg": f"lab {name} is down: {len(ended)} machines ended",
        }
