"""The archive with the agent holds this repository's agent, however its directory is named."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from dmm_testbed.machines import bundle, cache

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[3]


def test_a_relative_directory_is_not_taken_for_a_package_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`agent` is also the name of a package on the Python package index."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(cache, "CACHE", tmp_path)
    none_needed = tmp_path / "requirements.txt"
    none_needed.write_text("", encoding="ascii")
    archive, _ = bundle.agent_bundle(Path("agent"), none_needed, lambda _: None)
    with tarfile.open(archive) as packed:
        names = set(packed.getnames())
    assert {"dmm-agent/bin/dmm-agent", "dmm-agent/bin/dmmctl", "dmm-agent/BUNDLE"} <= names
    assert "dmm-agent/dmm_agent/runtime/main.py" in names
