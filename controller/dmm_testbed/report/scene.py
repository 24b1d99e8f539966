"""What the drawings of a run have in common: where machines stand, and where nodes are attached."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Literal

from dmm_testbed.report.drawing import shorten, text_width
from dmm_testbed.report.layout import Layout, lay_out

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dmm_testbed.results import DirectionPath, ObservedPath, Results, Segment, Step

Phase = Literal["before", "during", "after"]
Direction = Literal["forward", "reverse"]
PHASES: tuple[Phase, ...] = ("before", "during", "after")
DIRECTIONS: tuple[Direction, ...] = ("forward", "reverse")

MAX_MOBILE_NODES = 16
"""Mobile nodes drawn; the first ones of the topology that the scenario uses."""
_MAX_NAME = 14
_BOX_PADDING_PX = 12.0


class ContradictionError(Exception):
    """One field of the results contradicts another; the text says which, ready for the user."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a mobile node is drawn: below a router, linked to it or out of everyone's reach."""

    router: str
    attached: bool


Standings = dict[str, Standing]


@dataclass(frozen=True, slots=True)
class Scene:
    """The topology of a run, laid out once so that all its drawings agree."""

    roles: dict[str, str]
    networks: dict[str, str]
    links: tuple[tuple[str, str], ...]
    """The links that do not come and go with a mobile node."""
    layout: Layout
    places: dict[tuple[str, int], str]
    """The name in `layout` of the place number k below a router."""
    standings: tuple[dict[Phase, Standings], ...]
    """For each step, where the mobile nodes are."""


def label(name: str) -> str:
    """Returns a machine's name as it is drawn."""
    return shorten(name, _MAX_NAME)


def box_width(name: str) -> float:
    """Returns how wide a machine is drawn, px."""
    return text_width(label(name)) + _BOX_PADDING_PX


def set_scene(results: Results) -> Scene:
    """Returns the scene of a run.

    Raises:
        ContradictionError: a field names a machine that the topology lacks; says which.
    """
    _check(results)
    roles = {node.name: node.role for node in results.layout.nodes}
    access = _access_routers(results)
    mobiles = [name for name in _taking_part(results) if name in access][:MAX_MOBILE_NODES]
    standings = tuple(_standings(results, mobiles, access))
    places = _places(standings)
    fixed = {name: role for name, role in roles.items() if name not in access}
    links = tuple(link.ends for link in results.layout.links if {*link.ends} <= {*fixed})
    widest = max((box_width(name) for name in mobiles), default=0.0)
    layout = lay_out(
        roles=fixed | dict.fromkeys(places.values(), "mobile_node"),
        links=chain(links, ((router, place) for (router, _), place in places.items())),
        widths={name: box_width(name) for name in fixed} | dict.fromkeys(places.values(), widest),
    )
    networks = {node.name: node.network for node in results.layout.nodes}
    networks |= {place: networks[router] for (router, _), place in places.items()}
    return Scene(fixed, networks, links, layout, places, standings)


def encapsulated_hops(hosts: Sequence[str], tunnels: Sequence[Segment]) -> frozenset[int]:
    """Returns the hops of a path, numbered from 0, on which packets were inside a tunnel."""
    inside: set[int] = set()
    begin = 0
    for tunnel in tunnels:
        # Tunnels come in the order of travel; a path through a triangle meets a router twice.
        starts = [place for place in range(begin, len(hosts)) if hosts[place] == tunnel.start]
        ends = [place for place in range(len(hosts)) if hosts[place] == tunnel.end]
        pair = next(((s, e) for s in starts for e in ends if e > s), None)
        if pair:
            inside.update(range(*pair))
            begin = pair[1]
    return frozenset(inside)


def tunnels_of(
    steps: Sequence[Step], number: int, direction: Direction, phase: Phase
) -> tuple[Segment, ...]:
    """Returns the tunnels on a step's path in a phase, from the probes that were observed on it.

    A path from before the move may have been seen by probes of the step before only.
    """
    path: DirectionPath = getattr(steps[number].path, direction)
    hosts = getattr(path, phase)
    for earlier in range(number, -1, -1):
        observed: tuple[ObservedPath, ...] = getattr(steps[earlier].path, direction).observed
        seen = [entry for entry in observed if entry.delivered and entry.hosts == hosts]
        if seen:
            first_if_before = seen[0] if phase == "before" and earlier == number else seen[-1]
            return first_if_before.tunnels
    return ()


