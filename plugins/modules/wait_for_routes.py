#!/usr/bin/python3
"""Ansible module: wait until the kernel has routes to some prefixes."""

from __future__ import annotations

import time
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

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
PERIOD_S = 0.1


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        {
            "prefixes": {"type": "list", "elements": "str", "required": True},
            "within_s": {"type": "float", "default": 60.0},
        },
        supports_check_mode=True,
    )
    wanted = {IPv6Network(prefix) for prefix in module.params["prefixes"]}
    begin = time.monotonic()
    while missing := wanted - routes():
        waited = time.monotonic() - begin
        if waited > module.params["within_s"]:
            names = ", ".join(str(prefix) for prefix in sorted(missing))
            module.fail_json(
                msg=f"no route to {names} after {waited:.0f} s: look at `birdc show ospf neighbors`"
            )
        time.sleep(PERIOD_S)
    module.exit_json(changed=False, waited_s=round(time.monotonic() - begin, 3))


def routes() -> set[IPv6Network]:
    """Destinations of all IPv6 routes of this network namespace, the machine's own included."""
    found = set()
    for line in Path("/proc/self/net/ipv6_route").read_text(encoding="ascii").splitlines():
        destination, length = line.split()[:2]
        found.add(IPv6Network((IPv6Address(int(destination, 16)), int(length, 16))))
    return found


if __name__ == "__main__":
    main()
