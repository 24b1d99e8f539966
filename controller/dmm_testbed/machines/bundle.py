"""The agent's bundle: `dmm-agent` with its pinned dependencies as one archive for any machine."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from importlib.metadata import distributions
from typing import TYPE_CHECKING

from dmm_testbed.machines.cache import cached, fingerprint
from dmm_testbed.machines.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PLACE = "/opt/dmm-agent"
PYTHON = "/usr/bin/python3"
"""The machines' own Python runs the agent: nothing else is sure to be there."""
STAMP = "BUNDLE"
"""Name of the file that holds the bundle's key, so that a machine can tell what it has."""
# Without `site` (-S): all that the agent needs is in its place, and Python starts in half the time.
_COMMAND = """\
#!/usr/bin/python3 -IS
import sys

sys.path.insert(0, "{place}")
from {module} import {function}

sys.exit({function}())
"""


def agent_bundle(
    source: Path, requirements: Path, progress: Callable[[str], None]
) -> tuple[Path, str]:
    """The archive with the agent, its dependencies and its commands; built when they changed.

    Args:
        source: directory with the agent's `pyproject.toml`.
        requirements: file with its pinned dependencies.
        progress: gets a line for each step of a build.

    Returns:
        The archive (it unpacks to `dmm-agent/`) and its key, also found in its `BUNDLE`.

    Raises:
        MachineError: it cannot be built; tells pip's last words.
    """
    version = _python_version()
    pins = requirements.read_bytes()
    files = [
        path
        for path in sorted(source.rglob("*"))
        if path.suffix in {".py", ".toml"} and path.is_file()
    ]
    content = [
        part for file in files for part in (str(file.relative_to(source)), file.read_bytes())
    ]
    key = fingerprint(version, pins, _COMMAND, *content)

    def build(file: Path, work: Path) -> None:
        dependencies = cached(
            "dependencies",
            fingerprint(version, pins),
            ".tar",
            lambda archive, place: _build_dependencies(archive, place, requirements, progress),
        )
        progress("agent: packing it")
        _build_bundle(file, work, dependencies, source, key)

    return cached("agent", key, ".tar.gz", build), key


def _build_dependencies(
    file: Path, work: Path, requirements: Path, progress: Callable[[str], None]
) -> None:
    progress("agent: fetching its Python dependencies")
    _pip("--requirement", str(requirements), target=work)
    _archive(file, work, compress=False)


def _build_bundle(file: Path, work: Path, dependencies: Path, source: Path, key: str) -> None:
    subprocess.run(["tar", "-xf", str(dependencies), "-C", str(work)], check=True)
    tree = work / "dmm-agent"
    # An absolute path, and no index: pip takes a bare `agent` for the name of somebody's package.
    local = ("--no-deps", "--no-index", "--no-build-isolation", "--upgrade")
    _pip(*local, str(source.resolve()), target=work)
    commands = tree / "bin"
    commands.mkdir(exist_ok=True)
    for old in commands.iterdir():
        old.unlink()
    for distribution in distributions(name="dmm-agent", path=[str(tree)]):
        for entry in distribution.entry_points.select(group="console_scripts"):
            command = commands / entry.name
            command.write_text(
                _COMMAND.format(place=PLACE, module=entry.module, function=entry.attr),
                encoding="utf-8",
            )
            command.chmod(0o755)
    (tree / STAMP).write_text(f"{key}\n", encoding="ascii")
    _archive(file, work, compress=True)


def _archive(file: Path, work: Path, *, compress: bool) -> None:
    # Level 1: it is read from a cache or sent over a local network, seconds matter more than bytes.
    with (
        tarfile.open(file, "w:gz", compresslevel=1) if compress else tarfile.open(file, "w")
    ) as archive:
        archive.add(work / "dmm-agent", "dmm-agent", filter=_owned_by_root)


def _owned_by_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def _pip(*arguments: str, target: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*command, "--target", str(target / "dmm-agent"), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise MachineError(
            "the agent cannot be packed; pip said:\n  "
            + "\n  ".join((done.stdout + done.stderr).strip().splitlines()[-12:])
        )


def _python_version() -> str:
    """The machines' Python version; dependencies with compiled parts must match it."""
    script = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([PYTHON, "-c", script], capture_output=True, text=True, check=False)
    machines = done.stdout.strip()
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if machines != own:
        raise MachineError(
            f"the machines run {PYTHON} {machines or '(not found)'}, this command runs Python "
            f"{own}: make the virtual environment with `{PYTHON} -m venv .venv` (`make setup` does)"
        )
    return machines
