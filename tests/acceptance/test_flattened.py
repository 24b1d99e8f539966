"""Networks of one router each, gateway and access router at once, with all functions on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from labs import lab_of_its_own
from signalling import messages_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs import Lab

    from dmm_testbed.results import Results


@pytest.fixture(scope="module")
def flat(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Three flattened networks."""
    with lab_of_its_own(request.config, "flat", "flat", "flat-query") as made:
        yield made


@pytest.fixture(scope="module")
def played(flat: Lab, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What a handover, and the way back, were like."""
    return flat.play_scenario(tmp_path_factory.mktemp("run"))


def test_everything_goes_as_the_scenario_expects(played: Results) -> None:
    assert played.failures == ()


def test_packets_are_tunnelled_from_router_to_router_and_no_further(played: Results) -> None:
    away = next(step for step in played.steps if step.name == "away")
    used = {
        (tunnel.start, tunnel.end)
        for way in (away.path.forward, away.path.reverse)
        for seen in way.observed
        for tunnel in seen.tunnels
    }
    assert used <= {
        ("ar21", "ar31"), ("ar31", "ar21"), ("ar11", "ar31"), ("ar31", "ar11"), ("ar21", "ar11")
    }  # fmt: skip
    assert away.path.forward.after == ("cn2", "ar21", "core", "ar31", "mn11")


def test_registration_inside_a_router_is_no_message(played: Results) -> None:
    away = next(step for step in played.steps if step.name == "away")
    updates = {(m.sender, m.receiver) for m in messages_in(played, away) if m.label == "PBU"}
    assert updates == {("ar31", "ar11")}, "to the home network alone"


def test_verifying_finds_nothing_amiss(played: Results, flat: Lab) -> None:
    del played
    verified = flat.play("verify", profile="flat-query")
    assert verified.status == 0, verified.output
