"""Two machines on a link: `mn`, with two prefixes of which one is deprecated, and `cn`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.kernel.sockets.pair import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pair() -> Iterator[Pair]:
    if os.geteuid() != 0:
        pytest.skip("needs root to make network namespaces")
    made = Pair()
    yield made
    made.close()
