"""Check a topology and a profile before anything is touched.

``python -m dmm_testbed.topology.check TOPOLOGY PROFILE`` prints one sentence for each mistake and
exits with 2, or one line that sums up what it read.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING

from dmm_testbed.topology import load_topology
from dmm_testbed.topology.functions import InstalledFunctions
from dmm_testbed.topology.profile import load_profile
from dmm_testbed.topology.profile_rules import profile_mistakes
from dmm_testbed.topology.sentences import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from dmm_testbed.topology.functions import Functions
    from dmm_testbed.topology.model import Topology
    from dmm_testbed.topology.profile import Profile

EXIT_MISTAKES = 2


def check(
    topology_path: Path | str, profile_path: Path | str, functions: Functions | None = None
) -> list[str]:
    """Say everything that is wrong with a topology file and a profile file.

    Args:
        topology_path: the topology file.
        profile_path: the profile file.
        functions: function classes by name; those installed, if left out.

    Returns:
        One sentence for each mistake, file name first; none if they can be used together.
    """
    try:
        load_checked(topology_path, profile_path, functions)
    except InputError as error:
        return list(error.sentences)
    return []


def load_checked(
    topology_path: Path | str, profile_path: Path | str, functions: Functions | None = None
) -> tuple[Topology, Profile]:
    """Read a topology and a profile that can be used together.

    Raises:
        InputError: they cannot; with all that is wrong in both files.
    """
    found: list[str] = []
    topology = profile = None
    try:
        topology = load_topology(topology_path)
    except InputError as error:
        found.extend(error.sentences)
    try:
        profile = load_profile(profile_path)
    except InputError as error:
        found.extend(error.sentences)
    if topology is None or profile is None:
        raise InputError(found)
    known = InstalledFunctions() if functions is None else functions
    if mistakes := profile_mistakes(topology, profile, known):
        raise InputError(f"{profile_path}: {sentence}" for sentence in mistakes)
    return topology, profile


def summary(topology: Topology, profile: Profile) -> str:
    """One line on what a topology and a profile hold."""
    roles = Counter(str(machine.role) for machine in topology.machines.values())
    placed = "; ".join(f"{role}: {', '.join(f)}" for role, f in profile.placement.items())
    counted = ", ".join(f"{count} {role}" for role, count in roles.items())
    return (
        f"topology {topology.name}: {len(topology.machines)} machines ({counted}) in "
        f"{len(topology.networks)} networks; profile {profile.name}: {placed}"
    )


def main(arguments: list[str]) -> int:
    """Check the two files named on the command line; return the exit status."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m dmm_testbed.topology.check TOPOLOGY PROFILE\n")
        return EXIT_MISTAKES
    try:
        topology, profile = load_checked(arguments[0], arguments[1])
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_MISTAKES
    sys.stdout.write(f"{summary(topology, profile)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
