"""The Debian packages that machines need, and an archive of them for hosts without internet.

The archive is a small repository: packages and an index, so that ordinary apt on a host takes what
the host has not, and refuses what would not fit. It holds all that the packages depend on, except
what every Debian has.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dmm_testbed.machines.cache import cached, fingerprint
from dmm_testbed.machines.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Progress = Callable[[str], None]

EVERYWHERE = (
    "bird2",
    "ifupdown",
    "iproute2",
    "iputils-ping",
    "ndisc6",
    "nftables",
    "procps",
    "python3",
    "tcpdump",
)
"""What a machine of any kind has."""
NAMESPACE = (*EVERYWHERE, "tini")
"""Of a namespace machine: its first process besides."""
HOST = (*EVERYWHERE, "chrony", "sudo")
"""Of a VM or a host that exists already: a clock of its own, and a way to become root."""
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")


@dataclass(frozen=True, slots=True)
class Package:
    """What an archive's index says about a package, as far as its choice goes."""

    name: str
    required: bool
    """Whether it is on every Debian, and with it what it depends on."""
    provides: frozenset[str]
    depends: tuple[tuple[str, ...], ...]
    """All of these are needed; of the names of one, any."""

    @classmethod
    def parse(cls, stanza: str) -> Package:
        """Read a package's fields."""
        fields = dict(re.findall(r"^([A-Za-z-]+): *(.*(?:\n .*)*)", stanza, re.MULTILINE))
        needed = [fields[f] for f in ("Pre-Depends", "Depends") if f in fields]
        depends = [d for text in needed for d in text.replace("\n", " ").split(",")]
        return cls(
            fields["Package"],
            fields.get("Priority") == "required",
            frozenset(_names(fields.get("Provides", "").split(","))),
            tuple(tuple(_names(alternatives.split("|"))) for alternatives in depends),
        )


def _names(words: Iterable[str]) -> list[str]:
    """Names without versions and architectures."""
    found = (_NAME.match(word.strip()) for word in words)
    return [match[0] for match in found if match]


def to_send(packages: Iterable[Package], wanted: Iterable[str]) -> set[str]:
    """The packages that a host may lack: wanted ones and all they depend on, less the basic system.

    Args:
        packages: all there are to choose from.
        wanted: names of packages; these are in the result in any case.
    """
    known = {package.name: package for package in packages}
    for package in tuple(known.values()):
        for name in package.provides:
            known.setdefault(name, package)
    wanted = list(wanted)
    # Of alternatives a Debian has one, and it is not known which.
    basic = _closure(known, (p.name for p in known.values() if p.required), most_alternatives=1)
    needed = _closure(known, wanted, most_alternatives=None)
    return (needed - basic) | {known[name].name for name in wanted}


def _closure(
    known: dict[str, Package], names: Iterable[str], most_alternatives: int | None
) -> set[str]:
    found: set[str] = set()
    ahead = list(names)
    while ahead:
        package = known.get(ahead.pop())
        if package and package.name not in found:
            found.add(package.name)
            for alternatives in package.depends:
                if most_alternatives is None or len(alternatives) <= most_alternatives:
                    ahead += alternatives
    return found


def archive(wanted: Sequence[str], progress: Progress) -> Path:
    """The archive with packages and all a host may lack for them.

    It is fetched anew when this computer's own packages change.

    Args:
        wanted: names of packages.
        progress: gets a line for each step.

    Raises:
        MachineError: apt cannot fetch them; tells its last words.
    """
    key = fingerprint(Path("/var/lib/dpkg/status").read_bytes(), *wanted)
    return cached("debian", key, ".tar", lambda file, work: _build(file, work, wanted, progress))


def _build(file: Path, work: Path, wanted: Sequence[str], progress: Progress) -> None:
    progress(f"packages: fetching {len(wanted)} Debian packages and what they need, once")
    for directory in ("state/lists/partial", "cache/archives/partial"):
        (work / directory).mkdir(parents=True)
    (work / "status").touch()  # of a computer without any package, so that nothing is left out
    apt = [
        *("apt-get", "--quiet=2", "--yes", "--option", "Acquire::Retries=3"),
        *("--option", f"Dir::State={work}/state", "--option", f"Dir::State::status={work}/status"),
        *("--option", f"Dir::Cache={work}/cache", "--option", "APT::Sandbox::User=root"),
        *("--option", "Acquire::Languages=none", "--no-install-recommends"),
    ]
    _run([*apt, "update"], wanted)
    _run([*apt, "--download-only", "install", *wanted], wanted)
    _pack(file, sorted((work / "cache" / "archives").glob("*.deb")), wanted)


def _run(command: list[str], wanted: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        told = "there is no apt-get on this computer"
    else:
        if not done.returncode:
            return
        told = "\n  ".join(["apt said:", *(done.stdout + done.stderr).strip().splitlines()[-12:]])
    raise MachineError(
        "Debian's packages cannot be fetched for hosts that lack some; "
        f"{told}\nEither see that `apt-get update` works on this computer, which must be a Debian "
        f"12, or install them on the hosts: apt-get install {' '.join(wanted)}"
    )


def _pack(file: Path, debs: Sequence[Path], wanted: Sequence[str]) -> None:
    stanzas = {deb: _stanza(deb) for deb in debs}
    packages = {deb: Package.parse(stanza) for deb, stanza in stanzas.items()}
    names = to_send(packages.values(), wanted)
    chosen = [deb for deb in debs if packages[deb].name in names]
    index = file.with_name("Packages")
    index.write_text("\n".join(stanzas[deb] for deb in chosen), encoding="utf-8")
    with tarfile.open(file, "w") as made:
        for part in (index, *chosen):
            made.add(part, part.name)
    index.unlink()


def _stanza(deb: Path) -> str:
    """A package's entry in the index."""
    fields = subprocess.run(
        ["dpkg-deb", "--field", str(deb)], capture_output=True, text=True, check=True
    ).stdout
    digest = hashlib.sha256(deb.read_bytes()).hexdigest()
    return f"{fields}Filename: ./{deb.name}\nSize: {deb.stat().st_size}\nSHA256: {digest}\n"
