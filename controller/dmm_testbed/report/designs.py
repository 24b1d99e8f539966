"""`python -m dmm_testbed.report.designs FOLDER`: shows runs with several profiles on one page.

FOLDER holds a folder for each profile, with the results.json of its run; a page is written beside
each of them, and FOLDER/index.html.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dmm_testbed.report.__main__ import write_page
from dmm_testbed.report.page import filled_in
from dmm_testbed.report.scene import ContradictionError
from dmm_testbed.results import ResultsError, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dmm_testbed.results import Results, Step, Volume


@dataclass(frozen=True, slots=True)
class Moment:
    """One step of the scenario as all designs went through it."""

    name: str
    title: str
    places: tuple[tuple[str, str], ...]
    """The sessions that were measured, and who talked to whom."""
    kinds: tuple[str, ...]
    """The kinds of messages that anybody sent."""
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One design in one step."""

    profile: str
    steps: tuple[Step, ...]
    """By session, in the order of the columns."""
    kinds: tuple[Volume | None, ...]
    """Messages of each kind, in the order of the columns."""

    @property
    def messages(self) -> int:
        """Everybody's signalling in this step."""
        return self.steps[0].signalling.messages


def moments(runs: Sequence[Results]) -> list[Moment]:
    """The steps that all runs have, with each run's measurements."""
    by_step = [_by_step(run) for run in runs]
    common = [name for name in by_step[0] if all(name in steps for steps in by_step)]
    return [_moment(name, runs, by_step) for name in common]


def _by_step(run: Results) -> dict[str, dict[str, Step]]:
    found: dict[str, dict[str, Step]] = {}
    for step in run.steps:
        name = step.name.removesuffix(f"-{step.session}") if step.session else step.name
        found.setdefault(name, {})[step.session] = step
    return found


def _moment(
    name: str, runs: Sequence[Results], by_step: Sequence[dict[str, dict[str, Step]]]
) -> Moment:
    sessions = [s for s in by_step[0][name] if all(s in steps[name] for steps in by_step)]
    first = by_step[0][name]
    signalling = [steps[name][sessions[0]].signalling.by_type for steps in by_step]
    kinds = sorted(set().union(*signalling))
    return Moment(
        name,
        first[sessions[0]].title,
        tuple((s, f"{first[s].correspondent} and {first[s].mobile_node}") for s in sessions),
        tuple(kinds),
        tuple(
            Row(
                run.profile,
                tuple(steps[name][session] for session in sessions),
                tuple(map(by_type.get, kinds)),
            )
            for run, steps, by_type in zip(runs, by_step, signalling, strict=True)
        ),
    )


def render(runs: Sequence[Results]) -> str:
    """The page as HTML that loads nothing."""
    return filled_in("designs.html.j2", runs=runs, moments=moments(runs))


def write_designs(folder: Path) -> Path:
    """Write a page for each run in a folder, and one that shows them beside each other.

    Raises:
        ResultsError: a run cannot be read, or there is none.
        ContradictionError: the results of a run contradict themselves.
        OSError: a page cannot be written.
    """
    files = sorted(folder.glob("*/results.json"))
    if not files:
        raise ResultsError(f"{folder}: no run in it; expected folders with a results.json")
    runs = [read(file) for file in files]
    for file, run in zip(files, runs, strict=True):
        write_page(run, file.with_name("index.html"))
    runs.sort(key=lambda run: (run.started_at is None, run.started_at))
    page = folder / "index.html"
    unfinished = page.with_name(page.name + ".part")
    unfinished.write_text(render(runs), encoding="utf-8")
    unfinished.replace(page)
    return page


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit status: 0, or 1 with a sentence on standard error."""
    parser = argparse.ArgumentParser(
        prog="python -m dmm_testbed.report.designs",
        description="Show runs with several profiles on one page.",
    )
    parser.add_argument("folder", type=Path, help="with a folder for each profile in it")
    try:
        page = write_designs(parser.parse_args(arguments).folder)
    except (ResultsError, ContradictionError, OSError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 1
    print(f"Report: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
