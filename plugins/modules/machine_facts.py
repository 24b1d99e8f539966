#!/usr/bin/python3
"""Ansible module: the few facts about a machine that the roles ask for."""

from __future__ import annotations

import ctypes
import grp
import hashlib
import pwd
import stat
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dmm_files import RECORD, block_of, recorded
from ansible.module_utils.dmm_services import service_manager

if TYPE_CHECKING:
    from collections.abc import Callable

DOCUMENTATION = r"""
module: machine_facts
short_description: The few facts about a machine that the roles ask for
description:
  - Takes the place of C(ansible.builtin.setup), which takes twice as long for less.
options:
  packages:
    description:
      - Debian packages that the machine shall have. If given, there is also C(dmm_host), facts
        about a host that is to be a machine.
    type: list
    elements: str
    default: []
  record:
    description: File in which M(machine_files) notes what it has written.
    type: path
    default: /var/lib/dmm-testbed/files.json
attributes:
  check_mode:
    support: full
"""

EXAMPLES = r"""
- name: Look at the machine
  machine_facts:

- name: Look at a host that is to be a machine
  machine_facts:
    packages: [bird2, nftables]
"""

RETURN = r"""
ansible_facts:
  description: Facts.
  returned: always
  type: dict
  contains:
    service_mgr:
      description: What manages its services; C(systemd) or C(service).
      type: str
    dmm_agent_bundle:
      description: Key of the agent's bundle in /opt/dmm-agent, empty if there is none.
      type: str
    dmm_services:
      description:
        - By name of a service that roles start or stop, whether it is C(known) on the machine,
          C(running), and C(enabled) to start at boot. A task for a service that is as it should be
          would cost as much as this.
      type: dict
    dmm_files:
      description:
        - By path of a file that M(machine_files) has written, C(sha256) of its content, C(mode),
          C(owner) and C(group), or C(block_sha256) where only a part of it is ours; null if the
          file is gone.
      type: dict
    dmm_host:
      description:
        - What is missing for a host to be a machine. C(packages) are names of those it lacks;
          C(clock) is C(synchronised) or C(free), C(clock_by) another time service than chrony, if
          it has one; C(links), whether they are as C(dmm-links) shall make them; C(settings), the
          kernel's; C(kept), whether how the host was before is written down already.
      type: dict
"""
# Services that roles start or stop, and the kernel's settings that they change: what they were is
# written down before, so that a host can be left as it was.
SERVICES = ["bird", "chrony", "networking", "dmm-links", "dmm-network", "dmm-agent"]
SETTINGS = (
    "net.ipv6.conf.all.forwarding",
    "net.ipv6.conf.all.seg6_enabled",
    "net.ipv6.conf.default.seg6_enabled",
)
BEFORE = Path("/var/lib/dmm-testbed/before.json")
TIME_SERVICES = ("systemd-timesyncd", "ntpsec", "ntp", "openntpd")
STA_UNSYNC = 0x40
LINKS = "/usr/local/sbin/dmm-links"


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        {
            "packages": {"type": "list", "elements": "str", "default": []},
            "record": {"type": "path", "default": RECORD},
        },
        supports_check_mode=True,
    )
    services = service_manager(module)
    stamp = Path("/opt/dmm-agent/BUNDLE")
    facts: dict[str, Any] = {
        "service_mgr": services.name,
        "dmm_agent_bundle": stamp.read_text(encoding="ascii").strip() if stamp.is_file() else "",
    }
    facts["dmm_services"] = services.states(SERVICES)
    facts["dmm_files"] = files(Path(module.params["record"]))
    if module.params["packages"]:
        facts["dmm_host"] = host(module, module.params["packages"])
    module.exit_json(changed=False, ansible_facts=facts)


def files(record: Path) -> dict[str, dict[str, str] | None]:
    """What has become of the files that were written here; those of another kind are left out."""
    found: dict[str, dict[str, str] | None] = {}
    for name, kind in recorded(record).items():
        path = Path(name)
        try:
            status = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            found[name] = None
            continue
        if not stat.S_ISREG(status.st_mode):
            continue
        content = path.read_bytes()
        if kind == "block":
            found[name] = {"block_sha256": sha256(block) if (block := block_of(content)) else ""}
        else:
            found[name] = {
                "sha256": sha256(content),
                "mode": f"{stat.S_IMODE(status.st_mode):04o}",
                "owner": account(pwd.getpwuid, status.st_uid),
                "group": account(grp.getgrgid, status.st_gid),
            }
    return found


def sha256(content: bytes) -> str:
    """Hash of a content, as hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def account(look_up: Callable[[int], tuple[Any, ...]], number: int) -> str:
    """Name of a user or a group, or its number if it has none."""
    try:
        return str(look_up(number)[0])
    except KeyError:
        return str(number)


def host(module: AnsibleModule, packages: list[str]) -> dict[str, Any]:
    """What is missing for a host to be a machine."""
    installed = packages_of(module, [*packages, *TIME_SERVICES])
    return {
        "packages": [name for name in packages if name not in installed],
        "clock": "free" if clock_is_free() else "synchronised",
        "clock_by": next((name for name in TIME_SERVICES if name in installed), ""),
        "links": links_are_right(module),
        "settings": {name: setting(name) for name in SETTINGS},
        "kept": BEFORE.is_file(),
    }


def packages_of(module: AnsibleModule, names: list[str]) -> set[str]:
    """Those that are installed."""
    query = ["dpkg-query", "--show", "--showformat", "${db:Status-Status} ${Package}\\n", *names]
    lines = module.run_command(query)[1].splitlines()  # its status tells that some are unknown
    return {line.split()[1] for line in lines if line.startswith("installed ")}


def clock_is_free() -> bool:
    """Whether the kernel knows of nobody who keeps its clock in step (adjtimex(2))."""
    state = (ctypes.c_char * 256)()
    if ctypes.CDLL(None, use_errno=True).adjtimex(state) < 0:
        return True
    # struct timex: modes, offset, freq, maxerror, esterror, status.
    status = struct.unpack_from("@iqqqqi", bytes(state))[-1]
    return bool(status & STA_UNSYNC)


def links_are_right(module: AnsibleModule) -> bool:
    """Whether dmm-links finds nothing to change."""
    return Path(LINKS).exists() and module.run_command([LINKS, "status"])[0] == 0


def setting(name: str) -> str:
    """One of the kernel's settings; empty if it has it not."""
    file = Path("/proc/sys") / name.replace(".", "/")
    return file.read_text(encoding="ascii").strip() if file.exists() else ""


if __name__ == "__main__":
    main()
