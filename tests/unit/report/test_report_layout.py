"""The layered layout of any graph: deterministic, nothing on top of anything else."""

from __future__ import annotations

from itertools import combinations, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from dmm_testbed.report.layout import HOST_ROLES, lay_out

ROLES = ["router", "gateway", "access_router", "anchor", "correspondent", "something_new"]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[dict[str, str], list[tuple[str, str]], dict[str, float]]:
    roles = {f"m{n}": role for n, role in enumerate(draw(st.lists(st.sampled_from(ROLES))))}
    ends = st.sampled_from(sorted(roles)) if roles else st.nothing()
    links = draw(st.lists(st.tuples(ends, ends), max_size=40)) if roles else []
    widths = {name: draw(st.floats(10, 120)) for name in roles}
    return roles, links, widths


def three_networks() -> tuple[dict[str, str], list[tuple[str, str]]]:
    roles = {"core": "router", "anchor": "anchor", "cn": "correspondent"}
    links = [("core", "anchor")]
    for network in "123":
        roles[f"gw{network}"] = "gateway"
        links.append(("core", f"gw{network}"))
        for place in "ab":
            roles[f"ar{network}{place}"] = "access_router"
            links.append((f"gw{network}", f"ar{network}{place}"))
    links.append(("ar2a", "cn"))
    return roles, links


@settings(max_examples=200, deadline=None)
@given(graphs())
def test_no_two_machines_overlap_in_any_graph(
    graph: tuple[dict[str, str], list[tuple[str, str]], dict[str, float]],
) -> None:
    roles, links, widths = graph
    layout = lay_out(roles, links, widths, gap=5)
    assert set(layout.x) == set(roles)
    for one, other in combinations(roles, 2):
        if layout.layer[one] == layout.layer[other]:
            apart = abs(layout.x[one] - layout.x[other])
            assert apart >= (widths[one] + widths[other]) / 2 + 5 - 1e-6
    for name in roles:
        assert widths[name] / 2 <= layout.x[name] <= layout.width - widths[name] / 2


@settings(max_examples=50, deadline=None)
@given(graphs())
def test_the_same_graph_is_laid_out_the_same_way(
    graph: tuple[dict[str, str], list[tuple[str, str]], dict[str, float]],
) -> None:
    assert lay_out(*graph) == lay_out(*graph)


@settings(max_examples=100, deadline=None)
@given(graphs())
def test_hosts_stand_below_all_routers(
    graph: tuple[dict[str, str], list[tuple[str, str]], dict[str, float]],
) -> None:
    roles, links, widths = graph
    layer = lay_out(roles, links, widths).layer
    hosts = [layer[name] for name, role in roles.items() if role in HOST_ROLES]
    routers = [layer[name] for name, role in roles.items() if role not in HOST_ROLES]
    assert all(host > router for host in hosts for router in routers)


def test_layers_follow_the_distance_from_the_core() -> None:
    roles, links = three_networks()
    layer = lay_out(roles, links, dict.fromkeys(roles, 40.0)).layer
    assert layer["core"] == 0
    assert {layer[f"gw{n}"] for n in "123"} | {layer["anchor"]} == {1}
    assert {layer[f"ar{n}{p}"] for n in "123" for p in "ab"} == {2}
    assert layer["cn"] == 3


def test_a_tree_is_drawn_without_crossings_and_parents_stand_over_their_children() -> None:
    roles, links = three_networks()
    links = links[::-1]  # whatever the order of the file
    layout = lay_out(roles, links, dict.fromkeys(roles, 40.0))
    for a, b in combinations(links, 2):
        (one, two), (three, four) = a, b
        if layout.layer[one] == layout.layer[three] and layout.layer[two] == layout.layer[four]:
            upper = layout.x[one] - layout.x[three]
            lower = layout.x[two] - layout.x[four]
            assert upper * lower >= 0, f"{a} crosses {b}"
    for network in "123":
        children = [layout.x[f"ar{network}{place}"] for place in "ab"]
        assert abs(layout.x[f"gw{network}"] - sum(children) / 2) < 1


def test_the_order_on_a_layer_is_the_one_without_crossings_where_there_is_one() -> None:
    roles = {"left": "router", "right": "router"} | dict.fromkeys(
        ["both", "one", "other"], "gateway"
    )
    links = [("left", "right"), ("left", "both"), ("left", "one"), ("right", "both"),
             ("right", "other")]  # fmt: skip
    x = lay_out(roles, links, dict.fromkeys(roles, 40.0)).x
    assert x["one"] < x["both"] < x["other"]


def test_a_link_across_a_layer_bends_round_the_machines_there() -> None:
    roles = {"core": "router", "gw": "gateway", "ar": "access_router", "cn": "correspondent"}
    links = [("core", "gw"), ("gw", "ar"), ("ar", "cn"), ("cn", "core")]
    layout = lay_out(roles, links, dict.fromkeys(roles, 40.0))
    bends = layout.between("core", "cn")
    assert [layer for _, layer in bends] == [1, 2]
    assert layout.between("cn", "core") == bends[::-1]
    for (x, _), name in zip(bends, ("gw", "ar"), strict=True):
        assert abs(x - layout.x[name]) > 20


def test_without_a_transit_router_the_gateways_are_the_top_layer() -> None:
    roles = {"ar1": "access_router", "gw1": "gateway", "gw2": "gateway"}
    layer = lay_out(roles, [("gw1", "gw2"), ("gw1", "ar1")], dict.fromkeys(roles, 40.0)).layer
    assert layer == {"gw1": 0, "gw2": 0, "ar1": 1}


def test_neighbours_on_a_layer_keep_their_distance_in_a_wide_star() -> None:
    roles = {"core": "router"} | {f"gw{n}": "gateway" for n in range(30)}
    layout = lay_out(roles, [("core", name) for name in roles], dict.fromkeys(roles, 40.0), gap=10)
    places = sorted(x for name, x in layout.x.items() if name != "core")
    assert all(abs(b - a - 50) < 1e-6 for a, b in pairwise(places))
    assert abs(layout.x["core"] - (places[0] + places[-1]) / 2) < 1