def _check(results: Results) -> None:
    """Checks that all fields name machines of the topology, if the run describes one."""
    known = {node.name for node in results.layout.nodes}
    if not known:
        return
    for field, name in _names(results):
        if name not in known:
            raise ContradictionError(f"{field}: {name!r} is not a machine in layout.nodes")
    access = _access_routers(results)
    for number, step in enumerate(results.steps):
        for place, move in enumerate(step.moves):
            for field in ("from_router", "to_router"):
                router = getattr(move, field)
                if router is not None and router not in access.get(move.mobile_node, ()):
                    raise ContradictionError(
                        f"steps.{number}.moves.{place}.{field}: {move.mobile_node!r} has no "
                        f"access link to {router!r} in layout.links"
                    )


def _names(results: Results) -> Iterator[tuple[str, str]]:
    """Returns each field that names a machine, and the name."""
    for number, link in enumerate(results.layout.links):
        for end in link.ends:
            yield f"layout.links.{number}.ends", end
    for number, step in enumerate(results.steps):
        for direction in DIRECTIONS:
            path: DirectionPath = getattr(step.path, direction)
            for phase in PHASES:
                for place, name in enumerate(getattr(path, phase)):
                    yield f"steps.{number}.path.{direction}.{phase}.{place}", name
        for place, move in enumerate(step.moves):
            for field in ("mobile_node", "from_router", "to_router"):
                name = getattr(move, field)
                if name:
                    yield f"steps.{number}.moves.{place}.{field}", name


def _access_routers(results: Results) -> dict[str, list[str]]:
    """Returns, for each mobile node that can hear any, the routers it can hear."""
    mobiles = {node.name for node in results.layout.nodes if node.role == "mobile_node"}
    routers: dict[str, list[str]] = {}
    for link in results.layout.links:
        for mobile, router in (link.ends, link.ends[::-1]):
            if link.access and mobile in mobiles and router not in mobiles:
                routers.setdefault(mobile, []).append(router)
    return routers


def _taking_part(results: Results) -> list[str]:
    """Returns the machines that the steps name, in the order of the topology."""
    named = {name for field, name in _names(results) if field.startswith("steps")}
    named |= {name for step in results.steps for name in (step.mobile_node, step.correspondent)}
    return [node.name for node in results.layout.nodes if node.name in named]


def _standings(
    results: Results, mobiles: Sequence[str], access: Mapping[str, Sequence[str]]
) -> Iterator[dict[Phase, Standings]]:
    """Follows the mobile nodes through the run, by their moves and by the paths of the probes."""
    now = {name: _first_standing(results, name, access[name]) for name in mobiles}
    for step in results.steps:
        phases: dict[Phase, Standings] = {}
        for phase in PHASES:
            if phase == "during":
                for move in step.moves:
                    if move.mobile_node in now:
                        stays = now[move.mobile_node].router
                        now[move.mobile_node] = Standing(
                            move.to_router or stays, move.to_router is not None
                        )
            now = now | _seen_on_paths(step, phase, access)
            phases[phase] = {name: now[name] for name in mobiles}
        yield phases


def _first_standing(results: Results, name: str, routers: Sequence[str]) -> Standing:
    """Returns where a node is before anything is known: where its first move or path finds it."""
    for step in results.steps:
        for move in step.moves:
            if move.mobile_node == name:
                router = move.from_router or move.to_router or routers[0]
                return Standing(router, move.from_router is not None)
        seen = _seen_on_paths(step, "before", {name: routers})
        if name in seen:
            return seen[name]
    return Standing(routers[0], attached=True)


def _seen_on_paths(step: Step, phase: Phase, access: Mapping[str, Sequence[str]]) -> Standings:
    seen: Standings = {}
    for direction in DIRECTIONS:
        hosts: tuple[str, ...] = getattr(getattr(step.path, direction), phase)
        for one, other in pairwise(hosts):
            for mobile, router in ((one, other), (other, one)):
                if router in access.get(mobile, ()):
                    seen[mobile] = Standing(router, attached=True)
    return seen


def _places(standings: Sequence[dict[Phase, Standings]]) -> dict[tuple[str, int], str]:
    """Returns as many places below each router as it ever has mobile nodes at once."""
    most: Counter[str] = Counter()
    for phases in standings:
        for standing in phases.values():
            most |= Counter(place.router for place in standing.values())
    # No machine is called like this: a host name has no space.
    return {
        (router, number): f"{router} {number}"
        for router, count in sorted(most.items())
        for number in range(count)
    }
