"""A home agent forwards for the networks behind mobile routers (RFC 3963, 6)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING

import pytest
from steps import MN1, MN2, PLAN, Steps, all_of, message

from dmm_agent.functions.effects import BindingRoute, Effect, Install, NodeTunnel, Remove, SetTimer
from dmm_agent.functions.events import Received
from dmm_agent.wire import (
    BindingAckFlag,
    BindingAcknowledgement,
    BindingUpdate,
    BindingUpdateFlag,
    MobileNetworkPrefix,
    MobileNodeIdentifier,
)

if TYPE_CHECKING:
    from dmm_agent.simulator.plan import Plan

HOME = IPv6Address("2001:db8:1:4100:0:ff:fe00:1")
BINDING = IPv6Network(HOME)
CARE_OF, NEXT = IPv6Address("2001:db8:3:4100::5"), IPv6Address("2001:db8:2:4100::5")
ONE, OTHER = IPv6Network("2001:db8:1:8001::/64"), IPv6Network("2001:db8:1:8002::/64")
SOMEBODYS = IPv6Network("2001:db8:1:8003::/64")
ELSEWHERE = IPv6Network("2001:db8:3:8001::/64")
A_H = BindingUpdateFlag.ACKNOWLEDGE | BindingUpdateFlag.HOME_REGISTRATION
A_H_R = A_H | BindingUpdateFlag.MOBILE_ROUTER


def plan_with(*networks: IPv6Network) -> Plan:
    """The usual plan, in which the first node is a router with these networks behind it."""
    first, second = PLAN.mobile_nodes.nodes
    router = first.model_copy(update={"mobile_networks": networks, "home_address": HOME})
    other = second.model_copy(update={"mobile_networks": (SOMEBODYS,)})
    policy = PLAN.mobile_nodes.model_copy(update={"nodes": (router, other)})
    return replace(PLAN, mobile_nodes=policy)


class Agent(Steps):
    """gw1 as home agent."""

    def __init__(self, *networks: IPv6Network) -> None:
        super().__init__(
            "gw1",
            ("allocator", "lm", "mr"),
            plan_with(*(networks or (ONE, OTHER))),
            lm={"mobility": "host", "authentication": "none"},
            mr={"resolution": "none"},
        )
        self.sequence = 0

    def tell(
        self,
        *named: IPv6Network,
        flags: BindingUpdateFlag = A_H_R,
        source: IPv6Address = CARE_OF,
        lifetime_s: int = 40,
        mn_id: str = MN1,
    ) -> list[Effect]:
        self.sequence += 1
        options = (MobileNodeIdentifier.nai(mn_id), *map(MobileNetworkPrefix, named))
        update = BindingUpdate(self.sequence, flags, lifetime_s, options)
        return self(Received(source, update, HOME))

    def bound(self) -> dict[str, str]:
        return {row["hnp"]: row["location"] for row in self.table("bindings")}


@pytest.fixture
def agent() -> Agent:
    return Agent()


def status(effects: list[Effect]) -> int:
    return int(message(effects, BindingAcknowledgement).status)


def test_what_a_router_names_is_bound_where_it_is_and_steered_into_its_tunnel(
    agent: Agent,
) -> None:
    done = agent.tell(ONE, OTHER)
    answer = message(done, BindingAcknowledgement)
    assert (answer.status, answer.lifetime_s) == (0, 40)
    assert BindingAckFlag.MOBILE_ROUTER in answer.flags
    assert agent.bound() == {str(p): str(CARE_OF) for p in (BINDING, ONE, OTHER)}
    routes = {install.route for install in all_of(done, Install)}
    assert {BindingRoute(ONE, CARE_OF), NodeTunnel(ONE, CARE_OF)} <= routes


def test_a_router_that_names_none_has_all_that_policy_gives_it(agent: Agent) -> None:
    agent.tell()
    assert agent.bound().keys() == {str(p) for p in (BINDING, ONE, OTHER)}


def test_a_move_takes_the_networks_along(agent: Agent) -> None:
    agent.tell(ONE)
    agent.tell(ONE, source=NEXT)
    assert agent.bound() == {str(p): str(NEXT) for p in (BINDING, ONE)}


def test_a_prefix_that_is_not_named_any_more_is_not_forwarded(agent: Agent) -> None:
    agent.tell(ONE, OTHER)
    done = agent.tell(ONE)
    assert BindingRoute(OTHER, CARE_OF) in {remove.route for remove in all_of(done, Remove)}
    assert agent.bound().keys() == {str(p) for p in (BINDING, ONE)}


def test_a_restarted_home_agent_forwards_for_the_networks_as_before(agent: Agent) -> None:
    agent.tell(ONE, OTHER)
    bound = agent.bound()
    done = agent.restart(after_s=1)
    assert agent.bound() == bound
    routes = {install.route for install in all_of(done, Install)}
    assert {BindingRoute(p, CARE_OF) for p in (BINDING, ONE, OTHER)} <= routes
    assert {NodeTunnel(p, CARE_OF) for p in (ONE, OTHER)} <= routes


def test_after_a_restart_a_move_and_a_return_still_take_the_networks_along(agent: Agent) -> None:
    agent.tell(ONE, OTHER)
    agent.restart(after_s=1)
    assert status(agent.tell(ONE, source=NEXT)) == 0
    assert agent.bound() == {str(p): str(NEXT) for p in (BINDING, ONE)}
    agent.restart(after_s=1)
    assert status(agent.tell(lifetime_s=0, flags=A_H)) == 0
    assert agent.bound() == {}


def test_what_ended_while_the_home_agent_was_down_is_not_bound_again(agent: Agent) -> None:
    agent.tell(ONE)
    agent.restart(after_s=41)
    assert agent.bound() == {}


def test_a_router_that_is_home_again_takes_its_networks_with_it(agent: Agent) -> None:
    agent.tell(ONE, OTHER)
    assert status(agent.tell(lifetime_s=0, flags=A_H)) == 0, "whatever the flag R says"
    assert agent.bound() == {}


def test_a_network_ends_with_the_binding_of_its_router(agent: Agent) -> None:
    done = agent.tell(ONE)
    for timer in all_of(done, SetTimer):
        if timer.key in {("expiry", ONE), ("expiry", BINDING)}:
            agent.fire(timer)
    assert agent.bound() == {}


@pytest.mark.parametrize(
    ("named", "code"),
    [
        ((ELSEWHERE,), 141),
        ((ONE, IPv6Network("2001:db8:1:4101::/64")), 141),
        ((SOMEBODYS,), 142),
        ((ONE, SOMEBODYS), 142),
    ],
)
def test_what_is_not_its_own_is_refused_as_a_whole(
    agent: Agent, named: tuple[IPv6Network, ...], code: int
) -> None:
    assert status(agent.tell(*named)) == code
    assert agent.bound() == {}
    assert agent.table("leases") == []


def test_who_is_no_router_by_policy_may_not_be_one() -> None:
    first, second = PLAN.mobile_nodes.nodes
    assert (first.mobile_networks, second.mobile_networks) == ((), ())
    agent = Steps(
        "gw1",
        ("allocator", "lm", "mr"),
        lm={"mobility": "host", "authentication": "none"},
        mr={"resolution": "none"},
    )
    update = BindingUpdate(1, A_H_R, 40, (MobileNodeIdentifier.nai(MN1),))
    assert status(agent(Received(CARE_OF, update, HOME))) == 140


def test_a_router_without_a_prefix_of_this_network_names_one_or_is_told_so() -> None:
    assert status(Agent(ELSEWHERE).tell()) == 143


def test_without_home_registration_a_router_is_refused(agent: Agent) -> None:
    assert status(agent.tell(ONE, flags=A_H_R & ~BindingUpdateFlag.HOME_REGISTRATION)) == 140


@pytest.mark.parametrize(("before", "after"), [(A_H, A_H_R), (A_H_R, A_H)])
def test_nobody_becomes_a_router_while_bound_nor_stops_to_be_one(
    agent: Agent, before: BindingUpdateFlag, after: BindingUpdateFlag
) -> None:
    assert status(agent.tell(flags=before)) == 0
    bound = agent.bound()
    assert status(agent.tell(flags=after)) == 139
    assert agent.bound() == bound


def test_another_node_cannot_take_the_networks(agent: Agent) -> None:
    agent.tell(ONE)
    assert status(agent.tell(ONE, mn_id=MN2, source=NEXT)) != 0
    assert agent.bound()[str(ONE)] == str(CARE_OF)


def test_another_address_of_the_router_has_nothing_to_do_with_the_networks(agent: Agent) -> None:
    agent.tell(ONE)
    second = IPv6Address("2001:db8:1:4200:0:ff:fe00:1")

    def tell(sequence: int, lifetime_s: int, flags: BindingUpdateFlag = A_H) -> int:
        options = (MobileNodeIdentifier.nai(MN1),)
        update = BindingUpdate(sequence, flags, lifetime_s, options)
        return status(agent(Received(CARE_OF, update, second)))

    assert tell(1, 40, A_H_R) == 140, "policy says by which address they are registered"
    assert (tell(2, 40), tell(3, 40), tell(4, 0)) == (0, 0, 0)
    assert agent.bound().keys() == {str(BINDING), str(ONE)}
