"""What must hold, whatever the network did: checked from outside the functions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dmm_agent.functions.proxy_messages import prefixes_of
from dmm_agent.simulator.forwarding import Outcome
from dmm_agent.wire import (
    BindingAcknowledgement,
    BindingRevocationAcknowledgement,
    BindingRevocationIndication,
    BindingUpdate,
    LocationAnswer,
    LocationQuery,
    UpdateNotification,
    UpdateNotificationAcknowledgement,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv6Address, IPv6Network

    from dmm_agent.simulator.mobile_node import MobileNodeModel
    from dmm_agent.simulator.world import Sent, World

ANSWERS: dict[type, type] = {
    BindingAcknowledgement: BindingUpdate,
    LocationAnswer: LocationQuery,
    UpdateNotificationAcknowledgement: UpdateNotification,
    BindingRevocationAcknowledgement: BindingRevocationIndication,
}
"""Which message each answer belongs to."""


@dataclass(slots=True)
class OnlyToWhoAsked:
    """Watches messages: nothing is sent to a node that never asked for it."""

    asked: set[tuple[type, IPv6Address, IPv6Address]] = field(default_factory=set)
    """(request class, who asked, whom)."""
    interested: set[tuple[IPv6Address, IPv6Network]] = field(default_factory=set)
    """(node, prefix) that the node queried or registered."""
    violations: list[str] = field(default_factory=list)

    def __call__(self, sent: Sent) -> None:
        """Take note of one message."""
        message = sent.message
        self.asked.add((type(message), sent.source, sent.destination))
        if isinstance(message, (LocationQuery, BindingUpdate)):
            self.interested.update((sent.source, hnp) for hnp in prefixes_of(message))
        answers = ANSWERS.get(type(message))
        if answers and (answers, sent.destination, sent.source) not in self.asked:
            self.violations.append(f"{sent} answers what was never asked")
        if isinstance(message, (UpdateNotification, BindingRevocationIndication)):
            for hnp in prefixes_of(message):
                if (sent.destination, hnp) not in self.interested:
                    self.violations.append(f"{sent} tells of a prefix nobody there asked for")


def disagreements(world: World) -> Iterator[str]:
    """Once quiet: every table says where the nodes are, and sessions work in both directions."""
    nodes = world.mobile_nodes.values()
    for name, node in world.nodes.items():
        tables = node.snapshot(world.now)
        for row in tables.get("bindings", []):
            mn = world.mobile_nodes[row["mn_id"]]
            expected = _expected_location(world, name, mn)
            if row["location"] != expected:
                yield f"{name} has {row['hnp']} at {row['location']}, not {expected}"
        for row in tables.get("attachments", []):
            if world.mobile_nodes[row["mn_id"]].at != name:
                yield f"{name} believes {row['mn_id']} is there"
    for mn in nodes:
        yield from _broken_sessions(world, mn)


def _expected_location(world: World, at: str, mn: MobileNodeModel) -> str | None:
    if mn.at is None:
        return None
    here, serving = world.plan.routers[at], world.plan.routers[mn.at]
    if here.network == serving.network:
        return str(serving.address)
    return str(world.plan.gateway_of(serving.network).address)


def _broken_sessions(world: World, mn: MobileNodeModel) -> Iterator[str]:
    if mn.at is None:
        return
    for network in mn.sessions:
        address = world.address(mn.policy.id, network)
        if address is None:
            yield f"{mn.policy.id} lost its address of {network}"
            continue
        for router in world.plan.access_routers():
            if router.correspondent is None:
                continue
            for start, source, destination, end in (
                (router.name, router.correspondent, address, mn.at),
                (mn.at, address, router.correspondent, router.name),
            ):
                trace = world.forwarding.trace(start, source, destination)
                if trace.outcome is not Outcome.DELIVERED or trace.path[-1] != end:
                    yield f"{source} to {destination}: {trace}"


def detours(world: World) -> Iterator[str]:
    """Once quiet: sessions in use take the direct way, gateway to gateway, in both directions."""
    for mn in world.mobile_nodes.values():
        if mn.at is None:
            continue
        for network in mn.sessions:
            address = world.address(mn.policy.id, network)
            if address is None:
                continue
            for router in world.plan.access_routers():
                correspondent = router.correspondent
                if correspondent is None:
                    continue
                for start, source, destination in (
                    (router.name, correspondent, address),
                    (mn.at, address, correspondent),
                ):
                    trace = world.forwarding.trace(start, source, destination)
                    shortest = _shortest(world, router.name, mn.at)
                    if len(trace.path) != shortest:
                        yield f"{source} to {destination}: {trace}, shortest has {shortest} routers"


def _shortest(world: World, one: str, other: str) -> int:
    a, b = world.plan.routers[one], world.plan.routers[other]
    if a is b:
        return 1
    return 3 if a.network == b.network else 4


def leftovers(world: World) -> Iterator[str]:
    """Once every node has gone and every lifetime has run out: nothing is left anywhere."""
    for name, node in world.nodes.items():
        for table, rows in node.snapshot(world.now).items():
            for row in rows:
                yield f"{name} still has in {table}: {row}"
        for route in world.tables[name].routes.values():
            yield f"{name} still has {route}"
