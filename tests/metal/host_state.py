"""What a host is like, to compare before and after: all that its owner could miss."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.metal.bare_hosts import BareHost

_BY_PACKAGES_AND_TIME = (
    *("/boot", "/usr/bin", "/usr/lib", "/usr/sbin", "/usr/share", "/usr/include", "/var/cache"),
    *("/var/log", "/var/backups", "/var/lib/dpkg", "/var/lib/apt", "/var/lib/systemd"),
    *("/var/lib/ucf", "/var/lib/pam", "/home/vagrant/.ansible", "/var/lib/chrony"),
    *("/etc/apparmor.d/local", "/etc/ld.so.cache"),
)
_MADE_BY_PACKAGES = {
    *("/etc/bird/bird.conf.ucf-dist", "/etc/chrony/chrony.conf", "/etc/chrony/chrony.keys"),
    *("/etc/network/interfaces", "/etc/bird/bird.conf"),
}
"""When they are installed, if there is no such file yet."""
_USERS = ("passwd", "passwd-", "group", "group-", "shadow", "shadow-", "gshadow", "gshadow-")
"""Packages add users of their own."""
_PRUNED = " -o ".join(f"-path {path}" for path in _BY_PACKAGES_AND_TIME)
_SETTINGS = "-name forwarding -o -name accept_ra -o -name seg6_enabled -o -name disable_ipv6"
_SYSTEMCTL = "SYSTEMD_BUS_TIMEOUT=50 systemctl --no-legend --plain"
"""Emulated, systemd may need longer than the 25 seconds that it is usually given to answer."""


def _units(asked: str, shown: str) -> str:
    """Lists units; fails if systemd does not answer, instead of listing none."""
    return f"units=$({_SYSTEMCTL} {asked}) && echo \"$units\" | awk '{shown}'"


_COMMANDS = {
    "files": rf"find / -xdev \( {_PRUNED} \) -prune -o -type f -print0 | xargs -0 sha256sum",
    "interfaces": "cd /sys/class/net; grep . */mtu */address */flags */operstate",
    "addresses": "cat /proc/net/if_inet6; grep -A1 -- '|-- ' /proc/net/fib_trie | grep -B1 LOCAL",
    "IPv4 routes": "cut -f 1-3,8 /proc/net/route",
    "IPv6 routes": "cut -c 1-35,65-68,150- /proc/net/ipv6_route",
    "settings": f"cd /proc/sys/net/ipv6/conf; find . {_SETTINGS} | xargs grep .",
    # One of them has something to do at a host's first boot only.
    "services": _units(
        "list-units --state=active --type=service,timer",
        "!/^systemd-machine-id-commit/ {print $1, $4}",
    ),
    "failed": _units("list-units --state=failed", "{print}"),
    "enabled": _units("list-unit-files --state=enabled", "{print $1}"),
    # The brackets keep the search from finding itself.
    "processes": "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; echo; done 2>/dev/null"
    " | grep -E '^/|[p]ython' | grep -v -e sshd -e '^/bin/sh' | cut -d ' ' -f 1-2",
    "listening": "cat /proc/net/tcp /proc/net/udp /proc/net/udp6 /proc/net/raw6 /proc/net/tcp6"
    ' | awk \'$4 == "0A" || $4 == "07" {print $2}\'',
    # By more than other modules; nftables, once loaded, keeps a checksum.
    "modules in use": "awk '{n = gsub(/,/, \",\", $4); if ($3 > n) print $1}' /proc/modules"
    " | grep -v crc32c",
}


def look(host: BareHost) -> dict[str, set[str]]:
    """Everything, as sets of lines."""
    return {what: set(host.output(command).splitlines()) for what, command in _COMMANDS.items()}


def packages(host: BareHost) -> set[str]:
    """Names of all packages of a host."""
    return set(host.output("dpkg-query -Wf '${Package}\\n'").split())


def differences(
    before: dict[str, set[str]], after: dict[str, set[str]], of_packages: set[str]
) -> dict[str, set[str]]:
    """What is not as it was, apart from what new packages brought.

    Args:
        before: what `look` saw.
        after: what it saw later.
        of_packages: files of packages that have come in between.
    """
    there = {line.split("  ")[-1] for line in before["files"]}
    allowed = of_packages | {f"/etc/{name}" for name in _USERS} | (_MADE_BY_PACKAGES - there)
    found = {}
    for what, then in before.items():
        changed = {line for line in then ^ after[what] if line.split("  ")[-1] not in allowed}
        if changed:
            found[what] = changed
    return found


def files_of(host: BareHost, names: set[str]) -> set[str]:
    """What packages have brought: files, configuration, and what it is made of."""
    return set(host.output(f"dpkg-query -L {' '.join(sorted(names))}").splitlines())
