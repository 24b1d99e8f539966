"""Documentation of `debian_packages`; `plugins/programs` has what runs on the machine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: debian_packages
short_description: Install Debian packages on a host without internet
description:
  - Fetches the packages, with all that a Debian may lack for them, on the controller, sends them as
    one archive, and installs from it what the host lacks. What the host has stays as it is; nothing
    is upgraded or removed.
options:
  names:
    description: Names of packages.
    required: true
    type: list
    elements: str
attributes:
  check_mode:
    support: full
"""

EXAMPLES = r"""
- name: Install what is missing
  debian_packages:
    names: [bird2, nftables]
"""

RETURN = r"""
installed:
  description: Packages that were installed.
  returned: always
  type: list
  elements: str
"""
