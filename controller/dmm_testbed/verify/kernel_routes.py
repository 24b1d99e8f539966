"""The routes of a machine's kernel, whichever way it tunnels."""

from __future__ import annotations

import json
from typing import Any

Row = dict[str, Any]


def read_routes(text: str) -> list[Row]:
    """Read what `ip -json -6 route` printed.

    Returns:
        Its rows; one that encapsulates has the outer destination as `endpoint`, too.
    """
    return [row for row in json.loads(text or "[]", object_pairs_hook=_row) if row]


def _row(pairs: list[tuple[str, Any]]) -> Row:
    row = dict(reversed(pairs))  # of two fields with the same name the first one is to stay
    if "segs" in row:
        row["endpoint"] = row["segs"][0]
    elif row.get("encap") == "ip6":
        # iproute2 prints `dst` twice: of the route, and of the outer header.
        _, row["endpoint"] = (value for name, value in pairs if name == "dst")
    return row
