"""Where the location databases say a prefix is, against where the node's radio is."""

from __future__ import annotations

from ipaddress import IPv6Network
from typing import TYPE_CHECKING

from dmm_testbed.topology.model import Role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmm_testbed.verify.running import NodeView, RunningLab, Snapshot

MOST_STEPS = 8


class DeadEndError(Exception):
    """The databases do not lead to an access router; says where they stop."""


def follow(lab: RunningLab, seen: Snapshot, hnp: IPv6Network) -> list[str]:
    """The hosts that the databases name one after the other; the last is an access router.

    Raises:
        DeadEndError: they do not get there.
    """
    entry = lab.directory.home_of(hnp)
    if entry is None:
        raise DeadEndError(f"{hnp} is out of no network's mobile pool")
    path: list[str] = []
    for _ in range(MOST_STEPS):
        lm = lab.owner(entry.lm)
        if lm is None:
            raise DeadEndError(f"no machine has the address {entry.lm} of the LM of {hnp}")
        path.append(lm.name)
        row = seen.bindings(lm.name).get(hnp)
        if row is None:
            return [*path, *_at_home(lab, hnp, path)]
        location = lab.owner(row["location"])
        if location is None:
            raise DeadEndError(f"{lm.name} has {hnp} at {row['location']}, which is no router")
        if location.role is Role.ACCESS_ROUTER:
            return [*path, location.name]
        further = [e for e in lab.directory.networks if e.mr == location.loopback]
        if not further or lab.owner(further[0].lm) is lm:
            raise DeadEndError(
                f"{lm.name} has {hnp} at {location.name}, which tracks it no further"
            )
        entry = further[0]
    raise DeadEndError(f"the databases send one another round for {hnp}: {' '.join(path)}")


def _at_home(lab: RunningLab, hnp: IPv6Network, path: list[str]) -> list[str]:
    """Without an entry at the home LM plain routing leads to whose block the prefix is out of."""
    if len(path) > 1:
        raise DeadEndError(
            f"{path[-2]} says {hnp} is in the network of {path[-1]}, which has no entry"
        )
    routers = lab.topology.with_role(Role.ACCESS_ROUTER)
    holders = [m.name for m in routers if m.block is not None and hnp.subnet_of(m.block)]
    if not holders:
        raise DeadEndError(f"{path[-1]} has no entry for {hnp}, and plain routing leads to no node")
    return holders[:1]


def disagreements(lab: RunningLab, seen: Snapshot) -> Iterator[str]:
    """Prefixes in use that the databases place somewhere else than where the node is."""
    on = seen.on()
    served = _served(lab, seen)
    for node, view in on.items():
        for hnp in served.get((view.at or "", node), ()):
            yield from _misplaced(lab, seen, hnp, node, view)
    identities = {m.mobile.id: m.name for m in lab.mobile_nodes if m.mobile}
    for host in seen.agents:
        for hnp, row in seen.bindings(host).items():
            node = identities.get(row["mn_id"], "")
            if not node:
                yield f"{host} has a binding of {hnp} for {row['mn_id']}, who is no mobile node"
            elif node in on:
                yield from _misplaced(lab, seen, hnp, node, on[node])
                yield from _outside_the_chain(lab, seen, hnp, host)
                if hnp not in served.get((on[node].at or "", node), ()):
                    yield f"{host} has a binding of {hnp}, which {on[node].at} does not serve"


def _misplaced(
    lab: RunningLab, seen: Snapshot, hnp: IPv6Network, node: str, view: NodeView
) -> Iterator[str]:
    try:
        path = follow(lab, seen, hnp)
    except DeadEndError as error:
        yield f"{error}; the radio of {node} is at {view.at}"
        return
    if path[-1] != view.at:
        yield (
            f"{' → '.join(path)}: that is where the databases have {hnp}, "
            f"but the radio of {node} is at {view.at}"
        )


def _outside_the_chain(
    lab: RunningLab, seen: Snapshot, hnp: IPv6Network, host: str
) -> Iterator[str]:
    try:
        path = follow(lab, seen, hnp)
    except DeadEndError:
        return
    if host not in path:
        yield f"{host} has a binding of {hnp} that nobody is led to: {' → '.join(path)}"


def _served(lab: RunningLab, seen: Snapshot) -> dict[tuple[str, str], set[IPv6Network]]:
    """The prefixes each access router serves each node with, by (access router, node).

    Plain ones are in no database.
    """
    nodes = {m.mobile.id: m.name for m in lab.mobile_nodes if m.mobile}
    return {
        (host, nodes.get(row["mn_id"], "")): {
            prefix
            for prefix in map(IPv6Network, row["prefixes"])
            if lab.directory.home_of(prefix) is not None
        }
        for host, view in seen.agents.items()
        for row in view.rows("attachments")
    }


def attachments_elsewhere(lab: RunningLab, seen: Snapshot) -> Iterator[str]:
    """Access routers that do not know who is there, or believe in who is not.

    Those without a proxy know of nobody.
    """
    served = _served(lab, seen)
    believed: dict[str, set[str]] = {}
    for host, node in served:
        believed.setdefault(node, set()).add(host)
    for node, view in seen.nodes.items():
        if not view.switched_on:
            continue
        served_there = view.at and "proxy" in lab.profile.on(lab.topology.machines[view.at])
        expected = {view.at} if view.at and served_there else set()
        there = believed.get(node, set())
        for host in sorted(there - expected):
            yield f"{host} believes {node} is there, but its radio is at {view.at or 'no router'}"
        for host in sorted(expected - there):
            yield f"{host} does not know that {node} is there"
