"""On a machine: install Debian packages out of an archive, without any network."""

from __future__ import annotations

import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from dmm_commands import run_command


def run(arguments: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Install what is missing out of C(archive); gives Ansible's result."""
    if check_mode:
        return {"changed": True, "installed": []}
    before = installed()
    # Not in /tmp or /run, which may be in memory, and small.
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="dmm-packages-") as place:
        install(arguments["names"], Path(arguments["archive"]), Path(place))
    added = sorted(installed() - before)
    return {"changed": bool(added), "installed": added}


def install(names: list[str], archive: Path, place: Path) -> None:
    """Make the archive the only source of packages, and let apt choose from it."""
    place.chmod(0o755)
    with tarfile.open(archive) as packed:
        packed.extractall(place)  # noqa: S202 - made by our own controller
    archive.unlink()
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
    must([*apt, "update"], names)
    options = ["--no-install-recommends", "--no-upgrade", "--no-remove"]
    options += ["--option", "Dpkg::Options::=--force-confold"]
    must([*apt, *options, "install", *names], names)


def must(command: list[str], names: list[str]) -> None:
    """Run apt, or fail with its last words."""
    environment = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1"}
    status, output, errors = run_command(command, **environment)
    if status:
        told = "\n  ".join((output + errors).strip().splitlines()[-12:])
        sys.exit(f"apt cannot install {' '.join(names)} here; it said:\n  {told}")


def installed() -> set[str]:
    """Names of all packages that the host has."""
    query = ["dpkg-query", "--show", "--showformat", "${db:Status-Status} ${Package}\\n"]
    status, output, errors = run_command(query)
    if status:
        sys.exit(f"dpkg-query: {errors.strip()}")
    lines = output.splitlines()
    return {line.split()[1] for line in lines if line.startswith("installed ")}
