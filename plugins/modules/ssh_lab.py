"""Documentation of `ssh_lab`; the work is done on the controller by the action plugin."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ssh_lab
short_description: Machines that are reached by SSH, VMs or hosts that exist already
description:
  - Checks what the inventory says of each machine, works out what its links and its clock are made
    of, and records how it is reached. Connects to none of them.
options:
  lab:
    description: Name of the lab.
    required: true
    type: str
  kind:
    description: What the machines are.
    choices: [vagrant, metal]
    required: true
    type: str
  state:
    description:
      - Whether the lab shall be recorded. Without the record nobody looks for its machines.
    choices: [present, absent]
    default: present
    type: str
  directory:
    description: Directory for the record, of this lab only.
    required: true
    type: path
  topology:
    description: Name of the topology.
    type: str
  machines:
    description: Names of the topology's machines.
    type: list
    elements: str
  links:
    description: The topology's links; see M(namespace_lab).
    type: list
    elements: dict
  vxlan_port:
    description: UDP port of VXLAN between hosts that exist already.
    type: int
    default: 4789
  vxlan_first_vni:
    description: VXLAN network identifier of the first link; the others' follow.
    type: int
    default: 1
attributes:
  check_mode:
    support: full
"""

EXAMPLES = r"""
- name: Look where the machines are
  ssh_lab:
    lab: dmm
    kind: metal
    directory: build/labs/dmm
    topology: three-hosts
    machines: [gw1, ar11]
    links:
      - {ends: [gw1, ar11], mtu: 1440}
"""

RETURN = r"""
running:
  description: Whether the inventory says where all machines are.
  type: bool
  returned: always
msg:
  description: What was found or done, in a sentence.
  type: str
  returned: always
packages:
  description: Debian packages that each machine shall have.
  type: list
  elements: str
  returned: when running
hosts:
  description:
    - By name of the machine C(links), the content of its file of links, and C(clock), with
      C(server), where it gets the time, and C(allow), to whom it gives it; C(clock) is null where
      the host's owner keeps the clock.
  type: dict
  returned: when running
"""
