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
    # iproute2 prints the fields of an encapsulation between those of the route, under the same
    # names: `table` of End.DT6 comes before the route's own, `dst` of the outer header after it.
    row = dict(pairs)
    if "segs" in row:
        row["endpoint"] = row["segs"][0]
    elif row.get("encap") == "ip6":
        row["dst"], row["endpoint"] = (value for name, value in pairs if name == "dst")
    return row
