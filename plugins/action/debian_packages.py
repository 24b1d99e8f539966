"""Sends an archive of packages to a host that lacks some; options are in `plugins/modules`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleActionFail
from ansible.utils.display import Display

from dmm_testbed.machines import MachineError, interrupt, packages
from dmm_testbed.machines.program_action import ProgramAction

if TYPE_CHECKING:
    from collections.abc import Mapping

_display = Display()


def say(words: str) -> None:
    """Show words at once; whoever dies in this leaves a lock behind that Ansible waits for."""
    with interrupt.held_off():
        _display.display(words)


class ActionModule(ProgramAction):
    """Fetches the packages once for all hosts; each then installs what it lacks."""

    def run_program(
        self, arguments: Mapping[str, Any], task_vars: Mapping[str, Any], **unchecked: Any
    ) -> dict[str, Any]:
        """Do it; returns Ansible's result."""
        if self._task.check_mode:
            return super().run_program(arguments, task_vars, **unchecked)
        try:
            # One archive for all hosts, whatever each of them lacks.
            archive = packages.archive(packages.HOST, say)
        except (MachineError, OSError) as error:
            raise AnsibleActionFail(str(error)) from None
        place = self._connection._shell.join_path(self._make_tmp_path(), archive.name)
        sent = self._transfer_file(str(archive), place)
        try:
            return super().run_program(arguments, task_vars, archive=sent)
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
