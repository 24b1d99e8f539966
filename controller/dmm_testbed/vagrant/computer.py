"""Whether this computer can run a lab of virtual machines, and whether hardware runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmm_testbed.vagrant.box import ROOT, machine_box
from dmm_testbed.vagrant.kvm import Attempt, try_kvm
from dmm_testbed.vagrant.resources import needs, shortage, this_computer

if TYPE_CHECKING:
    from pathlib import Path

    from dmm_testbed.vagrant.plan import Lab
    from dmm_testbed.vagrant.resources import Needs

TRIED = ROOT / "build" / "kvm.json"


def hardware(*, libvirt: bool) -> Attempt:
    """Whether hardware runs guests; providers other than libvirt know no other way."""
    return try_kvm(machine_box().kernel, TRIED) if libvirt else Attempt(True, "")


def demands(wanted: Lab, place: Path, *, emulated: bool) -> tuple[Needs, list[str]]:
    """What a lab takes of this computer, and what of that there is too little of.

    Args:
        wanted: the lab.
        place: where the disks will be.
        emulated: whether software runs the machines.
    """
    computer = this_computer(place)
    needed = needs(wanted, emulated=emulated, cores=computer.cores)
    return needed, shortage(needed, computer)
