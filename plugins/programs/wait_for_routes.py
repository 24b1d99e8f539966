"""On a machine: wait until the kernel has routes to some prefixes."""

from __future__ import annotations

import sys
import time
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

PERIOD_S = 0.1


def run(arguments: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Look first, then wait; gives Ansible's result."""
    del check_mode  # looking changes nothing
    wanted = {IPv6Network(prefix) for prefix in arguments["prefixes"]}
    begin = time.monotonic()
    while missing := wanted - routes():
        waited = time.monotonic() - begin
        if waited > arguments["within_s"]:
            names = ", ".join(str(prefix) for prefix in sorted(missing))
            sys.exit(
                f"no route to {names} after {waited:.0f} s: look at `birdc show ospf neighbors`"
            )
        time.sleep(PERIOD_S)
    return {"changed": False, "waited_s": round(time.monotonic() - begin, 3)}


def routes() -> set[IPv6Network]:
    """Destinations of all IPv6 routes of this network namespace, the machine's own included."""
    found = set()
    for line in Path("/proc/self/net/ipv6_route").read_text(encoding="ascii").splitlines():
        destination, length = line.split()[:2]
        found.add(IPv6Network((IPv6Address(int(destination, 16)), int(length, 16))))
    return found
