"""Unpacks the agent's bundle on a machine; options are in `plugins/modules`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

UNPACK = (
    "set -e; new=/opt/.dmm-agent.new; rm -rf $new; mkdir -p $new; tar -xz -C $new; "
    "rm -rf /opt/dmm-agent; mv $new/dmm-agent /opt/dmm-agent; rmdir $new"
)
"""Beside the old one first: what is interrupted leaves either, or neither, but not half of one."""


class ActionModule(ActionBase):
    """Hands the archive to `tar` on the machine, without any Python there."""

    _supports_check_mode = True

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Do it; returns Ansible's result."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec({"bundle": {"type": "path", "required": True}})
        bundle = Path(arguments["bundle"])
        if not self._task.check_mode:
            done = self._low_level_execute_command(UNPACK, in_data=bundle.read_bytes())
            if done["rc"]:
                told = (done["stderr"] or done["stdout"]).strip()
                raise AnsibleActionFail(f"{bundle.name} cannot be unpacked to /opt: {told}")
        return result | {"changed": True}
