"""Each mistake in a topology or profile gets a sentence; tests/errors holds files and sentences."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from dmm_testbed.topology.check import check, main

if TYPE_CHECKING:
    from dmm_agent.functions.base import Function

ERRORS = Path(__file__).parents[2] / "errors"
VALID = {"topology": Path("valid/topology.yml"), "profile": Path("valid/profiles/lab.yml")}
CASES = sorted({path.stem for path in ERRORS.glob("*.*")})


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_said_in_its_golden_sentences(
    case: str,
    functions: dict[str, type[Function[Any]]],
    update_golden: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A case is a file `<case>.yml` with a mistake and the sentences about it in `<case>.txt`.

    The first word of a case says what its file is. It is checked with the other kind of file from
    `valid`; a case without a file is about one that is missed there.

    After a change of words, write all sentences anew and read the difference before committing:
    ``UPDATE_GOLDEN=1 pytest tests/unit/topology/test_topology_error_sentences.py``.
    """
    monkeypatch.chdir(ERRORS)
    kind = case.split("-")[0]
    file = Path(f"{case}.yml")
    files = VALID | {kind: file if file.exists() else VALID[kind].with_name(file.name)}

    sentences = check(files["topology"], files["profile"], functions)

    golden = ERRORS / f"{case}.txt"
    if update_golden:
        golden.write_text("".join(f"{sentence}\n" for sentence in sentences), encoding="utf-8")
    assert sentences
    assert sentences == golden.read_text(encoding="utf-8").splitlines()
    assert all(sentence.startswith(f"{files[kind]}: ") for sentence in sentences)


def test_the_files_that_cases_are_checked_against_have_no_mistake(
    functions: dict[str, type[Function[Any]]],
) -> None:
    assert check(ERRORS / VALID["topology"], ERRORS / VALID["profile"], functions) == []


@pytest.mark.parametrize("topology", ["three-networks", "small", "designs", "flat"])
def test_the_shipped_topologies_and_profiles_have_no_mistake(
    topology: str, inventory: Path
) -> None:
    """Profiles for flattened networks are for these alone, and the others for the others."""
    profiles = list((inventory / "profiles").glob("*.yml"))
    suitable = [p for p in profiles if p.stem.startswith("flat-") == (topology == "flat")]
    assert suitable
    for profile in suitable:
        assert check(inventory / f"{topology}.yml", profile) == []


def test_mistakes_in_both_files_are_said_at_once(functions: dict[str, type[Function[Any]]]) -> None:
    sentences = check("no-topology.yml", ERRORS / "profile-not-yaml.yml", functions)

    assert len(sentences) == 2


def test_the_command_exits_with_2_and_says_sentences_on_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    case = ERRORS / "topology-unknown-role.yml"

    assert main([str(case), str(ERRORS / VALID["profile"])]) == 2

    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"{case}: host ar11: role: ")


def test_a_file_too_large_to_be_a_topology_is_refused(
    tmp_path: Path, functions: dict[str, type[Function[Any]]]
) -> None:
    large = tmp_path / "large.yml"
    large.write_bytes(b"#" * (2 << 20))

    assert check(large, ERRORS / VALID["profile"], functions) == [
        f"{large}: expected a file of at most 1048576 bytes"
    ]


def test_a_file_that_nests_without_end_is_refused(
    tmp_path: Path, functions: dict[str, type[Function[Any]]]
) -> None:
    deep = tmp_path / "deep.yml"
    deep.write_text("[" * 100_000, encoding="utf-8")

    assert check(deep, ERRORS / VALID["profile"], functions) == [f"{deep}: nested too deeply"]


def test_a_value_that_aliases_make_huge_is_quoted_in_short(
    tmp_path: Path, functions: dict[str, type[Function[Any]]]
) -> None:
    layers = "".join(f"  - &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 30))
    bomb = tmp_path / "bomb.yml"
    bomb.write_text(f"name:\n  - &l0 lol\n{layers}", encoding="utf-8")

    assert all(len(s) < 500 for s in check(bomb, ERRORS / VALID["profile"], functions))


def test_a_network_has_blocks_for_so_many_access_routers(
    tmp_path: Path, functions: dict[str, type[Function[Any]]]
) -> None:
    names = [f"ar{number}" for number in range(64)]
    hosts = {n: {"network": "net1", "role": "access_router", "gateway": "gw1"} for n in names}
    data = {
        "plugin": "dmm_topology",
        "schema": 1,
        "name": "wide",
        "networks": {"net1": {"number": 1}},
        "hosts": {"gw1": {"network": "net1", "role": "gateway"}, **hosts},
        "links": [{"ends": ["gw1", name]} for name in names],
    }
    wide = tmp_path / "wide.yml"
    wide.write_text(yaml.safe_dump(data), encoding="utf-8")

    assert check(wide, ERRORS / VALID["profile"], functions) == [
        f"{wide}: network net1: hosts: its prefix has blocks for 63 access routers, not 64"
    ]


def test_bytes_that_are_no_text_are_refused(
    tmp_path: Path, functions: dict[str, type[Function[Any]]]
) -> None:
    binary = tmp_path / "binary.yml"
    binary.write_bytes(b"name: \xff\n")

    assert check(binary, ERRORS / VALID["profile"], functions) == [
        f"{binary}: not UTF-8 text: byte 6 is wrong"
    ]
