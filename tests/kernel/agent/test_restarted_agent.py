"""What an agent that is started again makes of what the one before has left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.kernel.agent.lab import ADDRESS, CN, HNP1, HNP3, inside, run, until
from tests.kernel.agent.test_agent_process import address_in, away_from_home

from dmm_agent.dataplane.layout import METRIC_BINDING, TABLE_BOUND, TABLE_SHORTCUT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kernel.agent.agents import AgentProcess
    from tests.kernel.agent.lab import Lab


@pytest.fixture
def stopped(start: Callable[..., AgentProcess]) -> AgentProcess:
    """The agent of gw1, which has run."""
    agent = start("gw1")
    agent.stop()
    return agent


def left_at_gw1(table: int, prefix: object) -> None:
    """A route to gw3 that an agent has left in the kernel of gw1."""
    with inside("gw1"):
        run(*f"ip -6 route add {prefix} encap seg6 mode encap.red segs {ADDRESS['gw3']} dev dmm0 "
            f"table {table} metric {METRIC_BINDING} proto 77".split())  # fmt: skip


def test_a_killed_agent_keeps_leases_and_bindings_and_claims_its_routes_again(
    lab: Lab, agents: dict[str, AgentProcess]
) -> None:
    home = away_from_home(lab)
    mn = lab.udp("mn", home, port=5001)
    gw1 = agents["gw1"]

    def tunnelled() -> bool:
        mn.sendto(b"still me", (CN, 9))
        return bool(gw1.ask("bindings"))

    def promised() -> list[tuple[str, str, str]]:
        rows = [(table, row) for table in ("leases", "bindings") for row in gw1.ask(table)]
        return [(table, row["hnp"], row["mn_id"]) for table, row in rows]

    assert until(tunnelled)
    before = promised()
    gw1.kill()
    gw1.start()

    assert promised() == before
    assert [table for table, *_ in before] == ["leases", "bindings"]
    routes = gw1.ask("routes")
    assert [(r["kind"], r["prefix"], r["adopted"]) for r in routes] == [
        ("BindingRoute", str(HNP1), False)
    ], "it has been asked for again"


def test_what_nobody_asks_for_again_is_swept_after_the_grace_period(
    stopped: AgentProcess,
) -> None:
    left_at_gw1(TABLE_BOUND, HNP1)

    stopped.start("--adoption-grace-s", "0.2")

    assert until(lambda: stopped.count("events", "swept") == 1)
    assert stopped.ask("routes") == []


def test_what_functions_know_to_be_over_goes_at_once(
    stopped: AgentProcess,
) -> None:
    """Where nobody visits, nobody needs a shortcut for visitors."""
    left_at_gw1(TABLE_BOUND, HNP1)
    left_at_gw1(TABLE_SHORTCUT, HNP3)

    stopped.start()

    left = [(row["kind"], row["adopted"]) for row in stopped.ask("routes")]
    assert left == [("BindingRoute", True)]


def test_a_node_that_left_meanwhile_is_no_longer_delivered_to(
    lab: Lab, start: Callable[..., AgentProcess]
) -> None:
    agents = [start(host) for host in ("ar1", "gw1")]
    lab.attach("ar1")
    lab.solicit()
    address_in(lab, HNP1)
    (access_router, _) = agents
    assert [row["kind"] for row in access_router.ask("routes")] == ["Delivery"]
    access_router.kill()
    lab.attach("ar3")

    access_router.start()

    assert access_router.ask("routes") == []
