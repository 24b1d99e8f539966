"""One whole run: load, play, measure, report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from dmm_testbed.report.__main__ import write_page
from dmm_testbed.report.terminal import print_summary
from dmm_testbed.scenario.expectations import expected_with
from dmm_testbed.scenario.file import load_scenario
from dmm_testbed.scenario.play import Player
from dmm_testbed.topology import load_topology
from dmm_testbed.topology.profile import load_profile

if TYPE_CHECKING:
    from pathlib import Path

    from dmm_testbed.machines.reach import Reach
    from dmm_testbed.results import Results


def run(
    topology_file: Path,
    profile: str,
    scenario_file: Path,
    reach: Reach,
    out: Path,
    probes_per_s: float | None = None,
) -> Results:
    """Play a scenario on a running lab, showing progress and a table.

    Raises:
        InputError: a file has a mistake.
        MachineError: the lab does not run.
        MeasuringError: something could not be measured.
    """
    topology = load_topology(topology_file)
    chosen = load_profile(topology_file.parent / "profiles" / f"{profile}.yml")
    scenario = expected_with(chosen, load_scenario(scenario_file, topology))
    console = Console()
    total = len(scenario.steps) + 2
    progress = iter(range(1, total + 1))

    def say(line: str) -> None:
        console.print(f"  {line}", highlight=False)

    player = Player(topology, profile, scenario, reach, out, say, probes_per_s)
    try:
        console.print(f"[{next(progress)}/{total}] getting ready", markup=False)
        player.begin()
        for step in scenario.steps:
            console.print(f"[{next(progress)}/{total}] {step.name}", markup=False)
            played = player.play(step)
            for failure in played.failures:
                console.print(f"  not as expected: {failure}", style="red", highlight=False)
        console.print(f"[{next(progress)}/{total}] measuring", markup=False)
        found = player.finish()
    finally:
        player.abandon()
    page = out / "index.html"
    write_page(found, page)
    print_summary(found, console)
    console.print(f"report: {page}", highlight=False)
    return found
