"""Files that were written on a machine: remembered, looked at, and undone on somebody's host."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

RECORD = "/var/lib/dmm-testbed/files.json"
"""Which files were written, by path: `file` for a whole one, `block` for our part of one."""
KEPT = ".before-dmm"
BEGIN = b"# Begin of what Ansible made for dmm-testbed: changes are lost.\n"
END = b"# End of what Ansible made for dmm-testbed."
BLOCK = re.compile(re.escape(BEGIN) + b"(.*?)" + re.escape(END) + b"\n?", re.DOTALL)


def block_of(content: bytes) -> bytes | None:
    """Our part of a file; none if the lines that enclose it are not there."""
    found = BLOCK.search(content)
    return found[1] if found else None


def without_block(content: bytes) -> bytes:
    """A file's content as its owner wrote it."""
    return BLOCK.sub(b"", content)


def with_block(content: bytes, block: bytes) -> bytes:
    """A file's content with our part at its end, once."""
    owners = without_block(content)
    if owners and not owners.endswith(b"\n"):
        owners += b"\n"
    return owners + BEGIN + block.rstrip() + b"\n" + END + b"\n"


def recorded(record: Path) -> dict[str, str]:
    """What the record says; nothing if there is none."""
    known: dict[str, str] = (
        json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    )
    return known


def remember(record: Path, files: dict[str, str]) -> None:
    """Note which files are ours, before any is written, and keep those that were there before."""
    known = recorded(record)
    new = {path: kind for path, kind in files.items() if path not in known}
    for path, kind in new.items():
        if kind == "file" and Path(path).is_file():
            shutil.copy2(path, path + KEPT)
            owner = Path(path).stat()
            os.chown(path + KEPT, owner.st_uid, owner.st_gid)
    if new:
        record.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        draft = record.with_suffix(".new")
        draft.write_text(json.dumps(known | new, indent=1) + "\n", encoding="utf-8")
        draft.replace(record)


def restore(path: Path, kind: str) -> None:
    """Take our block out of a file, or put back what a file of ours replaced, or remove it."""
    if kind == "block":
        if path.is_file():
            path.write_bytes(without_block(path.read_bytes()))
        return
    original = Path(f"{path}{KEPT}")
    if original.exists():
        original.replace(path)
        return
    path.unlink(missing_ok=True)
    for parent in path.parents:
        # Directories that were made for the file, and those only, are empty now.
        if parent.name not in ("dmm", "dmm_traffic"):
            break
        shutil.rmtree(parent / "__pycache__", ignore_errors=True)
        if parent.is_dir() and not any(parent.iterdir()):
            parent.rmdir()
