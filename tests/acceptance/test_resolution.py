"""How mobility routing learns where a node is (draft, 7: RS2), other than by asking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from looks import addresses, bindings, home_prefix, table, tunnels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cast import Cast
    from labs import Lab

    from dmm_testbed.topology import Machine

pytestmark = pytest.mark.changes_lab(turn=3)


@dataclass(frozen=True)
class Visit:
    """A node away from home, whose home address a correspondent still talks to."""

    lab: Lab
    cast: Cast
    address: str

    @property
    def mr(self) -> Machine:
        """The MR that serves the correspondent."""
        return self.cast.gateway_of(self.cast.correspondent)

    @property
    def hnp(self) -> str:
        return home_prefix(self.lab, self.cast)

    def talks(self) -> bool:
        """Whether packets go both ways just now."""
        node = self.lab.host(self.cast.mobile_node)
        ping = "ping -c 2 -i 0.2 -W 1 -I %s %s"
        said = node.run(ping, self.address, self.cast.correspondent_address)
        return bool(said.rc == 0)

    def counted(self, event: str) -> int:
        """How often the correspondent's MR has recorded an event."""
        rows = table(self.lab, self.mr.name, "counters")
        return sum(r["count"] for r in rows if (r["group"], r["key"]) == ("events", event))


@pytest.fixture
def visit(
    lab: Lab, cast: Cast, until: Callable[..., Any], request: pytest.FixtureRequest
) -> Iterator[Visit]:
    """The node has moved away in a lab with the profile that the test names."""
    lab.change_to(profile=request.param)
    lab.begin_anew()
    node = lab.host(cast.mobile_node)
    node.check_output("dmm-radio attach %s", cast.home_access_router.name)
    until(lambda: addresses(lab, cast, cast.home_pool), "an address of the home network")
    here = Visit(lab, cast, addresses(lab, cast, cast.home_pool)[0]["local"])
    until(here.talks, "packets between the node at home and the correspondent")
    node.check_output("dmm-radio move %s", cast.visited("away").name)
    home = cast.gateway_of(cast.home_access_router).name

    def known() -> bool:
        return here.talks() and here.hnp in bindings(lab, home)

    until(known, f"{home} has a binding of {here.hnp}, and packets arrive")
    yield here
    node.check_output("dmm-radio move %s", cast.home_access_router.name)


@pytest.mark.parametrize("visit", ["gateway-push"], indirect=True)
def test_the_home_network_tells_the_correspondents_mr_which_never_asks(
    lab: Lab, cast: Cast, visit: Visit, until: Callable[..., Any]
) -> None:
    there = str(cast.gateway_of(cast.visited("away")).loopback)

    def told() -> bool:
        return visit.talks() and tunnels(lab, visit.mr.name).get(visit.hnp) == there

    until(told, f"{visit.mr.name} sends {visit.hnp} straight to {there}")
    assert visit.talks()
    assert visit.counted("pushed") >= 1
    assert visit.counted("query") == 0


@pytest.mark.parametrize("visit", ["distributed-no-ro"], indirect=True)
def test_without_route_optimization_packets_go_by_the_home_network(
    lab: Lab, cast: Cast, visit: Visit
) -> None:
    home = cast.gateway_of(cast.home_access_router)
    assert visit.talks()
    assert visit.hnp in tunnels(lab, home.name)
    assert visit.hnp not in tunnels(lab, visit.mr.name)
    assert table(lab, visit.mr.name, "cache") == []
    assert visit.counted("query") == visit.counted("pushed") == 0
