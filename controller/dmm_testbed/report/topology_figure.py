"""The topology as SVG, with the path that packets took in each direction."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from dmm_testbed.report.drawing import add, arrow_head, beside, canvas, polyline
from dmm_testbed.report.layout import HOST_ROLES
from dmm_testbed.report.scene import (
    DIRECTIONS,
    box_width,
    encapsulated_hops,
    label,
    tunnels_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from xml.etree.ElementTree import Element

    from dmm_testbed.report.drawing import Point
    from dmm_testbed.report.scene import Direction, Phase, Scene, Standings
    from dmm_testbed.results import Step

_ROW_PX = 60.0
_TOP_PX = 22.0
_BOX_HEIGHT_PX = 24.0
_LANE_PX = 7.0
_NETWORK_PADDING_PX = 5.0
_NETWORK_LABEL_PX = 18.0


@dataclass(frozen=True, slots=True)
class _Hop:
    direction: Direction
    start: str
    end: str
    encapsulated: bool


def draw_topology(scene: Scene, steps: Sequence[Step], number: int, phase: Phase) -> Element:
    """Returns the drawing of one phase of a step: machines, links and both paths."""
    step, layout = steps[number], scene.layout
    standings = scene.standings[number][phase]
    where = _points(scene, standings)
    height = _TOP_PX + (layout.layers - 1) * _ROW_PX + _BOX_HEIGHT_PX / 2 + _NETWORK_LABEL_PX + 8
    root = canvas(layout.width, height, _description(step, phase))
    regions = _regions(scene)
    for x, y, width, height in regions.values():
        add(root, "rect", x=x, y=y, width=width, height=height, rx=8, class_="network")
    for a, b in scene.links:
        add(root, "path", d=polyline(_line(scene, where, a, b)), class_="link")
    for network, (x, y, width, height) in regions.items():
        centre, base = x + width / 2, y + height - 4
        add(root, "text", label(network), x=centre, y=base, class_="network-name")
    hops = [hop for hop in _hops(steps, number, phase) if {hop.start, hop.end} <= {*where}]
    _draw_radio(root, standings, where)
    _draw_hops(root, scene, where, hops)
    on_path = {name for hop in hops for name in (hop.start, hop.end)}
    for name, role in scene.roles.items():
        _draw_machine(root, name, where[name], _classes(role, name in on_path))
    for name, standing in standings.items():
        classes = _classes("mobile_node", name in on_path, away=not standing.attached)
        _draw_machine(root, name, where[name], classes)
    return root


def _description(step: Step, phase: Phase) -> str:
    routes = [
        f"{direction}: {', '.join(getattr(getattr(step.path, direction), phase)) or 'none'}"
        for direction in DIRECTIONS
    ]
    return f"{step.name}, {phase}: path {'; path '.join(routes)}"


def _points(scene: Scene, standings: Standings) -> dict[str, Point]:
    """Returns the centre of every machine; mobile nodes take the places below their routers."""
    layout = scene.layout
    points = {
        name: (layout.x[name], _TOP_PX + layer * _ROW_PX) for name, layer in layout.layer.items()
    }
    taken: dict[str, int] = {}
    for name, standing in standings.items():
        place = taken.get(standing.router, 0)
        taken[standing.router] = place + 1
        points[name] = points[scene.places[standing.router, place]]
    return points


def _line(scene: Scene, where: Mapping[str, Point], a: str, b: str) -> list[Point]:
    bends = [(x, _TOP_PX + layer * _ROW_PX) for x, layer in scene.layout.between(a, b)]
    (ax, ay), (bx, by) = where[a], where[b]
    row = [name for name, point in where.items() if point[1] == ay]
    if ay == by and any(min(ax, bx) < where[name][0] < max(ax, bx) for name in row):
        bends = [((ax + bx) / 2, ay + _ROW_PX / 2)]  # not through the machines between them
    return [where[a], *bends, where[b]]


def _hops(steps: Sequence[Step], number: int, phase: Phase) -> list[_Hop]:
    hops = []
    for direction in DIRECTIONS:
        hosts: tuple[str, ...] = getattr(getattr(steps[number].path, direction), phase)
        inside = encapsulated_hops(hosts, tunnels_of(steps, number, direction, phase))
        hops += [
            _Hop(direction, a, b, place in inside) for place, (a, b) in enumerate(pairwise(hosts))
        ]
    return hops


def _regions(scene: Scene) -> dict[str, tuple[float, float, float, float]]:
    """Returns a rectangle round each network, unless a machine of another one stands in it."""
    points = _points(scene, {})
    regions = {}
    for network in dict.fromkeys(scene.networks[name] for name in points):
        members = [name for name in points if scene.networks[name] == network]
        left = min(points[n][0] - box_width_of(scene, n) / 2 for n in members)
        right = max(points[n][0] + box_width_of(scene, n) / 2 for n in members)
        top, bottom = min(points[n][1] for n in members), max(points[n][1] for n in members)
        strangers = (points[n] for n in points if scene.networks[n] != network)
        if len(members) == 1 or any(
            left - 1 <= x <= right + 1 and top <= y <= bottom for x, y in strangers
        ):
            continue
        regions[network] = (
            left - _NETWORK_PADDING_PX,
            top - _BOX_HEIGHT_PX / 2 - _NETWORK_PADDING_PX,
            right - left + 2 * _NETWORK_PADDING_PX,
            bottom - top + _BOX_HEIGHT_PX + _NETWORK_PADDING_PX + _NETWORK_LABEL_PX,
        )
    return regions


def box_width_of(scene: Scene, name: str) -> float:
    """Returns the width of a machine's box, or of the place for a mobile node's."""
    return box_width(name if name in scene.roles else max(_mobiles(scene), key=box_width))


def _mobiles(scene: Scene) -> list[str]:
    return [name for phases in scene.standings for name in phases["before"]]


def _draw_radio(root: Element, standings: Standings, where: Mapping[str, Point]) -> None:
    for name, standing in standings.items():
        if standing.attached:
            line = polyline([where[standing.router], where[name]])
            add(root, "path", d=line, class_="link radio")


def _draw_hops(
    root: Element, scene: Scene, where: Mapping[str, Point], hops: Sequence[_Hop]
) -> None:
    """Draws each hop beside the others on its link: tubes below, lines and arrows above."""
    lines = [
        (hop, beside(_line(scene, where, hop.start, hop.end), _offset(hop, hops))) for hop in hops
    ]
    for hop, line in lines:
        if hop.encapsulated:
            add(root, "path", d=polyline(line), class_=f"tunnel {hop.direction}")
    for hop, line in lines:
        drawn = add(root, "path", d=polyline(line), class_=f"hop {hop.direction}")
        drawn.set("data-hop", f"{hop.start} {hop.end}")
        (x1, y1), (x2, y2) = max(pairwise(line), key=lambda ends: _length(*ends))
        # Past the middle by half its own length, so that the arrow looks centred.
        tip = (
            (x1 + x2) / 2 + (x2 - x1) / _length((x1, y1), (x2, y2)) * 4,
            (y1 + y2) / 2 + (y2 - y1) / _length((x1, y1), (x2, y2)) * 4,
        )
        add(root, "path", d=arrow_head(tip, (x2 - x1, y2 - y1), 8), class_=f"head {hop.direction}")


def _offset(hop: _Hop, hops: Sequence[_Hop]) -> float:
    """Returns how far to the right of its link a hop is drawn: right-hand traffic, no overlap."""
    same = [other for other in hops if (other.start, other.end) == (hop.start, hop.end)]
    opposite = [other for other in hops if (other.start, other.end) == (hop.end, hop.start)]
    lane = len(opposite) + next(place for place, other in enumerate(same) if other is hop)
    return (lane - (len(same) + len(opposite) - 1) / 2) * _LANE_PX


def _length(start: Point, end: Point) -> float:
    return ((end[0] - start[0]) ** 2 + (end[1] - start[1]) ** 2) ** 0.5 or 1.0


def _classes(role: str, on_path: bool, away: bool = False) -> str:
    kind = "host" if role in HOST_ROLES else "router"
    return " ".join(
        ["machine", kind, *(["on-path"] if on_path else []), *(["away"] if away else [])]
    )


def _draw_machine(root: Element, name: str, centre: Point, classes: str) -> None:
    group = add(root, "g", class_=classes)
    add(group, "title", name)
    width, (x, y) = box_width(name), centre
    round_px = _BOX_HEIGHT_PX / 2 if "host" in classes.split() else 4
    add(
        group,
        "rect",
        x=x - width / 2,
        y=y - _BOX_HEIGHT_PX / 2,
        width=width,
        height=_BOX_HEIGHT_PX,
        rx=round_px,
    )
    add(group, "text", label(name), x=x, y=y + 4)
