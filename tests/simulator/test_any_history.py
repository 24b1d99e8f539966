"""Whatever moves, losses, silences and restarts come in whatever order, it ends well.

Hypothesis draws the histories, and prints the shortest one that fails.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from tests.simulator.designs import DESIGNS, OPTIMISING

from dmm_agent.simulator.example import example_world
from dmm_agent.simulator.faults import Faults
from dmm_agent.simulator.invariants import detours, disagreements, leftovers, watch
from dmm_agent.simulator.plan import make_plan

PLAN = make_plan(networks=3, access_routers=2, mobile_nodes=2)
MOBILE_NODES = st.sampled_from([node.id for node in PLAN.mobile_nodes.nodes])
ACCESS_ROUTERS = st.sampled_from([router.name for router in PLAN.access_routers()])
ROUTERS = st.sampled_from(sorted(PLAN.routers))
QUIET_S = 90
"""Longer than every lifetime, and what a restarted agent leaves in place, together."""


class History(RuleBasedStateMachine):
    """Two mobile nodes with sessions, in three networks where anything can happen."""

    @initialize(seed=st.integers(0, 2**16), design=st.sampled_from(OPTIMISING))
    def begin(self, seed: int, design: str) -> None:
        self.world = example_world(seed, mobile_nodes=2, **DESIGNS[design])
        self.messages = watch(self.world)

    @rule(mn_id=MOBILE_NODES, access_router=ACCESS_ROUTERS, silently=st.booleans())
    def move(self, mn_id: str, access_router: str, *, silently: bool) -> None:
        self.world.attach(mn_id, access_router, silently=silently)

    @rule(mn_id=MOBILE_NODES, silently=st.booleans())
    def leave(self, mn_id: str, *, silently: bool) -> None:
        self.world.leave(mn_id, silently=silently)

    @rule(mn_id=MOBILE_NODES, network=st.sampled_from(["net1", "net2", "net3"]))
    def use(self, mn_id: str, network: str) -> None:
        mn = self.world.mobile_nodes[mn_id]
        if network not in mn.sessions and self.world.address(mn_id, network) is not None:
            self.world.start_session(mn_id, network)

    @rule(loss=st.sampled_from([0.0, 0.2, 0.5, 1.0]), shuffled=st.sampled_from([0.0, 0.3]))
    def weather(self, loss: float, shuffled: float) -> None:
        self.world.faults = Faults(loss=loss, duplicate=shuffled, reorder=shuffled)

    @rule(router=ROUTERS)
    def restart(self, router: str) -> None:
        self.world.restart(router)

    @rule(for_s=st.sampled_from([0.01, 0.1, 0.5, 2.0, 7.0, 45.0]))
    def wait(self, for_s: float) -> None:
        self.world.run(for_s)

    @precondition(lambda self: self.messages.violations)
    @rule()
    def complain(self) -> None:
        raise AssertionError(self.messages.violations)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.world.faults = Faults()
        for mn in self.world.mobile_nodes.values():
            for network in tuple(mn.sessions):
                if self.world.address(mn.policy.id, network) is None:
                    self.world.stop_session(mn.policy.id, network)
        self.world.run(QUIET_S)
        assert [*disagreements(self.world), *detours(self.world)] == []
        for mn_id in self.world.mobile_nodes:
            self.world.leave(mn_id, silently=True)
        self.world.run(QUIET_S)
        assert list(leftovers(self.world)) == []
        assert self.messages.violations == []


TestAnyHistory = History.TestCase
TestAnyHistory.settings = settings(
    max_examples=int(os.environ.get("DMM_HISTORIES", "100")),
    stateful_step_count=25,
    deadline=None,
    derandomize="DMM_HISTORIES" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
