#!/usr/bin/python3
"""Ansible module: several files of a machine in one task."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dmm_files import remember, with_block

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


def main() -> None:
    """Run the module."""
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    diffs: list[dict[str, str]] = []
    if module.params["record"] and not module.check_mode:
        kinds = {f["path"]: "block" if f["block"] else "file" for f in module.params["files"]}
        remember(Path(module.params["record"]), kinds)
    changed = [file["path"] for file in module.params["files"] if present(module, file, diffs)]
    changed += [path for path in module.params["absent"] if absent(module, path, diffs)]
    module.exit_json(changed=bool(changed), changed_paths=changed, diff=diffs)


def present(module: AnsibleModule, file: dict[str, Any], diffs: list[dict[str, str]]) -> bool:
    """Make a file be as wanted; says whether it was not."""
    path = Path(file["path"])
    found = path.read_bytes() if path.is_file() else None
    wanted: bytes = file["content"].encode(errors="surrogateescape")
    if file["block"]:
        wanted = with_block(found or b"", wanted)
    if found != wanted:
        diffs.append(
            {
                "before_header": str(path),
                "after_header": str(path),
                "before": "" if found is None else found.decode(errors="replace"),
                "after": wanted.decode(errors="replace"),
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
