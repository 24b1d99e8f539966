"""What must hold, whatever the network did: checked from outside the functions.

Some hold at every moment and are attached to a world by `watch`; others once it is quiet, when the
last move is longer ago than all lifetimes and retransmissions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Network
from typing import TYPE_CHECKING, Any

from dmm_agent.functions.effects import (
    BindingRoute,
    Delivery,
    PassingRoute,
    RefusingRoute,
    VisitorRoute,
    Withdrawal,
)
from dmm_agent.functions.prefix import HNP_LENGTH
from dmm_agent.functions.proxy_messages import prefixes_of
from dmm_agent.simulator.forwarding import Outcome
from dmm_agent.simulator.promises import Promises
from dmm_agent.wire import (
    BindingAcknowledgement,
    BindingRevocationAcknowledgement,
    BindingRevocationIndication,
    BindingUpdate,
    LocationAnswer,
    LocationQuery,
    UpdateNotification,
    UpdateNotificationAcknowledgement,
    UpdateReason,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv6Address

    from dmm_agent.functions.effects import Route
    from dmm_agent.simulator.mobile_node import MobileNodeModel
    from dmm_agent.simulator.world import Sent, World

ANSWERS: dict[type, type] = {
    BindingAcknowledgement: BindingUpdate,
    LocationAnswer: LocationQuery,
    UpdateNotificationAcknowledgement: UpdateNotification,
    BindingRevocationAcknowledgement: BindingRevocationIndication,
}
"""Which message each answer belongs to."""
INSPECT_EVERY_S = 1.0
HELD_AT_MOST_S = 1.0
"""The longest time that packets wait for an answer (`hold_s` of `mr`)."""
MOST_REQUESTS_A_SECOND = 30
"""From one node to another about one prefix, while mobile nodes move as fast as twenty times a
second."""
ROUNDING_S = 0.001
"""Rows give remaining times in milliseconds."""

Held = Mapping[str, Mapping[str, list[dict[str, Any]]]]
"""The rows of each table of each host."""


def watch(world: World) -> OnlyToWhoAsked:
    """Check from now on, at every moment, what must always hold; a violation raises.

    Returns:
        What it saw of messages, whose violations are for the caller to look at.
    """
    messages = OnlyToWhoAsked()
    tables = Inspection(world)
    promises = Promises(world)
    world.observers += [messages, NotTooOften(), promises]
    world.on_change.append(no_loop)
    world.on_death.append(lambda _router, _rows: tables())
    world.on_death.append(promises.died)
    world.on_start.append(promises.started)
    world.every(INSPECT_EVERY_S, tables)
    world.every(INSPECT_EVERY_S, promises.inspect)
    return messages


# At every moment


@dataclass(slots=True)
class OnlyToWhoAsked:
    """Watches messages: nothing is sent to a node that never asked for it."""

    asked: set[tuple[type, IPv6Address, IPv6Address]] = field(default_factory=set)
    """(request class, who asked, whom)."""
    interested: set[tuple[IPv6Address, IPv6Network]] = field(default_factory=set)
    """(node, prefix) that the node queried or registered, or was told of by a push (RS2.push)."""
    violations: list[str] = field(default_factory=list)

    def __call__(self, sent: Sent) -> None:
        """Take note of one message."""
        message = sent.message
        self.asked.add((type(message), sent.source, sent.destination))
        if isinstance(message, (LocationQuery, BindingUpdate)):
            self.interested.update((sent.source, hnp) for hnp in prefixes_of(message))
        if _is_push(message):
            self.interested.update((sent.destination, hnp) for hnp in prefixes_of(message))
        answers = ANSWERS.get(type(message))
        if answers and (answers, sent.destination, sent.source) not in self.asked:
            self.violations.append(f"{sent} answers what was never asked")
        if isinstance(message, (UpdateNotification, BindingRevocationIndication)):
            for hnp in prefixes_of(message):
                if (sent.destination, hnp) not in self.interested:
                    self.violations.append(f"{sent} tells of a prefix nobody there asked for")


@dataclass(slots=True)
class NotTooOften:
    """Watches messages: nobody asks or tells another the same again and again."""

    second: int = 0
    requests: Counter[object] = field(default_factory=Counter)
    """By kind, sender, receiver and prefix, of the present second."""

    def __call__(self, sent: Sent) -> None:
        """Count one message.

        Raises:
            AssertionError: one too many.
        """
        if int(sent.at_s) != self.second:
            self.second = int(sent.at_s)
            self.requests.clear()
        kind = type(sent.message)
        if kind not in ANSWERS.values():
            return
        for hnp in prefixes_of(sent.message):
            about = kind, sent.source, sent.destination, hnp
            self.requests[about] += 1
            if self.requests[about] > MOST_REQUESTS_A_SECOND:
                raise AssertionError(f"in second {self.second}, once more: {sent}")


def _is_push(message: object) -> bool:
    """Whether a notice says where a prefix is; packets, not messages, have asked for it."""
    update = UpdateReason.UPDATE_SESSION_PARAMETERS
    return isinstance(message, UpdateNotification) and message.reason == update


def no_loop(world: World, changed: Route) -> None:
    """After each change of a route: no packet to or from its prefix goes round.

    Raises:
        AssertionError: one does.
    """
    if changed.prefix.prefixlen != HNP_LENGTH:
        return
    address = changed.prefix[1]
    for router, correspondent in world.plan.correspondents():
        for source, destination in ((correspondent, address), (address, correspondent)):
            trace = world.forwarding.trace(router.name, source, destination)
            if trace.outcome is Outcome.LOOP:
                raise AssertionError(f"packets from {source} to {destination} go round: {trace}")


def none_stranded(world: World, changed: Route) -> None:
    """After each change: whoever holds an older location than the home still reaches the node.

    True where no message is lost or overtaken: the access router that lost the node says so first.

    Raises:
        AssertionError: packets that go by the home arrive, and others do not.
    """
    home = world.plan.directory.home_of(changed.prefix)
    if changed.prefix.prefixlen != HNP_LENGTH or home is None:
        return
    address = changed.prefix[1]
    traces = {
        router: world.forwarding.trace(router.name, correspondent, address)
        for router, correspondent in world.plan.correspondents()
    }
    by_home = [trace for router, trace in traces.items() if router.network == home.network]
    if all(trace.outcome is Outcome.DELIVERED for trace in by_home):
        for router, trace in traces.items():
            if trace.outcome not in (Outcome.DELIVERED, Outcome.HELD):
                raise AssertionError(f"from below {router.name} to {address}: {trace}")


class Inspection:
    """Looks at all: nothing outlives its lease or waits for ever, nothing grows without bound."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._leased_until: dict[str, float] = {}
        """By prefix; remembered here, because an agent that is down does not say."""

    def __call__(self) -> None:
        """Look once.

        Raises:
            AssertionError: a table holds too much, or something outlived its lease.
        """
        world = self._world
        held = {name: world.rows(name) for name in world.nodes}
        for tables in held.values():
            for row in tables.get("leases", []):
                self._leased_until[row["hnp"]] = world.now + row["remaining_s"]
        for violation in (*self._outlived(held), *self._too_many(held), *self._waiting()):
            raise AssertionError(violation)

    def _outlived(self, held: Held) -> Iterator[str]:
        """What is held or forwarded for a mobile prefix whose lease has ended (draft, 5)."""
        for name, tables in held.items():
            for row in tables.get("bindings", []):
                if not self._is_leased(row["hnp"]):
                    yield f"{name} has a binding of {row['hnp']}, whose lease has ended"
        for name, forwarding in self._world.tables.items():
            left_over = forwarding.unclaimed()
            for route in forwarding.routes.values():
                if isinstance(route, PassingRoute | RefusingRoute | Withdrawal):
                    continue  # says that nobody has the prefix, or not this node, or who knows
                mobile = self._world.plan.directory.home_of(route.prefix) is not None
                one = route.prefix.prefixlen == HNP_LENGTH
                if one and mobile and route not in left_over and not self._is_leased(route.prefix):
                    yield f"{name} has {route}, whose lease has ended"

    def _waiting(self) -> Iterator[str]:
        """Packets that wait for longer than they may (draft, 7: RS2 with `hold`)."""
        for (name, prefix), packets in self._world.traffic.held.items():
            waited_s = self._world.now - packets[0].since
            if waited_s > HELD_AT_MOST_S + ROUNDING_S:
                yield f"a packet to {prefix} waits at {name} for {waited_s:.3f} s"

    def _is_leased(self, hnp: object) -> bool:
        return self._leased_until.get(str(hnp), 0.0) >= self._world.now - ROUNDING_S

    def _too_many(self, held: Held) -> Iterator[str]:
        """Tables that hold more than each node's one prefix of each network."""
        networks = len(self._world.plan.directory.networks)
        most = len(self._world.mobile_nodes) * networks
        for name, tables in held.items():
            for table, rows in tables.items():
                if len(rows) > most + (2 * networks if table == "cache" else 0):
                    yield f"{name} has {len(rows)} rows in {table}"


