"""The message sequences in the documentation are those that the functions really exchange."""

from __future__ import annotations

from pathlib import Path

from dmm_agent.simulator.sequences import sequences

PAGE = Path(__file__).parents[3] / "docs" / "signalling.md"


def test_the_page_shows_what_the_simulator_plays() -> None:
    assert "\n".join(sequences()) in PAGE.read_text(encoding="utf-8")
