"""Any run that agrees with itself has a page, whatever its topology."""

from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree as ET

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dmm_testbed.report.page import render
from dmm_testbed.results import Results

ROLES = ["router", "gateway", "access_router", "anchor", "correspondent", "mobile_node", "new"]


@st.composite
def runs(draw: st.DrawFn) -> Results:
    roles = draw(st.lists(st.sampled_from(ROLES), min_size=2, max_size=14))
    names = [f"m{number}" for number in range(len(roles))]
    machine = st.sampled_from(names)
    networks = draw(st.lists(st.sampled_from("abc"), min_size=len(names), max_size=len(names)))
    mobiles = {name for name, role in zip(names, roles, strict=True) if role == "mobile_node"}
    links = draw(st.lists(st.tuples(machine, machine, st.booleans()), max_size=25))
    heard = [
        (mobile, router)
        for one, other, access in links
        for mobile, router in ((one, other), (other, one))
        if access and mobile in mobiles and router not in mobiles
    ]
    path = st.lists(machine, max_size=6)
    steps = []
    for number in range(draw(st.integers(0, 4))):
        phases = {phase: draw(path) for phase in ("before", "during", "after")}
        tunnels = [{"start": a, "end": b} for a, b in pairwise(phases["during"])]
        observed = {"hosts": phases["during"], "delivered": True, "probes": 1, "first_ms": 0,
                    "last_ms": 0, "tunnels": tunnels}  # fmt: skip
        moves = draw(st.lists(st.sampled_from(heard), max_size=2)) if heard else []
        steps.append({
            "name": f"step {number}", "at_ms": number * 100, "duration_ms": 100,
            "path": {"forward": phases | {"observed": [observed]},
                     "reverse": {"after": draw(path)}},
            "moves": [
                {"mobile_node": mobile, "from_router": None,
                 "to_router": draw(st.sampled_from([router, None])), "at_ms": number * 100 + 10}
                for mobile, router in moves
            ],
        })  # fmt: skip
    return Results.model_validate({
        "schema": 1, "profile": "p", "topology": "t", "machines": "namespace",
        "layout": {
            "nodes": [
                {"name": name, "network": network, "role": role}
                for name, network, role in zip(names, networks, roles, strict=True)
            ],
            "links": [{"ends": (a, b), "access": access} for a, b, access in links],
        },
        "steps": steps,
        "messages": [
            {"at_ms": at_ms, "sender": a, "receiver": b, "label": "PBU"}
            for at_ms, a, b in draw(st.lists(st.tuples(st.floats(-10, 500), machine, machine)))
        ],
    })  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(runs())
def test_any_run_has_a_well_formed_page_with_all_its_messages(run: Results) -> None:
    page = ET.fromstring(render(run))  # noqa: S314 - our own page
    drawn = sum(int(element.get("data-count", 0)) for element in page.iter())
    rest = [e.text or "" for e in page.iter("text") if e.get("class") == "rest"]
    counted = sum(int(text.split()[1]) for text in rest)
    assert drawn + counted == (len(run.messages) if run.steps else 0)
