"""Lifetimes of seconds: what nobody renews ends everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from labs import BRIEF_PROFILE
from looks import addresses, bindings, home_prefix, table, tunnels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cast import Cast
    from labs import Lab

pytestmark = pytest.mark.changes_lab(turn=2)


@pytest.fixture
def node(lab: Lab, cast: Cast) -> Iterator[Any]:
    """The mobile node in a lab with brief lifetimes; afterwards it is at home."""
    lab.begin_anew(profile=BRIEF_PROFILE)
    host = lab.host(cast.mobile_node)
    host.check_output("ip link set dev radio0 up")
    host.check_output("dmm-radio attach %s", cast.home_access_router.name)
    yield host
    host.check_output("ip link set dev radio0 up")
    host.check_output("dmm-radio move %s", cast.home_access_router.name)


def test_lifetimes_clean_up_everything_a_silent_node_left(
    lab: Lab, cast: Cast, node: Any, until: Callable[..., Any]
) -> None:
    pool = cast.home_pool
    until(lambda: addresses(lab, cast, pool), "an address of the home network")
    source = addresses(lab, cast, pool)[0]["local"]
    node.check_output("dmm-radio move %s", cast.visited("away").name)
    gateway = cast.gateway_of(cast.home_access_router).name
    hnp = home_prefix(lab, cast)

    def bound_by_use() -> bool:
        node.run("ping -c 1 -W 1 -I %s %s", source, cast.correspondent_address)
        return hnp in bindings(lab, gateway)

    until(bound_by_use, f"{gateway} has a binding of {hnp}")
    node.check_output("ip link set dev radio0 down")

    def left() -> list[object]:
        mn_id = f"{cast.mobile_node}@"
        tables = [
            row
            for host in cast.agents
            for name in ("bindings", "leases", "attachments")
            for row in table(lab, host, name)
            if row["mn_id"].startswith(mn_id)
        ]
        return [*tables, *(t for h in cast.agents for t in tunnels(lab, h) if t == hnp)]

    until(lambda: not left(), "nothing of the node is left on any host", within_s=90)
