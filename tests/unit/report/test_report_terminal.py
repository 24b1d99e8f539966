"""The summary in the terminal: 80 columns, no meaning in colour alone, nothing steered by texts."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Literal

import pytest
from rich.console import Console

from dmm_testbed.report.terminal import MAX_FAILURES, print_summary
from dmm_testbed.results import Results

DATA = Path(__file__).parent / "data"


def printed(results: Results, colour: bool = False) -> str:
    stream = io.StringIO()
    system: Literal["truecolor"] | None = "truecolor" if colour else None
    console = Console(file=stream, width=80, color_system=system, force_terminal=colour)
    print_summary(results, console)
    return "".join(line.rstrip() + "\n" for line in stream.getvalue().splitlines())


def failed(run: dict[str, Any]) -> Results:
    run["steps"][1]["failures"] = ["the last path has stretch 1.33, expected 1.00"]
    run["steps"][1]["tcp"]["intact"] = False
    run["steps"][2].update(tcp=None, udp=None)
    run.update(
        verdict="fail", failures=["move-away: the last path has stretch 1.33, expected 1.00"]
    )
    return Results.model_validate(run)


def test_summary_of_a_run_that_passed(results: Results) -> None:
    assert printed(results) == (DATA / "summary-pass.txt").read_text()


def test_summary_of_a_run_that_failed(run: dict[str, Any]) -> None:
    assert printed(failed(run)) == (DATA / "summary-fail.txt").read_text()


def test_colours_only_where_the_terminal_has_them(results: Results) -> None:
    assert "\x1b[" in printed(results, colour=True)
    assert "\x1b[" not in printed(results)


def test_long_names_and_large_numbers_stay_in_80_columns(run: dict[str, Any]) -> None:
    run["steps"][0].update(name="a-step-with-a-name-much-longer-than-a-column")
    run["steps"][0]["udp"].update(sent=4_000_000, lost=1_999_999)
    run["profile"] = "profile " * 30
    assert max(map(len, printed(Results.model_validate(run)).splitlines())) <= 80


def test_texts_from_outside_do_not_steer_the_terminal(run: dict[str, Any]) -> None:
    run["profile"] = run["steps"][0]["name"] = "\x1b[2J[red]x[/nonsense]"
    text = printed(Results.model_validate(run))
    assert "\x1b" not in text
    assert "[red]x[/nonsense]" in text


@pytest.mark.parametrize("count", [1, MAX_FAILURES, MAX_FAILURES + 7])
def test_a_long_list_of_failures_is_cut_and_counted(run: dict[str, Any], count: int) -> None:
    run.update(verdict="fail", failures=[f"failure {number}" for number in range(count)])
    lines = printed(Results.model_validate(run)).splitlines()
    assert sum(line.startswith("failed: ") for line in lines) == min(count, MAX_FAILURES)
    assert ("and 7 more" in lines) == (count > MAX_FAILURES)
