from __future__ import annotations

from typing import Any

import pytest
from example_run import example

from dmm_testbed.results import Results


@pytest.fixture
def run() -> dict[str, Any]:
    """The example run as a dictionary, for a test to change before it is read."""
    return example()


@pytest.fixture(scope="session")
def results() -> Results:
    return Results.model_validate(example())