# Once quiet


def disagreements(world: World) -> Iterator[str]:
    """Every table says where the nodes are, and sessions work in both directions."""
    yield from _wrong_rows(world)
    for start, source, destination, end in _session_flows(world):
        trace = world.forwarding.trace(start, source, destination)
        if trace.outcome is not Outcome.DELIVERED or trace.path[-1] != end:
            yield f"{source} to {destination}: {trace}"
    for mn in world.mobile_nodes.values():
        for network in mn.sessions:
            if mn.at is not None and world.address(mn.policy.id, network) is None:
                yield f"{mn.policy.id} lost its address of {network}"


def _wrong_rows(world: World) -> Iterator[str]:
    for name in world.nodes:
        tables = world.rows(name)
        for row in tables.get("bindings", []):
            mn = world.mobile_nodes[row["mn_id"]]
            expected = _expected_location(world, name, mn, IPv6Network(row["hnp"]))
            if row["location"] != expected:
                yield f"{name} has {row['hnp']} at {row['location']}, not {expected}"
        for row in tables.get("attachments", []):
            if world.mobile_nodes[row["mn_id"]].at != name:
                yield f"{name} believes {row['mn_id']} is there"


def _expected_location(world: World, at: str, mn: MobileNodeModel, hnp: IPv6Network) -> str | None:
    """Where the LM on a host is to have a prefix; None where it is to have no entry for it."""
    if mn.at is None:
        return None
    here, serving = world.plan.routers[at], world.plan.routers[mn.at]
    home = world.plan.directory.home_of(hnp)
    if serving.block is not None and hnp.subnet_of(serving.block):
        return None
    if here.network == serving.network:
        return str(serving.address)
    if home is None or home.network != here.network:
        return None
    return str(world.plan.gateway_of(serving.network).address)


