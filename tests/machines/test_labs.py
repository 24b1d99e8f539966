"""The playbooks and a lab that is not there, or is another one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.playing import play

from dmm_testbed.machines import lab
from dmm_testbed.machines.spec import lab_spec

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = os.environ.get("LAB", "dmm")[:10]
ABSENT = f"{PREFIX}-none"
OTHER = f"{PREFIX}-other"
SMALL = [Path("inventory/small.yml")]


@pytest.fixture
def _other(agent: Path) -> Iterator[None]:
    """A lab of another topology under a name that we want."""
    lab.up(OTHER, lab_spec("lonely", ["left"], []), agent, lambda _: None)
    yield
    lab.down(OTHER)


def test_checking_a_lab_that_is_not_there_tells_what_would_be_made() -> None:
    checked = play(ABSENT, SMALL, "site", "--check")
    assert checked.status == 0, checked.output
    assert checked.changed == {"localhost": 1}
    assert "what would be done in them cannot be told" in checked.words


def test_a_machine_that_is_not_there_is_told_with_what_to_do() -> None:
    refused = play(ABSENT, SMALL, "handover", mn="mn11", to="ar21")
    assert refused.status != 0
    assert f"machine mn11 of lab {ABSENT} does not run: run `make up` first" in refused.words


def test_taking_down_what_is_not_there_is_fine() -> None:
    for _ in range(2):
        done = play(ABSENT, SMALL, "destroy")
        assert done.status == 0, done.output
        assert done.changed == {}


@pytest.mark.usefixtures("_other")
def test_a_lab_of_another_topology_is_left_alone() -> None:
    refused = play(OTHER, SMALL, "machines")
    assert refused.status != 0
    assert f"lab {OTHER} runs topology lonely: take it down with" in refused.words
