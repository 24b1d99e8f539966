"""Where mobile nodes stand in each phase, and which hops of a path are inside a tunnel."""

from __future__ import annotations

from typing import Any

import pytest

from dmm_testbed.report.scene import (
    ContradictionError,
    encapsulated_hops,
    set_scene,
    tunnels_of,
)
from dmm_testbed.results import Results, Segment


def segments(*ends: str) -> list[Segment]:
    return [Segment(start=start, end=end) for start, end in map(str.split, ends)]


@pytest.mark.parametrize(
    ("path", "tunnels", "hops"),
    [
        ("cn ar2 gw2 core gw3 ar3 mn", [], []),
        ("cn ar2 gw2 core gw3 ar3 mn", ["gw2 gw3"], [2, 3]),
        ("cn ar2 gw2 core gw3 ar3 mn", ["gw2 gw3", "gw3 ar3"], [2, 3, 4]),
        # A triangle meets the core twice: the tunnel begins at the home gateway.
        ("cn gw2 core gw1 core gw3 mn", ["gw1 gw3"], [3, 4]),
        ("cn gw2 core gw1 core gw3 mn", ["gw2 gw1", "gw1 gw3"], [1, 2, 3, 4]),
        # The second tunnel begins where the first ended, not where the path met gw3 first.
        ("cn gw3 gw2 gw3 ar mn", ["gw2 gw3", "gw3 ar"], [2, 3]),
        # A tunnel whose end was not captured draws nothing rather than something wrong.
        ("cn gw2 core", ["gw2 gw3"], []),
    ],
)
def test_hops_between_the_ends_of_a_tunnel_are_encapsulated(
    path: str, tunnels: list[str], hops: list[int]
) -> None:
    assert encapsulated_hops(path.split(), segments(*tunnels)) == set(hops)


def test_a_mobile_node_stands_below_the_router_that_its_moves_and_paths_name(
    results: Results,
) -> None:
    places = [
        {phase: standings["mn11"].router for phase, standings in phases.items()}
        for phases in set_scene(results).standings
    ]
    assert places[1] == {"before": "ar11", "during": "ar31", "after": "ar31"}
    assert places[3] == {"before": "ar31", "during": "ar32", "after": "ar32"}
    assert places[4] == {"before": "ar32", "during": "ar11", "after": "ar11"}


def test_a_node_that_vanished_is_drawn_where_it_was_but_not_attached(results: Results) -> None:
    after = set_scene(results).standings[5]["after"]["mn11"]
    assert (after.router, after.attached) == ("ar11", False)


def test_two_mobile_nodes_below_one_router_have_a_place_each(run: dict[str, Any]) -> None:
    run["steps"] = run["steps"][:1]
    run["steps"][0]["moves"].append(
        {"mobile_node": "mn21", "from_router": "ar21", "to_router": "ar11", "at_ms": 2500}
    )
    scene = set_scene(Results.model_validate(run))
    first, second = scene.places["ar11", 0], scene.places["ar11", 1]
    assert scene.layout.x[first] != scene.layout.x[second]


def test_the_old_path_keeps_the_tunnels_that_the_step_before_saw(run: dict[str, Any]) -> None:
    run["steps"][3]["path"]["forward"]["observed"] = []
    steps = Results.model_validate(run).steps
    assert tunnels_of(steps, 3, "forward", "before") == tuple(segments("gw2 gw3", "gw3 ar31"))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda run: run["steps"][1]["path"]["forward"]["after"].append("nowhere"),
            "steps.1.path.forward.after.7: 'nowhere' is not a machine in layout.nodes",
        ),
        (
            lambda run: run["layout"]["links"].append({"ends": ["core", "gw9"]}),
            "layout.links.20.ends: 'gw9' is not a machine in layout.nodes",
        ),
        (
            lambda run: run["steps"][0]["moves"][0].update(to_router="ar99"),
            "steps.0.moves.0.to_router: 'ar99' is not a machine in layout.nodes",
        ),
        (
            lambda run: run["steps"][0]["moves"][0].update(to_router="gw1"),
            "steps.0.moves.0.to_router: 'mn11' has no access link to 'gw1' in layout.links",
        ),
    ],
)
def test_a_machine_that_the_topology_lacks_or_cannot_link_is_named_with_its_field(
    run: dict[str, Any], change: Any, sentence: str
) -> None:
    change(run)
    with pytest.raises(ContradictionError) as caught:
        set_scene(Results.model_validate(run))
    assert str(caught.value) == sentence
