"""The example on the simulator's page runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[3] / "docs" / "simulator.md"


def test_the_example_runs_and_the_node_keeps_its_session() -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)
    names: dict[str, Any] = {}
    exec(example, names)  # noqa: S102 (our own page)
    world = names["world"]
    address = world.address("mn1@dmm.example", "net1")
    assert world.tables["ar31"].delivers(address, "mn1")
