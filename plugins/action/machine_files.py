"""Reads the trees that `machine_files` shall copy; its program then writes all files at once.

Where `machine_facts` has found all files as they should be, the machine is not asked again.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleActionFail

from dmm_testbed.machines.program_action import ProgramAction

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RECORD = "/var/lib/dmm-testbed/files.json"
"""What was written on a machine, so that it can be looked at and, on somebody's host, undone."""
MAX_TREE_BYTES = 4 << 20
"""All files go to the machine in one message; what is larger belongs in an archive."""


class ActionModule(ProgramAction):
    """Turns each tree into files with content, then has the machine run the program."""

    def run_program(
        self, arguments: Mapping[str, Any], task_vars: Mapping[str, Any], **unchecked: Any
    ) -> dict[str, Any]:
        """Do it; returns Ansible's result."""
        arguments = dict(arguments)
        files = list(arguments.get("files") or [])
        for tree in arguments.pop("trees", None) or []:
            source = Path(self._find_needle("files", tree["src"]))
            files += read_tree(source, tree["dest"])
        found = (task_vars.get("ansible_facts") or {}).get("dmm_files") or {}
        if all_right(files, arguments.get("absent") or [], found):
            return {"changed": False, "changed_paths": [], "diff": []}
        arguments |= {"files": files, "record": RECORD}
        return super().run_program(arguments, task_vars, **unchecked)


def all_right(
    files: Sequence[Mapping[str, Any]],
    absent: Sequence[str],
    found: Mapping[str, Mapping[str, str] | None],
) -> bool:
    """Whether `machine_facts` has found all files as wanted; one it does not know of is not."""
    return all(_is_right(file, found.get(file["path"])) for file in files) and all(
        path in found and found[path] is None for path in absent
    )


def _is_right(file: Mapping[str, Any], found: Mapping[str, str] | None) -> bool:
    content = file["content"]
    if found is None or not isinstance(content, str):
        return False
    if file.get("block"):
        return found == {"block_sha256": _sha256(content.rstrip() + "\n")}
    return found == {
        "sha256": _sha256(content),
        "mode": str(file.get("mode", "0644")).zfill(4),
        "owner": file.get("owner", "root"),
        "group": file.get("group", "root"),
    }


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


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
