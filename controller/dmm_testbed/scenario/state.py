"""What the hosts hold, asked of their agents."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from dmm_testbed.measure.errors import MeasuringError
from dmm_testbed.results import HostState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dmm_testbed.measure.runner import Runner
    from dmm_testbed.scenario.file import Expectation


def held_by(runner: Runner, host: str) -> HostState:
    """How much a host holds; a cached location counts when it steers packets.

    Raises:
        MeasuringError: the agent does not answer.
    """
    result = runner.run(host, ["dmmctl", "status", "--json"])
    if result.returncode:
        raise MeasuringError(f"{host}: dmmctl status: {result.stderr.strip()}")
    status = json.loads(result.stdout)
    entries = status["entries"]
    return HostState(
        bindings=entries["bindings"], leases=entries["leases"], cache=status["steering"]
    )


def held_by_all(runner: Runner, hosts: Iterable[str]) -> dict[str, HostState]:
    """How much each of the hosts holds."""
    names = list(hosts)
    with ThreadPoolExecutor(max_workers=4) as pool:
        found = pool.map(lambda host: held_by(runner, host), names)
        return dict(zip(names, found, strict=True))


def differences(expect: Expectation, held: dict[str, HostState]) -> list[str]:
    """Where the state is not as expected, a sentence each."""
    found = []
    for table in ("bindings", "cache", "leases"):
        for host, wanted in getattr(expect, table).items():
            has = getattr(held[host], table)
            if has != wanted:
                found.append(f"{host} has {has} in {table}, expected {wanted}")
    return found


def hosts_of(expect: Expectation) -> set[str]:
    """The hosts an expectation speaks of."""
    return {*expect.bindings, *expect.cache, *expect.leases}
