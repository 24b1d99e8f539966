"""Runs with several profiles on one page."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from dmm_testbed.report.designs import main, moments, render
from dmm_testbed.results import Results, write

if TYPE_CHECKING:
    from pathlib import Path

PLACES = ("old", "third")


def run(results: Results, profile: str, *, failures: tuple[str, ...] = ()) -> Results:
    """The example as if each of its steps had measured two sessions."""
    steps = [
        step.model_copy(update={"name": f"{step.name}-{place}", "session": place})
        for step in results.steps[:2]
        for place in PLACES
    ]
    changes = {"profile": profile, "steps": tuple(steps), "failures": failures}
    data = {**dict(results), **changes}
    del data["verdict"]
    return Results.model_validate(data)


@pytest.fixture
def runs(results: Results) -> list[Results]:
    return [run(results, "one"), run(results, "other", failures=("away: it got lost",))]


def test_a_step_of_several_sessions_is_one_row_for_each_profile(runs: list[Results]) -> None:
    first, second = moments(runs)
    assert (first.name, second.name) == ("attach", "move-away")
    assert [place for place, _ in first.places] == list(PLACES)
    assert [row.profile for row in second.rows] == ["one", "other"]
    assert [step.name for step in second.rows[0].steps] == ["move-away-old", "move-away-third"]
    assert second.kinds == ("Answer", "PBA", "PBU", "Query")


def test_steps_that_not_all_profiles_have_are_left_out(runs: list[Results]) -> None:
    shorter = runs[1].model_copy(update={"steps": runs[1].steps[:2]})
    assert [moment.name for moment in moments([runs[0], shorter])] == ["attach"]


def test_the_page_says_what_failed_where_and_leads_to_each_run(runs: list[Results]) -> None:
    page = ET.fromstring(render(runs))  # noqa: S314 - our own page
    assert "other: away: it got lost" in "".join(page.itertext())
    assert {a.get("href") for a in page.iter("a")} == {"one/index.html", "other/index.html"}


def test_a_folder_of_runs_gets_a_page_for_each_and_one_for_all(
    runs: list[Results], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for one in runs:
        write(one, tmp_path / one.profile / "results.json")
    assert main([str(tmp_path)]) == 0
    assert f"Report: {tmp_path / 'index.html'}" in capsys.readouterr().out
    assert (tmp_path / "one" / "index.html").is_file()


def test_a_folder_without_runs_is_said_to_be_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 1
    assert f"{tmp_path}: no run in it" in capsys.readouterr().err
