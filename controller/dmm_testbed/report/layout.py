"""Where each machine stands in a drawing: a layered layout computed from the graph alone.

Layers by role and distance from the core, order within a layer by barycentres (Sugiyama, Tagawa
and Toda 1981), positions by least squares under a least distance. Same graph, same drawing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

HOST_ROLES = frozenset({"mobile_node", "correspondent"})
"""Roles that stand on the lowest layer whatever their distance from the core."""

_CORE_ROLES = ("router", "gateway", "anchor")
_SWEEPS = 8
_BEND_WIDTH_PX = 10.0
_MARGIN_PX = 8.0

Vertex = tuple[str, ...]
"""A machine is `(name,)`; a bend, where a link crosses a layer, is `(end, end, layer)`; what keeps
the room below a machine free is `(name, "", layer)`."""
Neighbours = dict[Vertex, list[Vertex]]
Rows = list[list[Vertex]]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where machines stand: px across, layers down."""

    x: dict[str, float]
    layer: dict[str, int]
    width: float
    layers: int
    bends: dict[tuple[str, str], list[tuple[float, int]]]
    """For links that cross layers, where they do."""

    def between(self, one: str, other: str) -> list[tuple[float, int]]:
        """Returns the bends to follow from one end of a link to the other."""
        if (one, other) in self.bends:
            return self.bends[one, other]
        return self.bends.get((other, one), [])[::-1]


def lay_out(
    roles: Mapping[str, str],
    links: Iterable[tuple[str, str]],
    widths: Mapping[str, float],
    gap: float = 15.0,
) -> Layout:
    """Returns the layout of a graph.

    Args:
        roles: role of each machine, in the order of the topology file.
        links: pairs of machine names, each of them in `roles`.
        widths: how wide each machine is drawn, px.
        gap: least distance between neighbours on a layer, px.
    """
    edges = list(dict.fromkeys((a, b) for a, b in links if a != b))
    layer = _layers(roles, edges)
    chains = {edge: _chain(*edge, layer) for edge in edges}
    columns = _columns(chains, layer)
    neighbours = _adjacency(roles, [*chains.values(), *columns])
    rows = _order(_depth_first(neighbours, layer), neighbours)
    x = _positions(rows, neighbours, widths, gap)
    return Layout(
        x={name: x[name,] for name in roles},
        layer=layer,
        width=max((x[vertex] + _width(vertex, widths) / 2 for vertex in x), default=0) + _MARGIN_PX,
        layers=len(rows),
        bends={
            edge: [(x[bend], int(bend[2])) for bend in chain[1:-1]]
            for edge, chain in chains.items()
            if len(chain) > 2
        },
    )


