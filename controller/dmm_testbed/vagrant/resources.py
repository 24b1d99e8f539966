"""The memory, disk and time that a lab of virtual machines takes, and whether they are there."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dmm_testbed.vagrant.plan import Lab

MACHINE_OVERHEAD_MIB = {"kvm": 60, "emulation": 200}
"""What a machine takes of this computer beyond its own memory: QEMU, and the translated code."""
SPARE_MIB = 512
"""What has to be left for everybody else."""
MACHINE_DISK_MIB = 150
"""What a machine writes over the box's image in a few days."""
BOX_DISK_MIB = 1200
"""The box, Vagrant's copy of it, and the image that all machines share."""
BOOT_CPU_S = {"kvm": 4.0, "emulation": 50.0}
PROVISION_CPU_S = {"kvm": 8.0, "emulation": 75.0}
"""Seconds of one core that booting and provisioning a machine take: measured under emulation
(docs/vms.md), guessed for KVM."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a lab takes."""

    machines: int
    memory_mib: int
    disk_mib: int
    minutes: float
    emulated: bool

    def sentence(self) -> str:
        """What a user wants to know before a lab is made."""
        by = "software emulation, which is slow" if self.emulated else "KVM"
        return (
            f"{self.machines} machines take {self.memory_mib / 1024:.1f} GiB of memory, "
            f"{self.disk_mib / 1024:.1f} GiB of disk and about {self.minutes:.0f} minutes to make, "
            f"by {by}"
        )


@dataclass(frozen=True, slots=True)
class Computer:
    """What this computer has left."""

    memory_mib: int
    disk_mib: int
    cores: int
    place: Path
    """Where the disks will be."""


def needs(lab: Lab, *, emulated: bool, cores: int) -> Needs:
    """What a lab takes of a computer with so many cores."""
    how = "emulation" if emulated else "kvm"
    memory = sum(m.memory_mib + MACHINE_OVERHEAD_MIB[how] for m in lab.machines)
    work_s = len(lab.machines) * (BOOT_CPU_S[how] + PROVISION_CPU_S[how])
    return Needs(
        machines=len(lab.machines),
        memory_mib=memory,
        disk_mib=BOX_DISK_MIB + MACHINE_DISK_MIB * len(lab.machines),
        minutes=max(1.0, work_s / min(cores, len(lab.machines)) / 60),
        emulated=emulated,
    )


def shortage(wanted: Needs, computer: Computer) -> list[str]:
    """What this computer has too little of, a sentence each; none if the lab fits."""
    found = []
    if computer.memory_mib < wanted.memory_mib + SPARE_MIB:
        found.append(
            f"{wanted.machines} machines take {wanted.memory_mib} MiB of memory, and {SPARE_MIB} "
            f"MiB should be left over; this computer has {computer.memory_mib} MiB available: "
            "close something, or take a smaller topology (TOPOLOGY=small has eight machines)"
        )
    if computer.disk_mib < wanted.disk_mib:
        found.append(
            f"{wanted.machines} machines take {wanted.disk_mib} MiB of disk; {computer.place} has "
            f"{computer.disk_mib} MiB left: make room there"
        )
    return found


def this_computer(place: Path) -> Computer:
    """What this computer has left now.

    Args:
        place: a directory on the file system that gets the disks, or one that will be made there.
    """
    there = next(p for p in (place, *place.parents) if p.is_dir())
    return Computer(
        memory_mib=available_mib(memory_info()),
        disk_mib=shutil.disk_usage(there).free >> 20,
        cores=len(os.sched_getaffinity(0)),
        place=there,
    )


def memory_info() -> dict[str, int]:
    """The kernel's figures on memory, in KiB."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return {name: int(rest.split()[0]) for name, rest in (line.split(":", 1) for line in lines)}


def available_mib(info: Mapping[str, int]) -> int:
    """Memory that programs can get without swapping."""
    return info["MemAvailable"] >> 10
