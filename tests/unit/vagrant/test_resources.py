"""A lab says what it takes, and is refused where there is too little of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dmm_testbed.topology import load_topology
from dmm_testbed.vagrant.plan import Lab, plan
from dmm_testbed.vagrant.resources import (
    SPARE_MIB,
    Computer,
    available_mib,
    memory_info,
    needs,
    shortage,
    this_computer,
)

INVENTORY = Path(__file__).parents[3] / "inventory"


@pytest.fixture
def lab() -> Lab:
    return plan(load_topology(INVENTORY / "small.yml"), "mine")


@pytest.fixture
def roomy() -> Computer:
    return Computer(memory_mib=64_000, disk_mib=100_000, cores=8, place=Path("/var"))


def test_memory_disk_and_time_are_told_before_anything_is_made(lab: Lab) -> None:
    told = needs(lab, emulated=True, cores=2).sentence()
    assert told.startswith("8 machines take ")
    for words in ("GiB of memory", "GiB of disk", "minutes", "software emulation"):
        assert words in told


def test_emulation_takes_more_memory_and_time_than_kvm(lab: Lab) -> None:
    slow, fast = (needs(lab, emulated=emulated, cores=2) for emulated in (True, False))
    assert slow.memory_mib > fast.memory_mib
    assert slow.minutes > fast.minutes
    assert "emulation" not in fast.sentence()


def test_more_machines_take_more(lab: Lab) -> None:
    large = plan(load_topology(INVENTORY / "three-networks.yml"), "mine")
    small, big = (needs(one, emulated=True, cores=2) for one in (lab, large))
    assert big.memory_mib > small.memory_mib
    assert big.disk_mib > small.disk_mib
    assert big.minutes > small.minutes


def test_a_computer_with_room_is_taken(lab: Lab, roomy: Computer) -> None:
    assert shortage(needs(lab, emulated=True, cores=2), roomy) == []


def test_too_little_memory_is_refused_with_what_to_do(lab: Lab, roomy: Computer) -> None:
    wanted = needs(lab, emulated=True, cores=2)
    just_enough = replace(roomy, memory_mib=wanted.memory_mib + SPARE_MIB)
    assert shortage(wanted, just_enough) == []
    (sentence,) = shortage(wanted, replace(just_enough, memory_mib=just_enough.memory_mib - 1))
    assert f"this computer has {just_enough.memory_mib - 1} MiB available" in sentence
    assert "TOPOLOGY=small" in sentence


def test_too_little_disk_is_refused_with_the_place(lab: Lab, roomy: Computer) -> None:
    wanted = needs(lab, emulated=True, cores=2)
    (sentence,) = shortage(wanted, replace(roomy, disk_mib=wanted.disk_mib - 1))
    assert "/var has" in sentence


def test_this_computer_is_measured_also_where_the_place_will_be_made(tmp_path: Path) -> None:
    found = this_computer(tmp_path / "not" / "there")
    assert found.place == tmp_path
    assert found.cores >= 1
    assert 0 < found.memory_mib <= memory_info()["MemTotal"] >> 10


def test_memory_that_caches_hold_counts_as_available() -> None:
    assert available_mib({"MemFree": 1024, "MemAvailable": 4 << 20}) == 4096
