"""An agent's executor, functions and store in a process of their own, to be killed.

Takes the store's file and `careful` or `hasty`. Either takes the same events and prints a line of
JSON for each answer when it leaves; hasty, it leaves before the commit.
"""

from __future__ import annotations

import json
import os
import sys
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from dmm_agent.functions.events import Received
from dmm_agent.functions.node import build_node
from dmm_agent.functions.proxy_messages import (
    ANY_PREFIX,
    node_of,
    prefixes_of,
    proxy_binding_update,
)
from dmm_agent.runtime.clock import Clock
from dmm_agent.runtime.counters import Counters
from dmm_agent.runtime.executor import Executor
from dmm_agent.runtime.journal import Journal
from dmm_agent.runtime.timers import Timers
from dmm_agent.simulator.example import FUNCTIONS
from dmm_agent.simulator.plan import make_plan
from dmm_agent.store.store import Store
from dmm_agent.wire import BindingAcknowledgement, Handoff, Timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dmm_agent.dataplane.forwarding import Failure
    from dmm_agent.functions.effects import Install, Remove
    from dmm_agent.functions.node import Node
    from dmm_agent.wire import Message

PLAN = make_plan(networks=3, access_routers=2, mobile_nodes=3)
A, B, C = (node.id for node in PLAN.mobile_nodes.nodes)
HNP_A, HNP_B = IPv6Network("2001:db8:1:8100::/64"), IPv6Network("2001:db8:1:8200::/64")
Held = set[tuple[str, str, str, str | None, bool | None]]
"""Leases and bindings."""
BEGIN = 1_700_000_000.0


class SetClock(Clock):
    """Shows what it is set to."""

    at = BEGIN

    def now(self) -> float:
        return self.at


class Outside:
    """A kernel that takes every route, and peers whose mail is printed."""

    def apply(self, effects: Sequence[Install | Remove]) -> list[Failure]:
        del effects
        return []

    def stale(self) -> list[Remove]:
        return []

    def rows(self) -> list[dict[str, Any]]:
        return []

    def send(
        self, destination: IPv6Address, message: Message, source: IPv6Address | None = None
    ) -> str | None:
        del source
        if isinstance(message, BindingAcknowledgement) and message.status < 128:
            named = [str(hnp) for hnp in prefixes_of(message)]
            line = [message.sequence, node_of(message), named, str(destination)]
            os.write(1, json.dumps(line).encode() + b"\n")
        return None


class Hasty(Executor):
    """Lets out what waits before the commit."""

    def _commit(self) -> None:
        held_back, self._held_back = self._held_back, []
        for effect in held_back:
            self._carry_out(effect)
        super()._commit()


def executor_on(store: Store, kind: type[Executor], clock: Clock) -> tuple[Executor, Node]:
    """An agent that goes on from a store."""
    node = build_node(PLAN.config(PLAN.routers["gw1"], {}), Random(1), FUNCTIONS)
    outside = Outside()
    made = kind(
        node,
        data_plane=outside,
        access=None,
        messenger=outside,
        timers=Timers(),
        clock=clock,
        journal=Journal(),
        counters=Counters(),
        memory=store,
    )
    made.restore()
    return made, node


def updates() -> list[list[tuple[str, str, IPv6Network, int]]]:
    """What comes together, a second after what came before: sender, node, prefix, lifetime."""
    return [
        [("ar11", A, ANY_PREFIX, 300), ("ar12", B, ANY_PREFIX, 300)],
        [("gw3", A, HNP_A, 300)],
        [("gw2", A, HNP_A, 300), ("gw3", B, HNP_B, 300), ("ar11", C, ANY_PREFIX, 300)],
        [("gw2", A, HNP_A, 0)],
        [("ar11", A, HNP_A, 300)],
        [("ar12", A, HNP_A, 300)],
    ]


def play(path: Path, kind: type[Executor]) -> Iterator[Held]:
    """Take all events; yields what is held after each batch of them."""
    clock = SetClock()
    store = Store(path)
    executor, node = executor_on(store, kind, clock)
    yield held(node, clock.at)
    for batch, together in enumerate(updates(), 1):
        clock.at += 1
        executor.handle_all(
            Received(
                PLAN.routers[sender].address,
                proxy_binding_update(
                    sequence=batch,
                    mn_id=mn_id,
                    hnps=[hnp],
                    handoff=Handoff.BETWEEN_MAGS,
                    time=Timestamp.at(clock.at),
                    lifetime_s=lifetime_s,
                ),
            )
            for sender, mn_id, hnp, lifetime_s in together
        )
        yield held(node, clock.at)
    store.close()


def restarted(path: Path) -> Held:
    """What the next agent holds."""
    clock = SetClock()
    clock.at += len(updates()) + 1
    store = Store(path)
    _, node = executor_on(store, Executor, clock)
    store.close()
    return held(node, clock.at)


def held(node: Node, now: float) -> Held:
    """Leases and bindings, without their times."""
    rows = node.snapshot(now)
    return {
        (table, row["hnp"], row["mn_id"], row.get("location"), row.get("leaving"))
        for table in ("leases", "bindings")
        for row in rows[table]
    }


if __name__ == "__main__":
    for _ in play(Path(sys.argv[1]), Hasty if sys.argv[2] == "hasty" else Executor):
        pass
