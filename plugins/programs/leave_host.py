"""On a machine: leave a host that was a machine of the testbed as it was before."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from dmm_commands import run_command
from dmm_files import RECORD, recorded, restore

PLACE = Path("/var/lib/dmm-testbed")
OUR_SERVICES = ("dmm-agent", "dmm-clock", "bird", "dmm-network", "dmm-links")
"""In the order in which they end. The routing daemon runs with our configuration."""
PROGRAMS = ("dmm-traffic", "dmm-radio")
LEFTOVERS = (
    *("/opt/dmm-agent", "/opt/.dmm-agent.new", "/var/lib/dmm", "/run/dmm", "/run/dmm-traffic"),
    "/var/lib/private/dmm",  # what /var/lib/dmm leads to where systemd made it
    *("/run/dmm-radio.lock", "/var/lib/dmm-radio", "/var/cache/dmm-capture"),
    *("/var/log/dmm-agent.log", "/var/log/dmm-agent.log.1"),
    *("/run/bird/bird.log", "/run/bird/bird.log.1", "/run/network/ifstate.dmm"),
)
"""What programs of the testbed write, besides the files of Ansible."""


def run(arguments: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Leave it, unless only checking; gives Ansible's result."""
    del arguments  # there are none
    if not PLACE.is_dir():
        return {"changed": False, "msg": "this host is no machine of the testbed"}
    before, files = state_before(), recorded(Path(RECORD))
    if not check_mode:
        leave(before, files)
    installed = " ".join(before.get("packages", []))
    kept = f" Packages that it lacked before stay: {installed}" if installed else ""
    return {"changed": True, "msg": f"The host is as it was before.{kept}"}


def state_before() -> dict[str, Any]:
    """How its services and settings were; nothing if that was not written down yet."""
    file = PLACE / "before.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def leave(before: dict[str, Any], files: dict[str, str]) -> None:
    """Undo all, in the opposite order; once more after an interruption does the rest."""
    stop()
    for path, kind in files.items():
        restore(Path(path), kind)
    for path in LEFTOVERS:
        remove(Path(path))
    run_command(["systemctl", "daemon-reload"])
    for name, value in before.get("settings", {}).items():
        if value != "":
            (Path("/proc/sys") / name.replace(".", "/")).write_text(value, encoding="ascii")
    # Nothing written down: no service was touched yet.
    services = before.get("services", {})
    for service in ("bird", "chrony") if services else ():
        resume(service, services[service])
    if services and not services["networking"]["known"]:
        # It came with ifupdown. One that was there is the host's own, and was never touched.
        run_command(["systemctl", "disable", "--now", "networking"])
    shutil.rmtree(PLACE)


def stop() -> None:
    """End what runs for the testbed, and take out of the kernel what it put there."""
    for program in PROGRAMS:
        if shutil.which(program):
            run_command(["pkill", "-f", f"^/usr/bin/python3 .*/{program}( |$)"])
    for service in OUR_SERVICES:
        run_command(["systemctl", "stop", service])
        if service == "dmm-agent" and Path("/opt/dmm-agent/bin/dmm-agent").exists():
            run_command(["/opt/dmm-agent/bin/dmm-agent", "--flush"])
    run_command(["systemctl", "disable", "dmm-agent", "dmm-network", "dmm-links"])
    run_command(["nft", "delete", "table", "ip6", "source_filter"])


def remove(path: Path) -> None:
    """Remove a file or a directory, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def resume(service: str, state: dict[str, bool]) -> None:
    """Give a service the state it had; one that was not there is not started."""
    run_command(["systemctl", "enable" if state["enabled"] else "disable", service])
    run_command(["systemctl", "restart" if state["running"] else "stop", service])
