"""Who plays which part in a scenario: names come from its file and the topology, not from tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmm_testbed.topology.model import Role

if TYPE_CHECKING:
    from ipaddress import IPv6Network

    from dmm_testbed.scenario.file import Scenario, Step
    from dmm_testbed.topology import Machine, Topology


@dataclass(frozen=True)
class Cast:
    """The parts of the session that a scenario follows from home to away and back."""

    topology: Topology
    scenario: Scenario

    def step(self, name: str) -> Step | None:
        return next((step for step in self.scenario.steps if step.name == name), None)

    @property
    def mobile_node(self) -> str:
        return self.scenario.sessions["visit"].mobile_node

    @property
    def correspondent(self) -> Machine:
        return self.topology.machines[self.scenario.sessions["visit"].correspondent]

    @property
    def correspondent_address(self) -> str:
        return str(self.correspondent.interfaces[0].addresses[0].ip)

    @property
    def home_access_router(self) -> Machine:
        mobile = self.topology.machines[self.mobile_node].mobile
        assert mobile is not None
        return self.topology.machines[mobile.attach]

    def visited(self, step: str) -> Machine:
        """The access router the mobile node moves to in a step."""
        found = self.step(step)
        assert found is not None
        target = next(move.to for move in found.moves if move.node == self.mobile_node)
        assert target is not None
        return self.topology.machines[target]

    def gateway_of(self, machine: Machine) -> Machine:
        """The gateway of the network a machine is in."""
        gateways = self.topology.with_role(Role.GATEWAY)
        return next(g for g in gateways if g.network.name == machine.network.name)

    @property
    def home_pool(self) -> IPv6Network:
        return self.home_access_router.network.mobile_pool

    @property
    def agents(self) -> list[str]:
        roles = (Role.GATEWAY, Role.ACCESS_ROUTER)
        return [m.name for m in self.topology.machines.values() if m.role in roles]
