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

NOTHING_LEFT_WITHIN_S = 14.0
"""Much less than an agent waits before it removes routes that it cannot explain (90 s)."""


class Away:
    """A mobile node in another network, with a session from home."""

    def __init__(self, lab: Lab, cast: Cast, address: str) -> None:
        self.lab, self.cast, self.address = lab, cast, address
        self.node = lab.host(cast.mobile_node)
        self.hnp = home_prefix(lab, cast)
        self.home = cast.gateway_of(cast.home_access_router).name
        self.visited = cast.gateway_of(cast.visited("away")).name
        self._talking: str | None = None

    def reaches(self) -> bool:
        to = self.cast.correspondent_address
        return bool(self.node.run("ping -c 1 -W 1 -I %s %s", self.address, to).rc == 0)

    def talk(self) -> None:
        """However slow the machines are, the network does not take the session for ended."""
        ping = "setsid ping -i 0.5 -I %s %s > /dev/null 2>&1 < /dev/null & echo $!"
        to = self.cast.correspondent_address
        self._talking = self.node.check_output(ping, self.address, to).strip()

    def fall_silent(self) -> None:
        if self._talking is not None:
            self.node.check_output("kill %s", self._talking)
            self._talking = None

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
    away.talk()
    try:
        until(
            lambda: away.reaches() and away.hnp in bindings(lab, away.home),
            "the session goes on in the new network",
        )
        yield away
    finally:
        away.fall_silent()
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


def test_a_visited_gateway_that_was_killed_has_no_tunnel_once_the_node_is_home(
    lab: Lab, away: Away, cast: Cast, until: Callable[..., Any]
) -> None:
    """Although it has seen no packet since, and cannot know why the tunnels are there."""

    def knows_a_better_way() -> bool:
        return any(to not in ("default", away.hnp) for to in tunnels(lab, away.visited))

    until(knows_a_better_way, "packets from the node go straight to the correspondent's network")
    away.fall_silent()
    away.kill(away.visited)
    away.node.check_output("dmm-radio move %s", cast.home_access_router.name)
    until(
        lambda: not any(tunnels(lab, host) for host in cast.agents),
        "no router tunnels anything",
        NOTHING_LEFT_WITHIN_S,
    )
