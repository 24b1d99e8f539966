"""Mobility only while a session needs it, as access routers see sessions: by their packets."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from labs import BRIEF_PROFILE
from looks import addresses, bindings, events, home_prefix, table, tunnels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cast import Cast
    from labs import Lab

    from dmm_testbed.topology import Machine

pytestmark = [pytest.mark.not_emulated, pytest.mark.changes_lab(turn=2)]

SESSIONS = ("tcp", "connected udp", "listening server")
LEASE_S = 16.0
"""Of the brief profile."""
RESET_WITHIN_S = 90.0
"""TCP tries again after pauses that double, so it hears of the end after twice the time, from the
end of the binding to that of the lease, at most."""


@dataclass
class Visit:
    """A mobile node that has a prefix at home, and moves to another network with it."""

    lab: Lab
    cast: Cast
    hnp: str
    address: str

    @property
    def node(self) -> Any:
        return self.lab.host(self.cast.mobile_node)

    @property
    def correspondent(self) -> Any:
        return self.lab.host(self.cast.correspondent.name)

    @property
    def home_gateway(self) -> str:
        return self.cast.gateway_of(self.cast.home_access_router).name

    @property
    def visited(self) -> Machine:
        return self.cast.visited("away")

    def move(self) -> None:
        self.node.check_output("dmm-radio move %s", self.visited.name)

    def start(self, kind: str) -> None:
        """Begin a session with the home prefix."""
        server, client, to = self.correspondent, self.node, self.cast.correspondent_address
        if kind == "listening server":
            server, client, to = self.node, self.correspondent, self.address
        server.check_output("dmm-traffic serve --background")
        stream = "--udp" if kind == "connected udp" else "--tcp"
        run = f"dmm-traffic run --background {stream} --rate 20 --tcp-rate 2000"
        source = "" if client is self.correspondent else f" --from {self.address}"
        client.check_output(f"{run} --to {to}{source}")

    def stop(self) -> None:
        """End every session; there may be none."""
        for host in (self.node, self.correspondent):
            host.check_output("dmm-traffic stop")

    def state(self) -> list[str]:
        """Who knows where the node is with its home prefix: LMs, access routers, kernels."""
        hosts = self.cast.agents
        found = [f"binding at {host}" for host in hosts if self.hnp in bindings(self.lab, host)]
        found += [f"tunnel at {host}" for host in hosts if self.hnp in tunnels(self.lab, host)]
        served = table(self.lab, self.visited.name, "attachments")
        return found + [f"served: {row['link']}" for row in served if self.hnp in row["prefixes"]]

    def errors(self) -> list[str]:
        """What ended the node's TCP sessions, if anything did."""
        said = self.node.run("dmm-traffic report --json --name run").stdout
        streams = [s for p in json.loads(said)["processes"] for s in p["streams"]]
        return [s["error"] for s in streams if s["error"]]

    def lease_ends_s(self, gateway: str) -> float | None:
        """When the lease of the home prefix ends, as this gateway's allocator has it."""
        now_s = float(self.lab.host(gateway).check_output("date +%s.%N"))
        leases = {row["hnp"]: row["remaining_s"] for row in table(self.lab, gateway, "leases")}
        return now_s + leases[self.hnp] if self.hnp in leases else None

    def bound(self) -> bool:
        """Whether both networks' LMs know where it is."""
        lms = (self.home_gateway, self.cast.gateway_of(self.visited).name)
        return all(self.hnp in bindings(self.lab, lm) for lm in lms)


@pytest.fixture
def visit(lab: Lab, cast: Cast, until: Callable[..., Any]) -> Iterator[Visit]:
    """A node at home; afterwards it is there again, without sessions."""
    lab.change_to(profile=BRIEF_PROFILE)
    node = lab.host(cast.mobile_node)
    lab.have_no_address(cast.mobile_node)
    node.check_output("dmm-radio attach %s", cast.home_access_router.name)

    def address() -> str | None:
        usable = [a for a in addresses(lab, cast, cast.home_pool) if not a.get("tentative")]
        return next((a["local"] for a in usable if a["preferred_life_time"]), None)

    here = until(address, "a preferred address of the home network")
    visit = Visit(lab, cast, home_prefix(lab, cast), here)
    visit.stop()
    until(lambda: not visit.state(), "nobody knows of an earlier visit")
    yield visit
    visit.stop()
    lab.have_no_address(cast.mobile_node)
    node.check_output("dmm-radio attach %s", cast.home_access_router.name)


def test_a_node_that_moves_without_a_session_leaves_nothing_at_its_lm(
    visit: Visit, until: Callable[..., Any]
) -> None:
    pool = visit.visited.network.mobile_pool
    visit.move()
    until(lambda: addresses(visit.lab, visit.cast, pool), "an address of the visited network")
    assert visit.state() == []
    arrived_s = events(visit.lab, visit.visited.name, "attached")[-1]["at_s"]
    set_ = events(visit.lab, visit.home_gateway, "binding_set")
    bound = [event for event in set_ if event["at_s"] > arrived_s]
    assert bound == [], "nor did it for a moment"


@pytest.mark.parametrize("kind", SESSIONS)
def test_state_lasts_as_long_as_the_session_and_no_longer(
    visit: Visit, until: Callable[..., Any], kind: str
) -> None:
    visit.start(kind)
    visit.move()
    until(visit.bound, f"both LMs know where {visit.hnp} is")

    visit.stop()
    until(lambda: not visit.state(), f"nobody knows of {visit.hnp} any more", within_s=30)
    assert visit.lab.host(visit.visited.name).check_output("dmmctl attachments"), (
        "it is still there"
    )


def test_a_session_that_outlives_its_lease_has_it_renewed_by_the_network_that_gave_it(
    visit: Visit, until: Callable[..., Any]
) -> None:
    visit.start("tcp")
    visit.move()
    until(visit.bound, f"both LMs know where {visit.hnp} is")
    ends_s = visit.lease_ends_s(visit.home_gateway)
    assert ends_s

    def renewed() -> bool:
        """After it would have been over."""
        now_ends_s = visit.lease_ends_s(visit.home_gateway)
        assert now_ends_s, "it never ends"
        return now_ends_s >= ends_s + LEASE_S

    until(renewed, f"the lease of {visit.hnp} is renewed again", 4 * LEASE_S)
    assert visit.lease_ends_s(visit.cast.gateway_of(visit.visited).name) is None
    assert visit.bound()
    assert visit.errors() == []


def test_a_session_whose_lease_cannot_be_renewed_is_reset(
    visit: Visit, until: Callable[..., Any]
) -> None:
    visit.start("tcp")
    visit.move()
    until(visit.bound, f"both LMs know where {visit.hnp} is")
    gateway = visit.lab.host(visit.home_gateway)
    gateway.check_output("service dmm-agent stop")
    try:
        errors = until(visit.errors, "the TCP session hears of its end", RESET_WITHIN_S)
        assert any("reset" in error.lower() for error in errors), errors
    finally:
        gateway.check_output("service dmm-agent start")
