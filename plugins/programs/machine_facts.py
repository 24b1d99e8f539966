"""On a machine: the few facts about a machine that the roles ask for."""

from __future__ import annotations

import ctypes
import grp
import hashlib
import pwd
import stat
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmm_commands import run_command
from dmm_files import block_of, recorded
from dmm_services import service_manager

if TYPE_CHECKING:
    from collections.abc import Callable

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


def run(arguments: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Look at the machine; gives Ansible's result."""
    del check_mode  # looking changes nothing
    services = service_manager(run_command)
    stamp = Path("/opt/dmm-agent/BUNDLE")
    facts: dict[str, Any] = {
        "service_mgr": services.name,
        "dmm_agent_bundle": stamp.read_text(encoding="ascii").strip() if stamp.is_file() else "",
    }
    facts["dmm_services"] = services.states(SERVICES)
    facts["dmm_files"] = files(Path(arguments["record"]))
    if arguments["packages"]:
        facts["dmm_host"] = host(arguments["packages"])
    return {"changed": False, "ansible_facts": facts}


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


def host(packages: list[str]) -> dict[str, Any]:
    """What is missing for a host to be a machine."""
    installed = packages_of([*packages, *TIME_SERVICES])
    return {
        "packages": [name for name in packages if name not in installed],
        "clock": "free" if clock_is_free() else "synchronised",
        "clock_by": next((name for name in TIME_SERVICES if name in installed), ""),
        "links": links_are_right(),
        "settings": {name: setting(name) for name in SETTINGS},
        "kept": BEFORE.is_file(),
    }


def packages_of(names: list[str]) -> set[str]:
    """Those that are installed."""
    query = ["dpkg-query", "--show", "--showformat", "${db:Status-Status} ${Package}\\n", *names]
    lines = run_command(query)[1].splitlines()  # its status tells that some are unknown
    return {line.split()[1] for line in lines if line.startswith("installed ")}


def clock_is_free() -> bool:
    """Whether the kernel knows of nobody who keeps its clock in step (adjtimex(2))."""
    state = (ctypes.c_char * 256)()
    if ctypes.CDLL(None, use_errno=True).adjtimex(state) < 0:
        return True
    # struct timex: modes, offset, freq, maxerror, esterror, status.
    status = struct.unpack_from("@iqqqqi", bytes(state))[-1]
    return bool(status & STA_UNSYNC)


def links_are_right() -> bool:
    """Whether dmm-links finds nothing to change."""
    return Path(LINKS).exists() and run_command([LINKS, "status"])[0] == 0


def setting(name: str) -> str:
    """One of the kernel's settings; empty if it has it not."""
    file = Path("/proc/sys") / name.replace(".", "/")
    return file.read_text(encoding="ascii").strip() if file.exists() else ""
