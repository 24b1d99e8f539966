"""Documentation of `leave_host`; `plugins/programs` has what runs on the machine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: leave_host
short_description: Leave a host that was a machine of the testbed as it was before
description:
  - Stops what runs for the testbed, takes its routes, filters and interfaces out of the kernel,
    removes the files that M(machine_files) has written, puts back those that it replaced, and gives
    services and settings of the kernel the state that was written down. Packages stay.
attributes:
  check_mode:
    support: full
"""

EXAMPLES = r"""
- name: Leave the host
  leave_host:
"""

RETURN = r"""
msg:
  description: What was done, and what is left.
  type: str
  returned: always
"""
