"""Documentation of `agent_unpacked`; the work is done by the action plugin."""

from __future__ import annotations

DOCUMENTATION = r"""
module: agent_unpacked
short_description: The agent's archive, unpacked on a machine
description:
  - Takes the place of C(ansible.builtin.unarchive), which unpacks an archive three times; an
    emulated machine takes 15 seconds for that.
  - Replaces the agent that is there, if any; ask C(machine_facts) before whether it must be.
options:
  bundle:
    description: The archive on the controller, as M(agent_bundle) made it.
    required: true
    type: path
attributes:
  check_mode:
    support: full
"""

EXAMPLES = r"""
- name: Unpack the agent
  agent_unpacked:
    bundle: "{{ bundle.path }}"
  when: ansible_facts.dmm_agent_bundle != bundle.key
"""

RETURN = r"""
"""
