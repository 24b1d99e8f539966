"""The report page: everything of a run in one HTML file that loads nothing."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import itemgetter
from typing import TYPE_CHECKING

import jinja2

from dmm_testbed.report import words
from dmm_testbed.report.drawing import markup
from dmm_testbed.report.gap_figure import draw_gaps
from dmm_testbed.report.scene import (
    DIRECTIONS,
    PHASES,
    encapsulated_hops,
    set_scene,
    tunnels_of,
)
from dmm_testbed.report.sequence import chart_of, messages_of_steps
from dmm_testbed.report.sequence_figure import draw_sequence
from dmm_testbed.report.topology_figure import draw_topology
from dmm_testbed.results import HostMessages, HostState, Volume

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from dmm_testbed.report.scene import Direction, Phase, Scene
    from dmm_testbed.results import ChartMessage, Results, Step


@dataclass(frozen=True, slots=True)
class Route:
    """A path as text, cut where a tunnel begins or ends."""

    direction: Direction
    runs: tuple[tuple[bool, tuple[str, ...]], ...]
    """Machines one after the other, and whether packets between them were inside a tunnel."""


@dataclass(frozen=True, slots=True)
class Panel:
    """The topology in one phase, or in several that look the same."""

    phases: tuple[Phase, ...]
    routes: tuple[Route, ...]
    figure: Markup | None

    @property
    def title(self) -> str:
        """What the panel shows, as its heading."""
        if len(self.phases) == len(PHASES):
            return "Before, during and after"
        return " and ".join(self.phases).capitalize()


@dataclass(frozen=True, slots=True)
class HostRow:
    """What one machine sent, received and kept."""

    name: str
    messages: HostMessages
    state: HostState


@dataclass(frozen=True, slots=True)
class StepView:
    """A step and its figures, as the template takes them."""

    number: int
    step: Step
    panels: tuple[Panel, ...]
    sequence: Markup | None
    gaps: tuple[Markup, ...]
    hosts: tuple[HostRow, ...]
    idle_hosts: tuple[str, ...]
    total: HostState


def render(results: Results) -> str:
    """Returns the page as HTML, well-formed as XML too.

    Raises:
        ContradictionError: the results contradict themselves; says which field.
    """
    scene = set_scene(results)
    messages = messages_of_steps(results)
    views = [_view(results, scene, number, messages[number]) for number in range(len(messages))]
    return filled_in(
        "page.html.j2",
        results=results,
        views=views,
        moves=sum(len(step.moves) for step in results.played),
        signalling=Volume(
            messages=sum(step.signalling.messages for step in results.played),
            bytes=sum(step.signalling.bytes for step in results.played),
        ),
        wide=scene.layout.width > WIDE_PX,
    )


def filled_in(template: str, **values: object) -> str:
    """A page made of a template, with nothing in it that a reader should not get."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dmm_testbed.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        duration=words.duration, ratio=words.ratio, grouped=words.grouped, moment=words.moment
    )
    return words.clean(environment.get_template(template).render(words=words, **values))


WIDE_PX = 560
"""A topology drawing wider than this gets the whole width of the page for each phase."""


def _view(
    results: Results, scene: Scene, number: int, messages: Sequence[ChartMessage]
) -> StepView:
    step = results.steps[number]
    hosts = _hosts(step)
    return StepView(
        number=number + 1,
        step=step,
        panels=tuple(_panels(results, scene, number)),
        sequence=_sequence(scene, number, step, messages),
        gaps=tuple(_gaps(results, number)),
        hosts=tuple(row for row in hosts if _busy(row)),
        idle_hosts=tuple(row.name for row in hosts if not _busy(row)),
        total=total_state(step),
    )


def total_state(step: Step) -> HostState:
    """Returns the entries on all machines together when the step ended."""
    states = step.state.values()
    return HostState(
        bindings=sum(state.bindings for state in states),
        cache=sum(state.cache for state in states),
        leases=sum(state.leases for state in states),
    )


def _panels(results: Results, scene: Scene, number: int) -> list[Panel]:
    """Returns the phases of a step, those that look the same joined into one panel."""
    groups: list[list[Phase]] = [[PHASES[0]]]
    for one, other in pairwise(PHASES):
        if _look(results, scene, number, one) == _look(results, scene, number, other):
            groups[-1].append(other)
        else:
            groups.append([other])
    return [
        Panel(
            phases=tuple(group),
            routes=_routes(results.steps, number, group[-1]),
            figure=markup(draw_topology(scene, results.steps, number, group[-1]))
            if scene.roles
            else None,
        )
        for group in groups
    ]


def _look(results: Results, scene: Scene, number: int, phase: Phase) -> object:
    standing = scene.standings[number][phase]
    return standing, _routes(results.steps, number, phase)


def _routes(steps: Sequence[Step], number: int, phase: Phase) -> tuple[Route, ...]:
    routes = []
    for direction in DIRECTIONS:
        hosts: tuple[str, ...] = getattr(getattr(steps[number].path, direction), phase)
        inside = encapsulated_hops(hosts, tunnels_of(steps, number, direction, phase))
        tunnelled = [bool({place, place - 1} & inside) for place in range(len(hosts))]
        runs = groupby(zip(tunnelled, hosts, strict=True), key=itemgetter(0))
        routes.append(
            Route(direction, tuple((is_in, tuple(n for _, n in run)) for is_in, run in runs))
        )
    return tuple(routes)


def _sequence(
    scene: Scene, number: int, step: Step, messages: Sequence[ChartMessage]
) -> Markup | None:
    if not messages:
        return None
    # From the edge of the network to its core, and from left to right as in the topology.
    layout, standings = scene.layout, scene.standings[number]["after"]
    places = {name: (-layer, layout.x[name]) for name, layer in layout.layer.items()}
    places |= {name: (-layout.layers, layout.x[s.router]) for name, s in standings.items()}
    zero_ms = step.moves[0].at_ms if step.moves else step.at_ms
    return markup(draw_sequence(chart_of(messages), step.moves, places, zero_ms))


def _gaps(results: Results, number: int) -> list[Markup]:
    step = results.steps[number]
    end_ms = step.at_ms + step.duration_ms
    pair = {step.mobile_node, step.correspondent}
    figures = (
        draw_gaps(plot, step, end_ms)
        for plot in results.gaps
        if {plot.mobile_node, plot.correspondent} == pair
    )
    return [markup(figure) for figure in figures if figure is not None]


def _hosts(step: Step) -> list[HostRow]:
    names = sorted({*step.state, *step.signalling.by_host})
    return [
        HostRow(
            name,
            step.signalling.by_host.get(name, HostMessages()),
            step.state.get(name, HostState()),
        )
        for name in names
    ]


def _busy(row: HostRow) -> bool:
    return row.messages != HostMessages() or row.state != HostState()
