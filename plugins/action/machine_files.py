"""Reads the trees that `machine_files` shall copy; the module then writes all files at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

RECORD = "/var/lib/dmm-testbed/files.json"
"""On machines that are not ours to throw away: what was written there."""
MAX_TREE_BYTES = 4 << 20
"""All files go to the machine in one message; what is larger belongs in an archive."""


class ActionModule(ActionBase):
    """Turns each tree into files with content, then runs the module."""

    _supports_check_mode = True

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Do it; returns Ansible's result."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        files = list(arguments.get("files") or [])
        for tree in arguments.pop("trees", None) or []:
            source = Path(self._find_needle("files", tree["src"]))
            files += read_tree(source, tree["dest"])
        arguments["files"] = files
        if (task_vars or {}).get("dmm_machines", "namespace") != "namespace":
            arguments["record"] = RECORD
        done: dict[str, Any] = self._execute_module(module_args=arguments, task_vars=task_vars)
        return result | done


def read_tree(source: Path, destination: str) -> list[dict[str, str]]:
    """All files below a directory, as the module takes them.

    Raises:
        AnsibleActionFail: a file is not text, or all together are too large.
    """
    paths = [path for path in sorted(source.rglob("*")) if path.is_file() and _is_source(path)]
    if sum(path.stat().st_size for path in paths) > MAX_TREE_BYTES:
        raise AnsibleActionFail(f"{source}: expected at most {MAX_TREE_BYTES} bytes in all")
    files = []
    for path in paths:
        try:
            content = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise AnsibleActionFail(f"{path}: expected text in UTF-8") from None
        mode = "0755" if path.stat().st_mode & 0o100 else "0644"
        target = Path(destination) / path.relative_to(source)
        files.append({"path": str(target), "content": content, "mode": mode})
    return files


def _is_source(path: Path) -> bool:
    return "__pycache__" not in path.parts
