"""Has the machine run the program of the same name; options are in `plugins/modules`."""

from __future__ import annotations

from dmm_testbed.machines.program_action import ProgramAction as ActionModule

__all__ = ["ActionModule"]
