"""Documentation of `namespace_lab`; the work is done on the controller by the action plugin."""

from __future__ import annotations

DOCUMENTATION = r"""
module: namespace_lab
short_description: Machines made of namespaces, and the links between them
description:
  - Builds all machines and links of a lab on the controller, completely or not at all, or takes
    them down. Runs on the controller only, as root, once for all machines.
  - Says on the way what takes time.
options:
  lab:
    description: Name of the lab.
    required: true
    type: str
  state:
    description: Whether the lab shall run.
    choices: [present, absent]
    default: present
    type: str
  topology:
    description: Name of the topology; told to a user who wants another one under the same name.
    type: str
  machines:
    description: Names of the machines.
    type: list
    elements: str
  links:
    description:
      - Links, each with C(ends) (two machines; an interface is named after the machine at the other
        end), and optionally C(mtu) and C(impairments) (C(delay_ms), C(loss_percent), C(rate_mbit)).
    type: list
    elements: dict
  agent_bundle:
    description: Archive with the agent, for the machine image; see M(agent_bundle).
    type: path
  dataplanes:
    description:
      - How the routers will tunnel (docs/dataplane.md), so that a kernel which cannot is told
        before anything is made.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
"""

EXAMPLES = r"""
- name: Build the lab
  namespace_lab:
    lab: dmm
    topology: two
    machines: [a, b]
    links:
      - {ends: [a, b], mtu: 1600}
    agent_bundle: "{{ bundle.path }}"
"""

RETURN = r"""
running:
  description: Whether the machines can be entered now (in check mode they may not be there yet).
  type: bool
  returned: always
msg:
  description: What was found or done, in a sentence.
  type: str
  returned: always
"""
