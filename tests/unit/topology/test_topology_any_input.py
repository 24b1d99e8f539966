"""Whatever a file holds, checking it gives sentences and never another error."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dmm_testbed.topology.check import check

if TYPE_CHECKING:
    from dmm_agent.functions.base import Function

Functions = dict[str, type["Function[Any]"]]

INVENTORY = Path(__file__).parents[3] / "inventory"
TOPOLOGY = INVENTORY / "small.yml"
PROFILE = INVENTORY / "profiles" / "gateway-query.yml"
NAMES = ["gw1", "net1", "ar11", "mn11", "access_router", "lm", "lo", "", "é", "x" * 99]

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.dates(),
    st.binary(max_size=4),
    st.sampled_from(NAMES),
    st.text(max_size=5),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SCALARS, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def spoilt(draw: st.DrawFn, path: Path) -> str:
    """A good file with some of its values replaced, added or taken away."""
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    for _ in range(draw(st.integers(1, 3))):
        _spoil(draw, data)
    text: str = yaml.safe_dump(data, sort_keys=False)
    return text


def _spoil(draw: st.DrawFn, data: Any) -> None:
    while True:
        keys = list(data) if isinstance(data, dict) else list(range(len(data)))
        if not keys:
            return
        key = draw(st.sampled_from(keys))
        if isinstance(data[key], (dict, list)) and draw(st.integers(0, 3)):
            data = data[key]
            continue
        break
    action = draw(st.sampled_from(["replace", "add", "take"]))
    if action == "take":
        del data[key]
    elif action == "add" and isinstance(data, dict):
        data[draw(SCALARS)] = draw(VALUES)
    else:
        data[key] = draw(VALUES)


def checked(functions: Functions, topology: str | None, profile: str | None) -> list[str]:
    """Check texts, each in a file, in place of the good files."""
    with TemporaryDirectory() as folder:
        files = []
        for text, good in ((topology, TOPOLOGY), (profile, PROFILE)):
            file = Path(folder) / good.name if text is not None else good
            if text is not None:
                file.write_text(text, encoding="utf-8")
            files.append(file)
        return check(files[0], files[1], functions)


@given(spoilt(TOPOLOGY))
@settings(max_examples=200, deadline=None)
def test_a_spoilt_topology_gives_sentences_of_one_line(functions: Functions, text: str) -> None:
    assert all(sentence.isprintable() for sentence in checked(functions, text, None))


@given(spoilt(PROFILE))
@settings(max_examples=200, deadline=None)
def test_a_spoilt_profile_gives_sentences_of_one_line(functions: Functions, text: str) -> None:
    assert all(sentence.isprintable() for sentence in checked(functions, None, text))


@given(st.text(max_size=40))
@settings(max_examples=100, deadline=None)
def test_any_text_gives_sentences(functions: Functions, text: str) -> None:
    assert checked(functions, text, None)
