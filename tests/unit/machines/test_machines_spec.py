"""What a lab shall consist of is checked before anything is touched."""

from __future__ import annotations

from typing import Any

import pytest

from dmm_testbed.machines import MachineError
from dmm_testbed.machines.links import link_layer_address
from dmm_testbed.machines.spec import lab_spec


def test_the_same_content_has_the_same_digest_and_another_has_not() -> None:
    one = lab_spec("t", ["a", "b"], [{"ends": ["a", "b"]}])
    same = lab_spec("t", ["a", "b"], [{"ends": ["a", "b"], "mtu": 1500}])
    other = lab_spec("t", ["a", "b"], [{"ends": ["a", "b"], "mtu": 1600}])
    assert one.digest() == same.digest() != other.digest()


@pytest.mark.parametrize(
    ("machines", "links", "sentence"),
    [
        ([], [], "machines: Tuple should have at least 1 item"),
        (["a", "a"], [], "machine a is listed 2 times"),
        (["UPPER"], [], "machines.0: String should match pattern"),
        (["a-name-too-long-for-linux"], [], "machines.0: String should match pattern"),
        (["a", "b"], [{"ends": ["a", "c"]}], "link a-c: there is no machine c"),
        (["a"], [{"ends": ["a", "a"]}], "link a-a: expected two machines, one link each"),
        (["a", "b"], [{"ends": ["a", "b"]}, {"ends": ["b", "a"]}], "link b-a: expected two"),
        (["a", "b"], [{"ends": ["a", "b"], "mtu": 576}], "links.0.mtu: Input should be greater"),
        (["a", "b"], [{"ends": ["a", "b"], "delay": 5}], "links.0.delay: Extra inputs are not"),
        (
            ["a", "b"],
            [{"ends": ["a", "b"], "impairments": {"loss_percent": 101}}],
            "links.0.impairments.loss_percent: Input should be less than or equal to 100",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place(
    machines: list[str], links: list[dict[str, Any]], sentence: str
) -> None:
    with pytest.raises(MachineError) as told:
        lab_spec("t", machines, links)
    assert sentence in str(told.value)


def test_link_layer_addresses_are_local_stable_and_differ() -> None:
    first = link_layer_address("gw1", "core")
    assert first == link_layer_address("gw1", "core")
    assert first != link_layer_address("core", "gw1")
    assert int(first.split(":")[0], 16) & 0b11 == 0b10, "locally administered, one station"