def _session_flows(world: World) -> Iterator[tuple[str, IPv6Address, IPv6Address, str]]:
    """(first router, source, destination, last router) of every flow of a session."""
    for mn in world.mobile_nodes.values():
        if mn.at is None:
            continue
        for network in mn.sessions:
            address = world.address(mn.policy.id, network)
            if address is None:
                continue
            for router, correspondent in world.plan.correspondents():
                yield router.name, correspondent, address, mn.at
                yield mn.at, address, correspondent, router.name
            for peer in world.mobile_nodes.values():
                if peer is mn or peer.at is None:
                    continue
                for peer_network in peer.sessions:
                    peer_address = world.address(peer.policy.id, peer_network)
                    if peer_address is not None:
                        yield mn.at, address, peer_address, peer.at


def unneeded(world: World) -> Iterator[str]:
    """No state for a prefix that no session of its node needs (draft, 5), but for its present one.

    What an MR remembers of a location that somebody asked for ends by itself.
    """
    needed: set[IPv6Network] = set()
    for mn in world.mobile_nodes.values():
        here = None if mn.at is None else world.plan.routers[mn.at].network
        for prefix in mn.prefixes:
            home = world.plan.directory.home_of(prefix)
            if home is not None and (home.network == here or home.network in mn.sessions):
                needed.add(prefix)
    for name in world.nodes:
        for row in world.rows(name).get("bindings", []):
            if IPv6Network(row["hnp"]) not in needed:
                yield f"{name} has a binding of {row['hnp']}, which no session needs"
        for route in world.tables[name].routes.values():
            of_node = isinstance(route, Delivery | BindingRoute | VisitorRoute)
            if of_node and route.prefix not in needed:
                yield f"{name} has {route}, which no session needs"


def detours(world: World) -> Iterator[str]:
    """Sessions in use take the direct way, gateway to gateway, in both directions."""
    for start, source, destination, end in _session_flows(world):
        trace = world.forwarding.trace(start, source, destination)
        shortest = _shortest(world, start, end)
        if len(trace.path) != shortest:
            yield f"{source} to {destination}: {trace}, shortest has {shortest} routers"


def _shortest(world: World, one: str, other: str) -> int:
    a, b = world.plan.routers[one], world.plan.routers[other]
    if a is b:
        return 1
    return 3 if a.network == b.network else 4


def leftovers(world: World) -> Iterator[str]:
    """Every node has gone and every lifetime has run out: nothing is left anywhere."""
    for name in world.nodes:
        for table, rows in world.rows(name).items():
            for row in rows:
                yield f"{name} still has in {table}: {row}"
        for remembered in world.disks[name].read():
            if "mn_id" in remembered.fields or remembered.table == "askers":
                yield f"{name} still has on its disk: {remembered}"
        for route in world.tables[name].routes.values():
            yield f"{name} still has {route}"
