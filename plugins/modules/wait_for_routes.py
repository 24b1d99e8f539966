"""Documentation of `wait_for_routes`; `plugins/programs` has what runs on the machine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wait_for_routes
short_description: Wait until the kernel has routes to some IPv6 prefixes
description:
  - Looks first, then waits, until there is a route for exactly each prefix or time is up.
options:
  prefixes:
    description: Prefixes, with their length.
    required: true
    type: list
    elements: str
  within_s:
    description: So many seconds at most.
    type: float
    default: 60
attributes:
  check_mode:
    support: full
"""

EXAMPLES = r"""
- name: Wait for the underlay
  wait_for_routes:
    prefixes: ["2001:db8:1::1/128"]
"""

RETURN = r"""
waited_s:
  description: How long it took.
  returned: always
  type: float
"""
