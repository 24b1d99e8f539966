from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dmm_testbed.results import Results

EXAMPLE = Path(__file__).parent / "data" / "results.json"


@pytest.fixture
def run() -> Any:
    """The example run as a dictionary, for a test to change before it is read."""
    return json.loads(EXAMPLE.read_text())


@pytest.fixture(scope="session")
def results() -> Results:
    return Results.model_validate_json(EXAMPLE.read_text())