def _layers(roles: Mapping[str, str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Returns the layer of each machine: the core 0, the rest by distance from it, hosts last."""
    linked: dict[str, list[str]] = {name: [] for name in roles}
    for a, b in edges:
        linked[a].append(b)
        linked[b].append(a)
    inner = [name for name, role in roles.items() if role not in HOST_ROLES]
    distance = dict.fromkeys(_core(inner, roles, linked), 0)
    queue = deque(distance)
    while queue:
        name = queue.popleft()
        for other in linked[name]:
            if other not in distance and roles[other] not in HOST_ROLES:
                distance[other] = distance[name] + 1
                queue.append(other)
    lowest = max(distance.values(), default=-1)
    for name in inner:
        distance.setdefault(name, max(lowest, 0))  # an island of its own
    return {name: distance.get(name, lowest + 1) for name in roles}


def _core(
    inner: Sequence[str], roles: Mapping[str, str], linked: Mapping[str, list[str]]
) -> list[str]:
    """Returns the top layer: the largest connected group of transit routers.

    Where there is no such router, the gateways take their place, then whatever there is.
    """
    for role in (*_CORE_ROLES, None):
        candidates = [name for name in inner if role is None or roles[name] == role]
        if candidates:
            return max(_groups(candidates, linked), key=len)
    return []


def _groups(names: Sequence[str], linked: Mapping[str, list[str]]) -> list[list[str]]:
    left = dict.fromkeys(names)
    groups = []
    while left:
        group = [next(iter(left))]
        del left[group[0]]
        for name in group:  # grows while it is walked
            found = [other for other in dict.fromkeys(linked[name]) if other in left]
            group.extend(found)
            for other in found:
                del left[other]
        groups.append(group)
    return groups


def _chain(a: str, b: str, layer: Mapping[str, int]) -> list[Vertex]:
    """Returns the vertices of a link from end to end, with a bend on each layer it crosses."""
    step = 1 if layer[a] < layer[b] else -1
    crossed = range(layer[a] + step, layer[b], step)
    return [(a,), *((a, b, str(number)) for number in crossed), (b,)]


def _columns(chains: Mapping[tuple[str, str], list[Vertex]], layer: Mapping[str, int]) -> Rows:
    """Returns, for machines with nothing below them, a chain down to the lowest layer.

    It gives each of them a column of its own, so that no network spreads below another one's.
    """
    lowest = max(layer.values(), default=0)
    parents = {min(edge, key=layer.__getitem__) for edge in chains}
    childless = (name for name in layer if name not in parents)
    return [
        [(name,), *((name, "", str(number)) for number in range(layer[name] + 1, lowest + 1))]
        for name in childless
    ]


def _adjacency(names: Iterable[str], chains: Iterable[list[Vertex]]) -> Neighbours:
    neighbours: Neighbours = {(name,): [] for name in names}
    for chain in chains:
        for one, other in pairwise(chain):
            neighbours.setdefault(one, []).append(other)
            neighbours.setdefault(other, []).append(one)
    return neighbours


def _depth_first(neighbours: Neighbours, layer: Mapping[str, int]) -> Rows:
    """Returns the layers in depth-first order, which keeps what hangs together side by side."""

    def layer_of(vertex: Vertex) -> int:
        return layer[vertex[0]] if len(vertex) == 1 else int(vertex[2])

    rows: Rows = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    seen: set[Vertex] = set()
    stack = sorted(neighbours, key=layer_of)[::-1]
    while stack:
        vertex = stack.pop()
        if vertex in seen:
            continue
        seen.add(vertex)
        rows[layer_of(vertex)].append(vertex)
        below = [other for other in neighbours[vertex] if layer_of(other) > layer_of(vertex)]
        stack.extend(reversed(below))
    return rows


def _order(rows: Rows, neighbours: Neighbours) -> Rows:
    """Returns the layers reordered by barycentres, the best of some sweeps up and down."""
    best = rows = [list(row) for row in rows]
    for sweep in range(_SWEEPS):
        numbers = range(1, len(rows)) if sweep % 2 == 0 else range(len(rows) - 2, -1, -1)
        rows = [list(row) for row in rows]
        for number in numbers:
            fixed = {v: place for place, v in enumerate(rows[number - 1 + 2 * (sweep % 2)])}
            rows[number] = _by_barycentre(rows[number], fixed, neighbours)
        if _crossings(rows, neighbours) < _crossings(best, neighbours):
            best = rows
    return best


def _by_barycentre(
    row: list[Vertex], fixed: Mapping[Vertex, int], neighbours: Neighbours
) -> list[Vertex]:
    def barycentre(place: int) -> float:
        near = [fixed[other] for other in neighbours[row[place]] if other in fixed]
        return sum(near) / len(near) if near else float(place)

    return [row[place] for place in sorted(range(len(row)), key=barycentre)]


def _crossings(rows: Rows, neighbours: Neighbours) -> int:
    total = 0
    for upper, lower in pairwise(rows):
        place = {vertex: number for number, vertex in enumerate(lower)}
        ends = [
            place[other]
            for vertex in upper
            for other in sorted(
                (o for o in neighbours[vertex] if o in place), key=place.__getitem__
            )
        ]
        total += sum(a > b for i, a in enumerate(ends) for b in ends[i + 1 :])
    return total


def _positions(
    rows: Rows, neighbours: Neighbours, widths: Mapping[str, float], gap: float
) -> dict[Vertex, float]:
    """Returns where vertices stand, each as near as may be to the mean of its neighbours."""
    x: dict[Vertex, float] = {}
    number_of = {vertex: number for number, row in enumerate(rows) for vertex in row}
    for row in rows:
        x.update(zip(row, _spread([0.0] * len(row), row, widths, gap), strict=True))
    # The first and the last sweep go up: parents stand centred over their children.
    for sweep in range(_SWEEPS + 1):
        step = 1 if sweep % 2 else -1
        for row in rows[::step]:
            wanted = []
            for vertex in row:
                others = [o for o in neighbours[vertex] if number_of[o] != number_of[vertex]]
                towards = [o for o in others if (number_of[vertex] - number_of[o]) * step > 0]
                near = [x[other] for other in towards or others]
                wanted.append(sum(near) / len(near) if near else x[vertex])
            x.update(zip(row, _spread(wanted, row, widths, gap), strict=True))
    left = min((x[vertex] - _width(vertex, widths) / 2 for vertex in x), default=0.0)
    return {vertex: value - left + _MARGIN_PX for vertex, value in x.items()}


def _spread(
    wanted: Sequence[float], row: Sequence[Vertex], widths: Mapping[str, float], gap: float
) -> list[float]:
    """Returns the positions nearest to the wanted ones that keep order and distance.

    Least squares under `x[i+1] - x[i] >= distance[i]`, by pooling adjacent violators.
    """
    offsets = [0.0]
    for one, other in pairwise(row):
        offsets.append(offsets[-1] + (_width(one, widths) + _width(other, widths)) / 2 + gap)
    pools: list[tuple[float, int]] = []
    for target, offset in zip(wanted, offsets, strict=False):
        mean, size = target - offset, 1
        while pools and pools[-1][0] > mean:
            other_mean, other_size = pools.pop()
            mean = (mean * size + other_mean * other_size) / (size + other_size)
            size += other_size
        pools.append((mean, size))
    level = [mean for mean, size in pools for _ in range(size)]
    return [mean + offset for mean, offset in zip(level, offsets, strict=False)]


def _width(vertex: Vertex, widths: Mapping[str, float]) -> float:
    bend = len(vertex) == 3 and vertex[1]
    return _BEND_WIDTH_PX if bend else widths[vertex[0]]
