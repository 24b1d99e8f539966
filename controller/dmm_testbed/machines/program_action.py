"""Ansible's action plugin for modules whose work a program of `plugins/programs` does."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleActionFail
from ansible.parsing.plugin_docs import read_docstring
from ansible.plugins.action import ActionBase

from dmm_testbed.machines import program
from dmm_testbed.machines.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Mapping

MODULES = Path(__file__).parents[3] / "plugins" / "modules"
_OF_A_SPEC = ("type", "elements", "required", "default", "choices")


class ProgramAction(ActionBase):
    """Checks a task's arguments by the module's documentation, then has the machine run it."""

    _supports_check_mode = True
    _supports_async = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Do it; returns Ansible's result."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        return result | self.run_program(self._task.args, task_vars or {})

    def run_program(
        self, arguments: Mapping[str, Any], task_vars: Mapping[str, Any], **unchecked: Any
    ) -> dict[str, Any]:
        """Run the program that has the module's name; gives its result.

        Args:
            arguments: as the module is documented to take them.
            task_vars: what Ansible knows of the machine.
            unchecked: further arguments, of which only the program knows.

        Raises:
            AnsibleActionFail: an argument is wrong, or the program did not end as it should.
        """
        del task_vars  # for those who do more than this
        name = self._task.action.rpartition(".")[2]
        self._task.args = dict(arguments)  # where validate_argument_spec reads them
        _, checked = self.validate_argument_spec(argument_spec(name))
        done = self._low_level_execute_command(
            program.COMMAND,
            in_data=program.sent(name, checked | unchecked, self._task.check_mode),
        )
        try:
            return program.answer(name, done["rc"], done["stdout"], done["stderr"])
        except MachineError as error:
            raise AnsibleActionFail(str(error)) from None


@cache
def argument_spec(module: str) -> dict[str, Any]:
    """What a module's documentation says of its options, as Ansible checks them."""
    return _spec((read_docstring(str(MODULES / f"{module}.py"))["doc"] or {}).get("options", {}))


def _spec(options: Mapping[str, Any]) -> dict[str, Any]:
    spec = {}
    for name, told in options.items():
        spec[name] = {key: told[key] for key in _OF_A_SPEC if key in told}
        if "suboptions" in told:
            spec[name]["options"] = _spec(told["suboptions"])
    return spec
