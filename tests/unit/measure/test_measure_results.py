"""results.json is what its description says, or is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from dmm_testbed import results
from dmm_testbed.results import Results, ResultsError

MINIMAL: dict[str, Any] = {
    "schema": 1,
    "profile": "gateway-query",
    "topology": "three-networks",
    "machines": "namespace",
    "steps": [
        {
            "name": "move",
            "at_ms": 1500.0,
            "path": {
                "forward": {"before": ["cn2", "mn11"], "during": [], "after": ["cn2", "mn11"]},
                "reverse": {"before": ["mn11", "cn2"], "during": [], "after": ["mn11", "cn2"]},
            },
            "stretch": {"before": 1.0, "during": 1.5, "after": 1.0},
            "tcp": {"bytes": 1000, "intact": True, "longest_gap_ms": 40.0},
            "udp": {"sent": 400, "lost": 3, "longest_gap_ms": 35.0},
            "signalling": {
                "messages": 2,
                "bytes": 200,
                "by_type": {
                    "PBU": {"messages": 1, "bytes": 100},
                    "PBA": {"messages": 1, "bytes": 100},
                },
            },
            "state": {"gw1": {"bindings": 1, "cache": 0, "leases": 1}},
        }
    ],
    "verdict": "pass",
    "failures": [],
}
"""The shape that was agreed on first; files that have no more than this must stay readable."""

DOCUMENT = Path(__file__).parents[3] / "docs" / "results.md"


def test_the_agreed_shape_is_accepted() -> None:
    found = Results.model_validate(MINIMAL)
    assert found.steps[0].stretch.during == 1.5


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    written = Results.model_validate(MINIMAL)
    path = tmp_path / "report" / "results.json"
    results.write(written, path)
    assert results.read(path) == written
    assert json.loads(path.read_text())["schema"] == 1
    assert [file.name for file in path.parent.iterdir()] == ["results.json"]


def test_the_verdict_follows_from_the_failures() -> None:
    base = {key: value for key, value in MINIMAL.items() if key not in ("verdict", "failures")}
    assert Results.model_validate(base).verdict == "pass"
    assert Results.model_validate({**base, "failures": ["it broke"]}).verdict == "fail"


@pytest.mark.parametrize(("verdict", "failures"), [("pass", ["it broke"]), ("fail", [])])
def test_a_verdict_that_contradicts_the_failures_is_refused(
    verdict: str, failures: list[str]
) -> None:
    with pytest.raises(ValidationError, match="if, and only if, there are none"):
        Results.model_validate({**MINIMAL, "verdict": verdict, "failures": failures})


def test_failures_of_steps_are_gathered_once() -> None:
    step = {**MINIMAL["steps"][0], "failures": ["3 packets lost"]}
    found = Results.model_validate({**MINIMAL, "steps": [step]})
    assert found.verdict == "pass"
    gathered = results.gather_failures(found)
    assert gathered.verdict == "fail"
    assert gathered.failures == ("move: 3 packets lost",)
    assert results.gather_failures(gathered) == gathered


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            {"stretch": {"before": 0.9}},
            "stretch.before: Input should be greater",
        ),
        ({"udp": {"sent": -1, "lost": 0, "longest_gap_ms": 0}}, "udp.sent"),
        ({"udp": {"sent": 1, "lost": 0, "longest_gap_ms": "NaN"}}, "udp.longest_gap_ms"),
        ({"signalling": {"messages": 1, "bytes": 90}}, "by_type adds up to 0 messages"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
    ],
)
def test_a_mistake_is_named_with_file_and_field(
    tmp_path: Path, change: dict[str, Any], complaint: str
) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps({**MINIMAL, "steps": [{**MINIMAL["steps"][0], **change}]}))
    with pytest.raises(ResultsError) as refused:
        results.read(path)
    assert str(path) in str(refused.value)
    assert "steps.0." in str(refused.value)
    assert complaint in str(refused.value)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 2}', "\x00"])
def test_a_file_that_is_something_else_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(ResultsError, match=r"results\.json"):
        results.read(path)
    with pytest.raises(ResultsError, match=r"absent\.json"):
        results.read(tmp_path / "absent.json")


def test_every_field_is_described() -> None:
    text = DOCUMENT.read_text()
    fields = {
        field.alias or name
        for model in (results.Results, results.Step, results.Move, results.DirectionPath)
        for name, field in model.model_fields.items()
    }
    assert [name for name in sorted(fields) if f"`{name}`" not in text] == []
