"""Which tests are played at the same time: those on different machines (`--dist loadscope`)."""

from __future__ import annotations

from pathlib import PurePath

from xdist.scheduler import LoadScopeScheduling

LABS = {
    "test_designs.py": "designs",
    "test_many_homes.py": "five-networks",
    "test_declined_mobility.py": "five-networks",
    "test_host_mobility.py": "host",
    "test_flattened.py": "flat",
}
"""Acceptance tests that are not of the lab that the others share."""


def machines_of(nodeid: str) -> str:
    """The machines that a test is about: its lab, or those that all tests of its folder share."""
    file = PurePath(nodeid.partition("::")[0])
    return LABS.get(file.name, file.parts[1])


class ByMachines(LoadScopeScheduling):
    """Leaves tests that share machines to one process, which plays them in order."""

    def _split_scope(self, nodeid: str) -> str:
        return machines_of(nodeid)
