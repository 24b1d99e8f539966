"""What the first packet to a node costs whose sender's MR knows nothing of it (draft, 7: RS2)."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING

from dmm_testbed.bench.figures import BenchError, FirstPacket, spread
from dmm_testbed.bench.floors import round_trip_ms

if TYPE_CHECKING:
    from dmm_testbed.bench.away import Ways
    from dmm_testbed.measure.runner import Runner
    from dmm_testbed.topology.profile import Profile

ROUNDS = 10
KNOWN_WITHIN_S = 10.0
_TIME = re.compile(r"time=([0-9.]+) ms")
_ANEW = (
    ["service", "dmm-agent", "stop"],
    ["/opt/dmm-agent/bin/dmm-agent", "--flush"],
    ["service", "dmm-agent", "start"],
)
"""Makes a router know nothing."""


def can_be_measured(profile: Profile) -> bool:
    """Whether a correspondent's packets make the MR of its network ask for their destination."""
    options = profile.options_of("mr")
    asks = bool(options.get("resolution", "query") == "query")
    return asks and options.get("interception", "gateway") != "access"


def measure(runner: Runner, ways: Ways, profile: str) -> FirstPacket:
    """Ping a node that is away, each time with an MR that has just started.

    Raises:
        BenchError: no answer comes, or the MR never learns where the node is.
    """
    first = [_first_ms(runner, ways.sender, ways.ingress, ways.steered) for _ in range(ROUNDS)]
    later_ms = round_trip_ms(runner, ways.sender, ways.steered)
    return FirstPacket(profile=profile, first_ms=spread(first, later_ms))


def _first_ms(runner: Runner, sender: str, mr: str, address: str) -> float:
    for command in _ANEW:
        done = runner.run(mr, command)
        if done.returncode:
            raise BenchError(f"{mr}: {' '.join(command)}: {done.stderr.strip()}")
    said = _ping(runner, sender, address)
    if said is None:
        raise BenchError(f"{sender} gets no answer from {address}: does `make verify` pass?")
    deadline = time.monotonic() + KNOWN_WITHIN_S
    while not _steers(runner, mr):
        if time.monotonic() > deadline:
            raise BenchError(f"{mr} did not learn where {address} is: see `dmmctl events` there")
        _ping(runner, sender, address)
    return said


def _ping(runner: Runner, sender: str, address: str) -> float | None:
    said = runner.run(sender, ["ping", "-n", "-c", "1", "-W", "5", address]).stdout
    found = _TIME.search(said)
    return float(found[1]) if found else None


def _steers(runner: Runner, mr: str) -> bool:
    done = runner.run(mr, ["dmmctl", "status", "--json"])
    return done.returncode == 0 and json.loads(done.stdout)["steering"] > 0
