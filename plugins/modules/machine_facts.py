#!/usr/bin/python3
"""Ansible module: the few facts about a machine that the roles ask for."""

from __future__ import annotations

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: machine_facts
short_description: The few facts about a machine that the roles ask for
description:
  - Takes the place of C(ansible.builtin.setup), which takes twice as long for less; see
    C(facts_modules) in ansible.cfg.
attributes:
  check_mode:
    support: full
"""

EXAMPLES = r"""
- name: Look at the machine
  machine_facts:
"""

RETURN = r"""
ansible_facts:
  description: Facts.
  returned: always
  type: dict
  contains:
    service_mgr:
      description: What C(ansible.builtin.service) has to talk to; C(systemd) or C(service).
      type: str
    dmm_agent_bundle:
      description: Key of the agent's bundle in /opt/dmm-agent, empty if there is none.
      type: str
"""


def main() -> None:
    """Run the module."""
    module = AnsibleModule({}, supports_check_mode=True)
    stamp = Path("/opt/dmm-agent/BUNDLE")
    facts = {
        # The test that systemd itself recommends (sd_booted(3)).
        "service_mgr": "systemd" if Path("/run/systemd/system").is_dir() else "service",
        "dmm_agent_bundle": stamp.read_text(encoding="ascii").strip() if stamp.is_file() else "",
    }
    module.exit_json(changed=False, ansible_facts=facts)


if __name__ == "__main__":
    main()
