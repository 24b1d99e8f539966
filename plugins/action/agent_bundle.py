"""Packs the agent on the controller; options are in `plugins/modules`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from dmm_testbed.machines import MachineError, bundle, interrupt

_display = Display()


def say(words: str) -> None:
    """Show words at once; whoever dies in this leaves a lock behind that Ansible waits for."""
    with interrupt.held_off():
        _display.display(words)


class ActionModule(ActionBase):
    """Runs in the controller's own Python, and says on the way what takes time."""

    _supports_check_mode = True
    _requires_connection = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Do it; returns Ansible's result."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            {
                "source": {"type": "path", "required": True},
                "requirements": {"type": "path", "required": True},
            }
        )
        try:
            path, key = bundle.agent_bundle(
                Path(arguments["source"]), Path(arguments["requirements"]), say
            )
        except (MachineError, OSError) as error:
            raise AnsibleActionFail(str(error)) from None
        return result | {"changed": False, "path": str(path), "key": key}
