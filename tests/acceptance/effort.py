"""What is too much for a computer that runs virtual machines: skipped, with the reason."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.playing import ROOT

from dmm_testbed.topology import load_topology
from dmm_testbed.vagrant.computer import demands, hardware
from dmm_testbed.vagrant.plan import MEMORY_MIB, plan

SPARE_NOTHING = "--spare-nothing"
DISKS = Path("/var/lib")


def spare_emulated_machines(config: pytest.Config) -> None:
    """Skip what takes many minutes more where virtual machines are emulated."""
    if config.getoption("--machines") != "vagrant" or config.getoption(SPARE_NOTHING):
        return
    attempt = hardware(libvirt=_by_libvirt())
    if not attempt.usable:
        pytest.skip(
            f"takes many minutes more on emulated machines, and {attempt.reason}; "
            f"{SPARE_NOTHING} plays it"
        )


def need_room(config: pytest.Config, topology: Path) -> None:
    """Skip what takes one more lab of virtual machines if the computer is too small for it."""
    if config.getoption("--machines") != "vagrant":
        return
    memory_mib = int(os.environ.get("DMM_MEMORY_MIB", MEMORY_MIB))
    wanted = plan(load_topology(ROOT / topology), "more", memory_mib)
    _needed, short = demands(wanted, DISKS, emulated=not hardware(libvirt=_by_libvirt()).usable)
    if short:
        pytest.skip("one more lab: " + "; ".join(short))


def _by_libvirt() -> bool:
    return os.environ.get("VAGRANT_DEFAULT_PROVIDER", "libvirt") == "libvirt"
