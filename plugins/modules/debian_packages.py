#!/usr/bin/python3
"""Ansible module: install Debian packages out of an archive, without any network."""

from __future__ import annotations

import tarfile
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

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


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        {
            "names": {"type": "list", "elements": "str", "required": True},
            "archive": {"type": "path"},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=True, installed=[])
    before = installed(module)
    # Not in /tmp or /run, which may be in memory, and small.
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="dmm-packages-") as place:
        install(module, Path(place))
    added = sorted(installed(module) - before)
    module.exit_json(changed=bool(added), installed=added)


def install(module: AnsibleModule, place: Path) -> None:
    """Make the archive the only source of packages, and let apt choose from it."""
    place.chmod(0o755)
    with tarfile.open(module.params["archive"]) as archive:
        archive.extractall(place)  # noqa: S202 - made by our own controller
    Path(module.params["archive"]).unlink()
    for directory in ("lists/partial", "cache/archives/partial"):
        (place / directory).mkdir(parents=True)
    (place / "sources.list").write_text(f"deb [trusted=yes] file:{place} ./\n", encoding="ascii")
    apt = [
        *(
            "apt-get",
            "--quiet=2",
            "--yes",
            "--option",
            f"Dir::Etc::sourcelist={place}/sources.list",
        ),
        *("--option", "Dir::Etc::sourceparts=-", "--option", f"Dir::State::lists={place}/lists"),
        *("--option", f"Dir::Cache={place}/cache", "--option", "APT::Sandbox::User=root"),
        *("--option", "Acquire::Languages=none", "--option", "Dpkg::Use-Pty=0"),
        *("--option", "DPkg::Lock::Timeout=300"),
    ]
    run(module, [*apt, "update"])
    options = ["--no-install-recommends", "--no-upgrade", "--no-remove"]
    options += ["--option", "Dpkg::Options::=--force-confold"]
    run(module, [*apt, *options, "install", *module.params["names"]])


def run(module: AnsibleModule, command: list[str]) -> None:
    """Run apt, or fail with its last words."""
    environment = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1", "LC_ALL": "C"}
    status, output, errors = module.run_command(command, environ_update=environment)
    if status:
        told = "\n  ".join((output + errors).strip().splitlines()[-12:])
        module.fail_json(
            msg=f"apt cannot install {' '.join(module.params['names'])} here; it said:\n  {told}"
        )


def installed(module: AnsibleModule) -> set[str]:
    """Names of all packages that the host has."""
    query = ["dpkg-query", "--show", "--showformat", "${db:Status-Status} ${Package}\\n"]
    lines = module.run_command(query, check_rc=True)[1].splitlines()
    return {line.split()[1] for line in lines if line.startswith("installed ")}


if __name__ == "__main__":
    main()
