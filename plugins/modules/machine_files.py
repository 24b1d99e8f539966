"""Documentation of `machine_files`; `plugins/programs` has what runs on the machine."""

from __future__ import annotations

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
