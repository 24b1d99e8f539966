"""On a machine: several files in one task."""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import stat
import sys
import tempfile
from pathlib import Path
from typing import Any

from dmm_commands import run_command
from dmm_files import remember, with_block


def run(arguments: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Have the files be as wanted; gives Ansible's result."""
    diffs: list[dict[str, str]] = []
    if arguments["record"] and not check_mode:
        kinds = {f["path"]: "block" if f["block"] else "file" for f in arguments["files"]}
        remember(Path(arguments["record"]), kinds)
    changed = [file["path"] for file in arguments["files"] if present(file, diffs, check_mode)]
    changed += [path for path in arguments["absent"] if absent(path, diffs, check_mode)]
    return {"changed": bool(changed), "changed_paths": changed, "diff": diffs}


def present(file: dict[str, Any], diffs: list[dict[str, str]], check_mode: bool) -> bool:
    """Make a file be as wanted; says whether it was not."""
    path = Path(file["path"])
    found = path.read_bytes() if path.is_file() else None
    wanted: bytes = file["content"].encode(errors="surrogateescape")
    if file["block"]:
        wanted = with_block(found or b"", wanted)
    differs = found != wanted
    if differs:
        diffs.append(
            {
                "before_header": str(path),
                "after_header": str(path),
                "before": "" if found is None else found.decode(errors="replace"),
                "after": wanted.decode(errors="replace"),
            }
        )
    # Of a file with a block of ours the rest is somebody's, and so are its permissions.
    kept = path.stat() if file["block"] and found is not None else None
    access = (kept.st_uid, kept.st_gid, stat.S_IMODE(kept.st_mode)) if kept else access_of(file)
    if differs and not check_mode:
        write(path, wanted, access, file["validate"])
    return differs or has_other_access(path, access, check_mode)


def access_of(file: dict[str, Any]) -> tuple[int, int, int]:
    """Owner, group and permissions that a file shall have."""
    try:
        owner = pwd.getpwnam(file["owner"]).pw_uid
        group = grp.getgrnam(file["group"]).gr_gid
    except KeyError as error:
        sys.exit(f"{file['path']}: {error.args[0]}")
    return owner, group, int(file["mode"], 8)


def has_other_access(path: Path, access: tuple[int, int, int], check_mode: bool) -> bool:
    """Give a file that is there its owner, group and permissions; says whether it had others."""
    status = path.stat()
    if (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == access:
        return False
    if not check_mode:
        os.chown(path, *access[:2])
        path.chmod(access[2])
    return True


def write(path: Path, content: bytes, access: tuple[int, int, int], validate: str | None) -> None:
    """Replace a file at once: whoever reads it meanwhile gets the old or the new one."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchown(file.fileno(), *access[:2])
            os.fchmod(file.fileno(), access[2])
            os.fsync(file.fileno())
        if validate:
            check(path, draft, validate)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def check(path: Path, draft: Path, validate: str) -> None:
    """Have the program that will read a file say whether it can."""
    status, output, errors = run_command(shlex.split(validate.replace("%s", str(draft))))
    if status:
        told = (output + errors).replace(str(draft), str(path)).strip()
        sys.exit(f"{path}: refused by `{validate}`: {told}")


def absent(path: str, diffs: list[dict[str, str]], check_mode: bool) -> bool:
    """Make a file not be there; says whether it was."""
    file = Path(path)
    if not file.exists() and not file.is_symlink():
        return False
    diffs.append(
        {"before_header": path, "after_header": path, "before": "present\n", "after": "absent\n"}
    )
    if not check_mode:
        file.unlink()
    return True
