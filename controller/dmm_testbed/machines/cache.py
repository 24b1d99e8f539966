"""Files that take long to build and are kept: `/var/cache/dmm-testbed/`, or in the user's cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def _place() -> Path:
    """Root's for all of the computer; whoever is not root uses virtual machines, and has a home."""
    if os.geteuid() == 0:
        return Path("/var/cache/dmm-testbed")
    own = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(own).expanduser() / "dmm-testbed"


CACHE = _place()
KEPT = 3
"""So many files of a kind are kept, the newest; changing between branches stays fast."""


def fingerprint(*parts: str | bytes) -> str:
    """A short name for exactly this content."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:16]


def cached(kind: str, key: str, suffix: str, build: Callable[[Path, Path], None]) -> Path:
    """The file of a kind with that key; built if it is not there yet.

    Args:
        kind: first part of its name; files of one kind replace each other.
        key: fingerprint of all it is built from.
        suffix: last part of its name.
        build: gets the path to write and an empty directory to work in.
    """
    file = CACHE / f"{kind}-{key}{suffix}"
    with _locked(kind):
        if file.exists():
            os.utime(file)
        else:
            with _workplace(kind) as workplace:
                draft = workplace / file.name
                work = workplace / "work"
                work.mkdir()
                build(draft, work)
                draft.replace(file)
        _prune(kind, suffix)
    return file


@contextmanager
def _locked(kind: str) -> Iterator[None]:
    CACHE.mkdir(mode=0o755, parents=True, exist_ok=True)
    with (CACHE / f".{kind}.lock").open("w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _workplace(kind: str) -> Iterator[Path]:
    place = CACHE / f".{kind}.building"
    shutil.rmtree(place, ignore_errors=True)  # of a run that was killed
    place.mkdir()
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _prune(kind: str, suffix: str) -> None:
    files = sorted(CACHE.glob(f"{kind}-*{suffix}"), key=lambda file: file.stat().st_mtime)
    for file in files[:-KEPT]:
        file.unlink(missing_ok=True)
