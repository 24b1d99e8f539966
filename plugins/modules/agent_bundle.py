"""Documentation of `agent_bundle`; the work is done on the controller by the action plugin."""

from __future__ import annotations

DOCUMENTATION = r"""
module: agent_bundle
short_description: The agent and its dependencies as one archive
description:
  - Packs the agent with its pinned dependencies on the controller, unless an archive of exactly
    that is in the cache (/var/cache/dmm-testbed). In check mode too, for it touches no machine.
options:
  source:
    description: Directory of the agent's Python project.
    required: true
    type: path
  requirements:
    description: File with its pinned dependencies.
    required: true
    type: path
attributes:
  check_mode:
    support: full
"""

EXAMPLES = r"""
- name: Pack the agent
  agent_bundle:
    source: agent
    requirements: requirements-agent.txt
  register: bundle
"""

RETURN = r"""
path:
  description: The archive; it unpacks to C(dmm-agent/) and belongs in /opt.
  type: path
  returned: always
key:
  description: Names the content; also in the archive's file C(BUNDLE).
  type: str
  returned: always
"""
