"""What tests of all kinds share."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

BEGIN_UNTIL = "TESTS_BEGIN_UNTIL"
"""Environment: seconds since 1970 after which no test begins, where a computer may be too slow."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `--dist loadscope`, which test is played by which process."""
    from tests.side_by_side import ByMachines

    return ByMachines(config, log) if config.getoption("dist") == "loadscope" else None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Skip what would begin too late, before anything is made for it."""
    latest = os.environ.get(BEGIN_UNTIL)
    if latest is not None and time.time() > float(latest):
        pytest.skip(f"no time left: {BEGIN_UNTIL} says that no test begins any more")


@pytest.fixture
def until() -> Callable[..., Any]:
    """Look first, then wait until something is true; gives its value."""

    def wait(look: Callable[[], Any], what: str, within_s: float = 60.0) -> Any:
        deadline = time.monotonic() + within_s
        while not (found := look()):
            assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {what}"
            time.sleep(0.05)
        return found

    return wait
