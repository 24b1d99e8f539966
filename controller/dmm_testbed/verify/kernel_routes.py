"""The routes of a machine's kernel, whichever way it tunnels."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dmm_agent.dataplane.entrance import ENTRANCE, next_hops

if TYPE_CHECKING:
    from dmm_agent.config import AgentConfig

Row = dict[str, Any]


def read_routes(text: str) -> list[Row]:
    """Read what `ip -json -6 route` printed.

    Returns:
        Its rows; one that encapsulates has the outer destination as `endpoint`, too.
    """
    return [row for row in json.loads(text or "[]", object_pairs_hook=_row) if row]


def name_endpoints(rows: list[Row], config: AgentConfig) -> None:
    """Give routes whose packets are rewritten the `endpoint` that these go to."""
    others = (hop for hop in next_hops(config) if hop.network.network != config.network)
    endpoints = {str(hop.address): str(hop.network.mr) for hop in others}
    for row in rows:
        if row.get("dev") == ENTRANCE and row.get("gateway") in endpoints:
            row["endpoint"] = endpoints[row["gateway"]]


def _row(pairs: list[tuple[str, Any]]) -> Row:
    # iproute2 prints the fields of an encapsulation between those of the route, under the same
    # names: `table` of End.DT6 comes before the route's own, `dst` of the outer header after it.
    row = dict(pairs)
    if "segs" in row:
        row["endpoint"] = row["segs"][0]
    elif row.get("encap") == "ip6":
        row["dst"], row["endpoint"] = (value for name, value in pairs if name == "dst")
    return row
