from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dmm_agent.simulator.example import example_world

if TYPE_CHECKING:
    from collections.abc import Callable

    from dmm_agent.simulator.world import World


@pytest.fixture
def make_world() -> Callable[..., World]:
    return example_world
