"""A killed agent keeps its promises: leases and bindings are on its disk (draft, 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from looks import addresses, bindings, home_prefix, table, tunnels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cast import Cast
    from labs import Lab

pytestmark = pytest.mark.not_emulated


class Away:
    """A mobile node in another network, with a session from home."""

    def __init__(self, lab: Lab, cast: Cast, address: str) -> None:
        self.lab, self.cast, self.address = lab, cast, address
        self.hnp = home_prefix(lab, cast)
        self.home = cast.gateway_of(cast.home_access_router).name
        self.visited = cast.gateway_of(cast.visited("away")).name

    def reaches(self) -> bool:
        node, to = self.lab.host(self.cast.mobile_node), self.cast.correspondent_address
        return bool(node.run("ping -c 1 -W 1 -I %s %s", self.address, to).rc == 0)

    def promises(self, host: str) -> dict[str, Any]:
        """What a gateway holds of the node, but for how long."""
        mn_id = f"{self.cast.mobile_node}@"
        tables = {name: table(self.lab, host, name) for name in ("leases", "bindings")}
        return {
            name: [
                {field: value for field, value in row.items() if field != "remaining_s"}
                for row in rows
                if row["mn_id"].startswith(mn_id)
            ]
            for name, rows in tables.items()
        }

    def kill(self, host: str) -> None:
        pid = self.lab.host(host).check_output("pidof -x dmm-agent").split()[0]
        # Its start would find it running while the kernel still takes it apart.
        gone = f"kill -KILL {pid}; timeout 30 sh -c 'while kill -0 {pid}; do sleep 0.05; done'"
        self.lab.host(host).check_output(f"{gone} 2> /dev/null")
        self.lab.host(host).check_output("service dmm-agent start")


@pytest.fixture
def away(lab: Lab, cast: Cast, until: Callable[..., Any]) -> Iterator[Away]:
    """Away from home, and known to be; afterwards at home again."""
    node, home = lab.host(cast.mobile_node), cast.home_access_router
    node.check_output("dmm-radio move %s", home.name)

    def usable() -> str | None:
        known = [a for a in addresses(lab, cast, cast.home_pool) if not a.get("tentative")]
        return next((a["local"] for a in known if a["preferred_life_time"]), None)

    away = Away(lab, cast, until(usable, "a preferred address of the home network"))
    node.check_output("dmm-radio move %s", cast.visited("away").name)
    # However slow the machines are, the network does not take the session for ended.
    ping = "setsid ping -i 0.5 -I %s %s > /dev/null 2>&1 < /dev/null & echo $!"
    pid = node.check_output(ping, away.address, cast.correspondent_address).strip()
    try:
        until(
            lambda: away.reaches() and away.hnp in bindings(lab, away.home),
            "the session goes on in the new network",
        )
        yield away
    finally:
        node.check_output("kill %s", pid)
        node.check_output("dmm-radio move %s", home.name)


@pytest.mark.parametrize("which", ["home", "visited"])
def test_a_gateway_whose_agent_is_killed_knows_all_that_it_knew(
    lab: Lab, away: Away, until: Callable[..., Any], which: str
) -> None:
    host = getattr(away, which)
    before, steered = away.promises(host), tunnels(lab, host)
    assert before["leases"], "a lease is a promise"
    assert [row["hnp"] for row in before["bindings"]] == [away.hnp]

    away.kill(host)
    assert away.promises(host) == before
    assert tunnels(lab, host) == steered
    assert away.reaches()
    lab.host(away.cast.mobile_node).check_output(
        "dmm-radio move %s", away.cast.visited("within").name
    )
    until(away.reaches, "a session of before goes on after the next move")
