#!/usr/bin/python3
"""Ansible module: several files of a machine in one task."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: machine_files
short_description: Write or remove several files in one task
description:
  - Does for a list of files what C(ansible.builtin.copy) does for one. A task on a machine costs
    far more than a file, so a role writes all its files in one task.
  - Missing parent directories are made, with mode 0755.
options:
  files:
    description: Files to write, with their content.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path.
        required: true
        type: path
      content:
        description: All of the content.
        required: true
        type: str
      mode:
        description: Permissions, as octal digits.
        type: str
        default: "0644"
      owner:
        description: Name of the owner.
        type: str
        default: root
      group:
        description: Name of the group.
        type: str
        default: root
      block:
        description:
          - Whether the content is only a part of the file, at its end and between two lines that
            mark it; the file's other lines and its permissions stay.
        type: bool
        default: false
      validate:
        description: Command that must succeed before the file is replaced; C(%s) is a draft of it.
        type: str
  trees:
    description: Directories on the controller whose files, which must be text, are written too.
    type: list
    elements: dict
    default: []
    suboptions:
      src:
        description: Directory, in the role's C(files).
        required: true
        type: path
      dest:
        description: Absolute path.
        required: true
        type: path
  absent:
    description: Files that shall not be there.
    type: list
    elements: path
    default: []
  record:
    description:
      - File that remembers what was written, for M(machine_facts) and for leaving somebody's host.
        A file that was there before is kept beside it, with C(.before-dmm) after its name.
    type: path
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
"""

EXAMPLES = r"""
- name: Write the configuration
  machine_files:
    files:
      - path: /etc/bird/bird.conf
        content: "{{ lookup('ansible.builtin.template', 'bird.conf.j2') }}"
        group: bird
        mode: "0640"
    absent: [/etc/bird/bird6.conf]

- name: Install a tool
  machine_files:
    trees:
      - {src: local, dest: /usr/local}
"""

RETURN = r"""
changed_paths:
  description: Files that were written, removed or got other owners or permissions.
  returned: always
  type: list
  elements: str
"""

ARGUMENTS: dict[str, Any] = {
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "path", "required": True},
            "content": {"type": "str", "required": True},
            "mode": {"type": "str", "default": "0644"},
            "owner": {"type": "str", "default": "root"},
            "group": {"type": "str", "default": "root"},
            "block": {"type": "bool", "default": False},
            "validate": {"type": "str"},
        },
    },
    "absent": {"type": "list", "elements": "path", "default": []},
    "record": {"type": "path"},
}
BEGIN = "# Begin of what Ansible made for dmm-testbed: changes are lost."
END = "# End of what Ansible made for dmm-testbed."
KEPT = ".before-dmm"


def main() -> None:
    """Run the module."""
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    diffs: list[dict[str, str]] = []
    if module.params["record"] and not module.check_mode:
        remember(Path(module.params["record"]), module.params["files"])
    changed = [file["path"] for file in module.params["files"] if present(module, file, diffs)]
    changed += [path for path in module.params["absent"] if absent(module, path, diffs)]
    module.exit_json(changed=bool(changed), changed_paths=changed, diff=diffs)


def present(module: AnsibleModule, file: dict[str, Any], diffs: list[dict[str, str]]) -> bool:
    """Make a file be as wanted; says whether it was not."""
    path = Path(file["path"])
    found = path.read_bytes() if path.is_file() else None
    content = with_block(found or b"", file["content"]) if file["block"] else file["content"]
    wanted = content.encode(errors="surrogateescape")
    if found != wanted:
        diffs.append(
            {
                "before_header": str(path),
                "after_header": str(path),
                "before": "" if found is None else found.decode(errors="replace"),
                "after": content,
            }
        )
        if module.check_mode:
            return True
        write(module, path, wanted, file["validate"])
    if file["block"] and found is not None:
        return found != wanted
    attributes = module.load_file_common_arguments(file)
    altered = module.set_fs_attributes_if_different(attributes, changed=False)
    return bool(altered) or found != wanted


def with_block(found: bytes, block: str) -> str:
    """A file's text with our block at its end, once."""
    text = found.decode(errors="surrogateescape")
    begin, end = text.find(BEGIN), text.find(END)
    if begin >= 0 and end > begin:
        text = text[:begin] + text[end + len(END) + 1 :]
    if text and not text.endswith("\n"):
        text += "\n"
    return f"{text}{BEGIN}\n{block.rstrip()}\n{END}\n"


def remember(record: Path, files: list[dict[str, Any]]) -> None:
    """Note which files are ours, before any is written, and keep those that were there before."""
    known = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    new = {
        file["path"]: "block" if file["block"] else "file"
        for file in files
        if file["path"] not in known
    }
    for path, kind in new.items():
        if kind == "file" and Path(path).is_file():
            shutil.copy2(path, path + KEPT)
            owner = Path(path).stat()
            os.chown(path + KEPT, owner.st_uid, owner.st_gid)
    if new:
        record.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        draft = record.with_suffix(".new")
        draft.write_text(json.dumps(known | new, indent=1) + "\n", encoding="utf-8")
        draft.replace(record)


def write(module: AnsibleModule, path: Path, content: bytes, validate: str | None) -> None:
    """Replace a file at once: whoever reads it meanwhile gets the old or the new one."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=module.tmpdir)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    if validate:
        status, output, errors = module.run_command(validate.replace("%s", draft))
        if status:
            told = (output + errors).replace(draft, str(path)).strip()
            module.fail_json(msg=f"{path}: refused by `{validate}`: {told}")
    module.atomic_move(draft, str(path))


def absent(module: AnsibleModule, path: str, diffs: list[dict[str, str]]) -> bool:
    """Make a file not be there; says whether it was."""
    file = Path(path)
    if not file.exists() and not file.is_symlink():
        return False
    diffs.append(
        {"before_header": path, "after_header": path, "before": "present\n", "after": "absent\n"}
    )
    if not module.check_mode:
        file.unlink()
    return True


if __name__ == "__main__":
    main()
