from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dmm_agent.functions.allocator import Allocator
from dmm_agent.functions.location import LocationManager
from dmm_agent.functions.proxy import Proxy
from dmm_agent.functions.routing import MobilityRouter
from dmm_agent.simulator.faults import Faults
from dmm_agent.simulator.plan import make_plan
from dmm_agent.simulator.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

REGISTRY = {f.name: f for f in (Allocator, LocationManager, MobilityRouter, Proxy)}
SHORT = {
    "allocator": {"lease_lifetime_s": 40},
    "lm": {"binding_lifetime_s": 12, "answer_lifetime_s": 12, "delete_delay_s": 4},
    "proxy": {"lease_lifetime_s": 40, "advertisement_interval_s": 1, "preferred_lifetime_s": 6},
}
"""Lifetimes short enough for a test to see them end."""


@pytest.fixture
def make_world() -> Callable[..., World]:
    def make(
        seed: int = 1,
        faults: Faults | None = None,
        networks: int = 3,
        access_routers: int = 2,
        mobile_nodes: int = 1,
        options: dict[str, dict[str, object]] | None = None,
    ) -> World:
        return World(
            make_plan(networks, access_routers, mobile_nodes),
            seed,
            faults or Faults(),
            SHORT if options is None else options,
            REGISTRY,
        )

    return make
