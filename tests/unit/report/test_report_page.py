"""The page: well-formed, loads nothing, says and draws everything that results.json holds."""

from __future__ import annotations

import json
import re
import runpy
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from dmm_testbed.report.__main__ import main
from dmm_testbed.report.page import render
from dmm_testbed.report.scene import PHASES
from dmm_testbed.report.sequence import messages_of_steps
from dmm_testbed.results import Results

HOSTILE = "</script><script>alert('1')</script>&\"<b>\u202e\u0000\u001b[31m]]>{{ 7*7 }}"


def parsed(results: Results) -> ET.Element:
    return ET.fromstring(render(results))  # noqa: S314 - our own page


@pytest.fixture(scope="module")
def page(results: Results) -> ET.Element:
    return parsed(results)


def sections(page: ET.Element) -> list[ET.Element]:
    return [found for found in page.iter("section") if found.get("class") == "step"]


def words(element: ET.Element) -> str:
    return " ".join("".join(element.itertext()).split())


def with_class(element: ET.Element, name: str) -> list[ET.Element]:
    return [found for found in element.iter() if name in found.get("class", "").split()]


def test_the_page_loads_nothing(page: ET.Element, results: Results) -> None:
    assert not {e.tag for e in page.iter()} & {"script", "link", "img", "iframe", "object", "use"}
    for element in page.iter():
        assert not {"src", "srcset", "data", "action", "onload", "onclick"} & set(element.attrib)
        assert element.get("href", "#").startswith("#")
    assert not re.search(r"url\(|@import|https?://", render(results))


def test_links_lead_to_a_step_each(page: ET.Element) -> None:
    targets = {"#" + section.attrib["id"] for section in sections(page)}
    assert {a.attrib["href"] for a in page.iter("a")} == targets


def test_every_step_has_a_row_a_section_and_a_sentence(page: ET.Element, results: Results) -> None:
    rows = page.findall(".//tbody/tr/th/a")
    assert [row.text for row in rows] == [
        f"{number}. {step.name}" for number, step in enumerate(results.steps, 1)
    ]
    for section, step in zip(sections(page), results.steps, strict=True):
        assert step.title in words(section)
        assert "Look for" in words(section)


def test_a_row_holds_what_was_measured(page: ET.Element) -> None:
    row = page.findall(".//table[@class='summary']/tbody/tr")[1]
    cells = {cell.get("data-name"): cell.text for cell in row.findall("td")}
    assert cells == {
        "stretch before": "1.00", "during": "1.33", "after": "1.00",
        "TCP": "intact", "TCP gap": "101\u00a0ms",
        "UDP lost": "6 of 4\u202f000", "UDP gap": "31.4\u00a0ms",
        "messages": "9", "bytes": "1\u202f100", "bindings": "2", "cache": "1", "leases": "3",
    }  # fmt: skip


def test_every_message_is_drawn_or_counted(page: ET.Element, results: Results) -> None:
    for section, messages in zip(sections(page), messages_of_steps(results), strict=True):
        drawn = sum(int(arrow.get("data-count", 0)) for arrow in with_class(section, "message"))
        assert drawn == len(messages)


def test_messages_beyond_the_bound_are_counted(run: dict[str, Any]) -> None:
    run["messages"] = [
        {"at_ms": 2000 + n, "sender": ends[0], "receiver": ends[1], "label": "Heartbeat"}
        for n in range(300)
        for ends in [("gw1", "gw2")[:: 1 if n % 2 else -1]]
    ]
    section = sections(parsed(Results.model_validate(run)))[0]
    drawn = sum(int(arrow.get("data-count", 0)) for arrow in with_class(section, "message"))
    (rest,) = with_class(section, "rest")
    assert 0 < drawn < 300
    assert rest.text == f"and {300 - drawn} more until +299.0 ms: {300 - drawn} Heartbeat"


def test_the_drawn_paths_are_the_measured_ones(page: ET.Element, results: Results) -> None:
    for section, step in zip(sections(page), results.steps, strict=True):
        drawn = [
            [
                [
                    hop.get("data-hop")
                    for hop in with_class(figure, direction)
                    if "data-hop" in hop.attrib
                ]
                for direction in ("forward", "reverse")
            ]
            for figure in with_class(section, "phases")[0].findall("figure")
        ]
        measured = [
            [
                [f"{a} {b}" for a, b in pairwise(getattr(path, phase))]
                for path in (step.path.forward, step.path.reverse)
            ]
            for phase in PHASES
        ]
        assert (
            drawn
            == [paths for number, paths in enumerate(measured) if paths not in measured[:number]]
            or drawn == measured
        )


def test_hops_inside_a_tunnel_are_drawn_as_such(page: ET.Element) -> None:
    before, during, after = with_class(sections(page)[1], "phases")[0].findall("figure")
    assert [len(with_class(f.find("svg") or f, "tunnel")) for f in (before, during, after)] == [
        0,
        6,
        6,
    ]
    tubes = [span.text for span in with_class(during, "in")]
    assert tubes == ["gw1 core gw3 ar31", "ar31 gw3 core gw1"]


def test_phases_that_look_the_same_share_a_drawing(page: ET.Element) -> None:
    titles = [
        [caption.findtext("b") for caption in section.iter("figcaption")]
        for section in sections(page)
    ]
    assert titles[0] == ["Before, during and after"]
    assert titles[1] == ["Before", "During", "After"]
    assert titles[5] == ["Before", "During and after"]


