"""Sessions send no more packets than the machines that play the scenario carry."""

from __future__ import annotations

from tests.playing import ROOT

from dmm_testbed.scenario.file import load_scenario
from dmm_testbed.scenario.play import PACES, USUAL_PACE, Pace
from dmm_testbed.topology import load_topology


def probes_per_s(name: str, pace: Pace) -> float:
    topology = load_topology(ROOT / "inventory" / f"{name}.yml")
    scenario = load_scenario(ROOT / "inventory" / "scenarios" / f"{name}.yml", topology)
    return pace.probes_per_s(scenario)


def test_fast_machines_send_what_the_scenario_says() -> None:
    assert probes_per_s("designs", USUAL_PACE) == 50


def test_a_session_that_is_alone_has_all_that_emulated_machines_carry() -> None:
    assert probes_per_s("three-networks", PACES["vagrant"]) == 10


def test_sessions_at_a_time_share_it() -> None:
    assert probes_per_s("designs", PACES["vagrant"]) == 2.5
