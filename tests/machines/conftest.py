"""Tests of what makes namespace machines; they need root, and labs of their own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dmm_testbed.machines import bundle

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session", autouse=True)
def _root() -> None:
    if os.geteuid() != 0:
        pytest.fail("these tests make machines: run them as root, for example with sudo")


@pytest.fixture(scope="session")
def agent() -> Path:
    """The packed agent, which every machine gets."""
    words: list[str] = []
    return bundle.agent_bundle(ROOT / "agent", ROOT / "requirements-agent.txt", words.append)[0]
