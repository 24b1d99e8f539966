"""Sends an archive of packages to a host that lacks some; options are in `plugins/modules`."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from dmm_testbed.machines import MachineError, interrupt, packages

_display = Display()


def say(words: str) -> None:
    """Show words at once; whoever dies in this leaves a lock behind that Ansible waits for."""
    with interrupt.held_off():
        _display.display(words)


class ActionModule(ActionBase):
    """Fetches the packages on the controller, once for all hosts, then runs the module."""

    _supports_check_mode = True

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Do it; returns Ansible's result."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        if not self._task.check_mode:
            try:
                # One archive for all hosts, whatever each of them lacks.
                archive = packages.archive(packages.HOST, say)
            except (MachineError, OSError) as error:
                raise AnsibleActionFail(str(error)) from None
            place = self._connection._shell.join_path(self._make_tmp_path(), archive.name)
            arguments["archive"] = self._transfer_file(str(archive), place)
        done: dict[str, Any] = self._execute_module(module_args=arguments, task_vars=task_vars)
        self._remove_tmp_path(self._connection._shell.tmpdir)
        return result | done