def test_tables_hold_signalling_by_type_and_state_by_machine(page: ET.Element) -> None:
    by_type, by_machine = sections(page)[1].findall(".//table")
    assert [words(row) for row in by_type.findall("tbody/tr")] == [
        "Answer1116", "PBA3372", "PBU4528", "Query184",
    ]  # fmt: skip
    assert "gw323101" not in words(by_machine)
    assert [words(row) for row in by_machine.findall("tbody/tr")] == [
        "ar3122000", "gw123101", "gw211011", "gw343101",
    ]  # fmt: skip


def test_texts_from_outside_are_shown_and_do_nothing(run: dict[str, Any]) -> None:
    run["profile"] = run["topology"] = HOSTILE
    run["notes"] = run["failures"] = [HOSTILE]
    run["verdict"] = "fail"
    step = run["steps"][1]
    step.update(name=HOSTILE, title=HOSTILE, failures=[HOSTILE])
    for message in run["messages"]:
        message.update(label=HOSTILE, sender=HOSTILE)
    step["signalling"]["by_type"] = {HOSTILE: {"messages": 9, "bytes": 1100}}
    page = parsed(Results.model_validate(run))
    assert not list(page.iter("script"))
    assert len(list(page.iter("b"))) == len(list(parsed(Results.model_validate(
        run | {"failures": ["harmless"]})).iter("b")))  # fmt: skip
    heading = page.findtext(".//h1")
    assert heading is not None
    assert "<b>\ufffd\ufffd\ufffd[31m]]>{{ 7*7 }}" in heading


def test_hostile_machine_names_are_shown_and_do_nothing(run: dict[str, Any]) -> None:
    hostile = json.loads(json.dumps(run).replace('"gw1"', json.dumps(HOSTILE)))
    assert not list(parsed(Results.model_validate(hostile)).iter("script"))


def test_a_failed_run_lists_what_failed(run: dict[str, Any]) -> None:
    run.update(verdict="fail", failures=["move-away: TCP lost 3 bytes", "vanish: 1 binding left"])
    run["steps"][1]["failures"] = ["TCP lost 3 bytes"]
    run["steps"][1]["tcp"]["intact"] = False
    page = parsed(Results.model_validate(run))
    (verdict,) = with_class(page, "verdict")
    assert "fail" in verdict.get("class", "").split()
    assert words(verdict).startswith("Fail. 2 expectations not met in 7 steps:")
    assert [item.text for item in verdict.iter("li")] == run["failures"]
    assert "Not met: TCP lost 3 bytes" in words(sections(page)[1])
    assert "damaged" in words(page.findall(".//tbody/tr")[1])


def test_a_run_that_ended_before_its_first_step_has_a_page() -> None:
    page = parsed(
        Results.model_validate(
            {"schema": 1, "profile": "p", "topology": "t", "machines": "vagrant",
             "verdict": "fail", "failures": ["gw1 did not come up"]}
        )
    )  # fmt: skip
    assert "gw1 did not come up" in words(page)
    assert not sections(page)


def test_a_step_in_which_nothing_was_seen_has_a_section(run: dict[str, Any]) -> None:
    run["steps"] = [{"name": "attach", "at_ms": 0}]
    run["messages"] = run["gaps"] = []
    (section,) = sections(parsed(Results.model_validate(run)))
    assert "nothing arrived" in words(section)


def test_a_run_without_a_drawn_topology_still_shows_its_paths(run: dict[str, Any]) -> None:
    run["layout"] = {}
    section = sections(parsed(Results.model_validate(run)))[1]
    assert "cn2 ar21 gw2 core" in words(section)
    assert not with_class(section, "machine")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_from_what_is_behind_them(results: Results, scheme: str) -> None:
    blocks = re.findall(r":root \{(.*?)\}", render(results), flags=re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})", blocks[scheme == "dark"]))
    for text in ("text", "quiet", "good", "bad", "forward", "reverse"):
        for ground in ("page", "panel"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    assert contrast(colours["quiet"], colours["region"]) >= 4.5
    assert contrast(colours["good"], colours["good-page"]) >= 4.5
    assert contrast(colours["bad"], colours["bad-page"]) >= 4.5


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2.1."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_the_example_is_the_one_that_its_program_makes(tmp_path: Path) -> None:
    folder = Path(__file__).parent
    runpy.run_path(str(folder / "example_run.py"))["write"](tmp_path)
    made, kept = tmp_path / "results.json", folder / "data" / "results.json"
    assert made.read_text() == kept.read_text(), "run example_run.py on tests/unit/report/data"


def test_the_command_writes_the_page_next_to_the_results(
    run: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results.json").write_text(json.dumps(run))
    assert main([str(tmp_path), "--quiet"]) == 0
    assert capsys.readouterr().out == f"Report: {tmp_path}/index.html\n"
    assert (tmp_path / "index.html").read_text().startswith("<!DOCTYPE html>")
    assert main([str(tmp_path), "--quiet"]) == 0
    assert capsys.readouterr().out == f"Report unchanged: {tmp_path}/index.html\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["index.html", "results.json"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "results.json: no such file; a run of the scenario writes it"),
        ("{", "results.json: (top): Invalid JSON"),
        ('{"schema": 1}', "results.json: profile: Field required"),
        (
            '{"schema": 1, "profile": "p", "topology": "t", "machines": "namespace",'
            ' "layout": {"nodes": [{"name": "a", "network": "n", "role": "router"}],'
            ' "links": [{"ends": ["a", "b"]}]}}',
            "results.json: layout.links.0.ends: 'b' is not a machine in layout.nodes",
        ),
    ],
)
def test_bad_results_are_refused_naming_file_and_field(
    content: str | None, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "results.json").write_text(content)
    assert main([str(tmp_path)]) == 1
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "index.html").exists()
