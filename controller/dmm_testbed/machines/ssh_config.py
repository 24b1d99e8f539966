"""How the machines of a lab are reached by SSH, written down for everything that is not Ansible.

The record is a file of OpenSSH's own, so `ssh -F build/labs/dmm/ssh_config gw1` works too. What the
user's own `~/.ssh/config` says of a host is in it, because OpenSSH itself is asked.
"""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dmm_testbed.machines.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_COPIED = {
    "hostname": "HostName",
    "port": "Port",
    "user": "User",
    "identityfile": "IdentityFile",
    "identitiesonly": "IdentitiesOnly",
    "identityagent": "IdentityAgent",
    "stricthostkeychecking": "StrictHostKeyChecking",
    "userknownhostsfile": "UserKnownHostsFile",
    "globalknownhostsfile": "GlobalKnownHostsFile",
    "hostkeyalias": "HostKeyAlias",
    "proxycommand": "ProxyCommand",
    "loglevel": "LogLevel",
}
"""What is taken over of what OpenSSH knows of a host: names in its answer and in the file."""
_FOR_ALL = "    Compression no\n    ConnectTimeout 60\n    ServerAliveInterval 10\n"
_QUOTED = {"IdentityFile", "IdentityAgent"}
_IN_WORDS = {"true": "yes", "false": "no"}


@dataclass(frozen=True, slots=True)
class Access:
    """What an inventory says about reaching a host by SSH; what it does not say is OpenSSH's."""

    address: str
    port: int | None = None
    user: str | None = None
    key: str | None = None
    """File with a private key; then no other key is offered."""
    arguments: str = ""
    """More of ssh's arguments, as one line (`ansible_ssh_common_args`)."""


def arguments(access: Access) -> list[str]:
    """The command line that asks OpenSSH what it would do for a host."""
    line = ["ssh", "-G", *shlex.split(access.arguments)]
    if access.port is not None:
        line += ["-p", str(access.port)]
    if access.user is not None:
        line += ["-l", access.user]
    if access.key is not None:
        key = Path(access.key).expanduser().absolute()
        line += ["-o", f'IdentityFile="{key}"', "-o", "IdentitiesOnly=yes"]
    return [*line, access.address]


def asked(name: str, access: Access) -> str:
    """What OpenSSH says about a host.

    Raises:
        MachineError: it is not installed, or does not understand what the inventory says.
    """
    try:
        done = subprocess.run(arguments(access), capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise MachineError("ssh is missing: install the Debian package openssh-client") from None
    if done.returncode:
        raise MachineError(
            f"inventory: host {name}: ssh does not understand what is said about reaching it: "
            f"{' '.join(done.stderr.split())}"
        )
    return done.stdout


def section(name: str, answer: str) -> str:
    """The record's lines about one host.

    Args:
        name: the machine's.
        answer: what `ssh -G` says about it.
    """
    lines = [f"Host {name}"]
    for line in answer.splitlines():
        word, _, value = line.partition(" ")
        if word == "proxyjump" and value != "none":
            # Not every reader of such files knows ProxyJump; this is what it stands for.
            lines.append(f"    ProxyCommand {_jump(value)}")
        elif (wanted := _COPIED.get(word)) and value != "none":
            lines.append(f"    {wanted} {_quoted(wanted, value)}")
    return "\n".join(lines) + "\n" + _FOR_ALL


def _jump(hosts: str) -> str:
    *first, last = hosts.split(",")
    before = f"-J {','.join(first)} " if first else ""
    host, colon, port = last.rpartition(":")
    target = f"-p {port} {host}" if colon and port.isdigit() else last
    return f"ssh {before}-W [%h]:%p {target}"


def _quoted(wanted: str, value: str) -> str:
    if wanted == "StrictHostKeyChecking":
        return _IN_WORDS.get(value, value)
    return f'"{value}"' if wanted in _QUOTED and " " in value else value


def record(lab: str, hosts: Mapping[str, Access], names: Sequence[str]) -> str:
    """The whole file.

    Raises:
        MachineError: OpenSSH is not there, or does not understand what the inventory says.
    """
    head = f"# Made by Ansible: how the machines of lab {lab} are reached. Changes are lost.\n"
    return head + "".join(f"\n{section(name, asked(name, hosts[name]))}" for name in names)
