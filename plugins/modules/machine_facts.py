"""Documentation of `machine_facts`; `plugins/programs` has what runs on the machine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: machine_facts
short_description: The few facts about a machine that the roles ask for
description:
  - Takes the place of C(ansible.builtin.setup), which takes twice as long for less.
options:
  packages:
    description:
      - Debian packages that the machine shall have. If given, there is also C(dmm_host), facts
        about a host that is to be a machine.
    type: list
    elements: str
    default: []
  record:
    description: File in which M(machine_files) notes what it has written.
    type: path
    default: /var/lib/dmm-testbed/files.json
attributes:
  check_mode:
    support: full
"""

EXAMPLES = r"""
- name: Look at the machine
  machine_facts:

- name: Look at a host that is to be a machine
  machine_facts:
    packages: [bird2, nftables]
"""

RETURN = r"""
ansible_facts:
  description: Facts.
  returned: always
  type: dict
  contains:
    service_mgr:
      description: What manages its services; C(systemd) or C(service).
      type: str
    dmm_agent_bundle:
      description: Key of the agent's bundle in /opt/dmm-agent, empty if there is none.
      type: str
    dmm_services:
      description:
        - By name of a service that roles start or stop, whether it is C(known) on the machine,
          C(running), and C(enabled) to start at boot. A task for a service that is as it should be
          would cost as much as this.
      type: dict
    dmm_files:
      description:
        - By path of a file that M(machine_files) has written, C(sha256) of its content, C(mode),
          C(owner) and C(group), or C(block_sha256) where only a part of it is ours; null if the
          file is gone.
      type: dict
    dmm_host:
      description:
        - What is missing for a host to be a machine. C(packages) are names of those it lacks;
          C(clock) is C(synchronised) or C(free), C(clock_by) another time service than chrony, if
          it has one; C(links), whether they are as C(dmm-links) shall make them; C(settings), the
          kernel's; C(kept), whether how the host was before is written down already.
      type: dict
"""
