"""Which seeds a test plays: a few by default, or those that the environment names."""

from __future__ import annotations

import os


def seeds(by_default: int) -> range:
    """The first so many, or DMM_SEEDS: one alone (``7``), or a range (``0-1999``)."""
    first, _, last = os.environ.get("DMM_SEEDS", f"0-{by_default - 1}").partition("-")
    return range(int(first), int(last or first) + 1)
