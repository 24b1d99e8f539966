"""Documentation of `machine_services`; `plugins/programs` has what runs on the machine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: machine_services
short_description: Have several services run, or not, in one task
description:
  - Does for a list of services what C(ansible.builtin.service) does for one. A task costs seconds
    on an emulated machine, and so does each time that systemd reads its units.
options:
  running:
    description: Services that run, now and after boot; started in this order.
    type: list
    elements: str
    default: []
  stopped:
    description: Services that do not run, now or after boot.
    type: list
    elements: str
    default: []
  restarted:
    description: Services to restart if they run already, because something of theirs has changed.
    type: list
    elements: str
    default: []
  reloaded:
    description: Services to reload if they run already.
    type: list
    elements: str
    default: []
  reload_units:
    description: Whether systemd has to read its units first, because one was written.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
"""

EXAMPLES = r"""
- name: Run network and routing
  machine_services:
    running: [dmm-network, bird]
    reloaded: "{{ ['bird'] if written is changed else [] }}"
"""

RETURN = r"""
changed_services:
  description: Services that were started, stopped, restarted, reloaded, enabled or disabled.
  returned: always
  type: list
  elements: str
"""
