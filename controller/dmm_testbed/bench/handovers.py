"""Many moves under traffic, each timed from the radio's link going up."""

from __future__ import annotations

import json
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from dmm_testbed.bench import floors
from dmm_testbed.bench.away import address_of
from dmm_testbed.bench.figures import Floor, Handovers, Traffic, spread
from dmm_testbed.measure.capture import Capture
from dmm_testbed.measure.errors import MeasuringError
from dmm_testbed.measure.steps import Measurement, MoveRecord, StepRecord
from dmm_testbed.measure.traffic import Session
from dmm_testbed.measure.wiring import Wiring
from dmm_testbed.scenario import radio

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dmm_testbed import results
    from dmm_testbed.bench.itinerary import Itinerary, Kind, Leg, Tour
    from dmm_testbed.measure.runner import Runner
    from dmm_testbed.measure.traffic import Mark
    from dmm_testbed.topology import Topology

DRAIN_S = 0.5
"""How long the last packets may take to arrive."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A move as it was made and what came of it."""

    leg: Leg
    link_ms: float
    solicitation_ms: float
    access_round_trip_ms: float
    anchor_round_trip_ms: float
    peer_round_trip_ms: float
    step: results.Step


@dataclass(frozen=True, slots=True)
class _Made:
    """A move that was made and not yet measured."""

    leg: Leg
    record: MoveRecord
    actions: dict[str, float]
    """When the radio did what (seconds since 1970)."""


class Mover:
    """Moves the node of an itinerary about a running lab."""

    def __init__(
        self,
        topology: Topology,
        plan: Itinerary,
        runner: Runner,
        *,
        packets_per_s: float,
        stay_s: float,
        moved: Callable[[], None],
    ) -> None:
        """Prepare.

        Args:
            topology: the one the lab was made by.
            plan: where to go.
            runner: reaches the machines.
            packets_per_s: UDP packets each way.
            stay_s: how long the node stays before the next move.
            moved: called after each move.
        """
        self.topology = topology
        self.plan = plan
        self.runner = runner
        self.packets_per_s = packets_per_s
        self.stay_s = stay_s
        self.moved = moved

    def tour(self, number: int, tour: Tour) -> list[Moved]:
        """Make and measure the moves of one tour; `number` identifies its traffic.

        Raises:
            MeasuringError: traffic, captures or the radio do not work.
            BenchError: a floor cannot be measured.
        """
        source = self._go_to_start(tour)
        session = Session(self.runner, self.plan.mobile_node, self.plan.correspondent, number)
        capture = Capture(self.runner, sorted(self.topology.machines))
        capture.start()
        try:
            session.start(
                self._address(self.plan.correspondent), source, rate_per_s=self.packets_per_s
            )
            time.sleep(self.stay_s)
            made, marks, trips = self._moves(session, tour)
            time.sleep(DRAIN_S)
            journals = session.journals()
            session.stop()
            with tempfile.TemporaryDirectory(prefix="dmm-bench-") as folder:
                sightings = capture.stop(Path(folder)).read()
        finally:
            with suppress(MeasuringError):
                session.stop()
            capture.abandon()
        wiring = Wiring.of_topology(self.topology)
        measured = Measurement(session, journals, sightings, wiring, marks[0].at_s)
        return [
            _measure(measured, one, marks[i], marks[i + 1], trips[one.leg.to])
            for i, one in enumerate(made)
        ]

    def _go_to_start(self, tour: Tour) -> str:
        """Put the node where the tour starts, by way of home; returns its home address."""
        node = self.plan.mobile_node
        pool = self.topology.machines[self.plan.home].network.mobile_pool
        radio.wake(self.runner, node)
        radio.move(self.runner, node, self.plan.home)
        address = radio.address_in(self.runner, node, pool)
        if tour.start != self.plan.home:
            radio.move(self.runner, node, tour.start)
            visited = self.topology.machines[tour.start].network.mobile_pool
            radio.address_in(self.runner, node, visited)
        return address

    def _moves(
        self, session: Session, tour: Tour
    ) -> tuple[list[_Made], list[Mark], dict[str, tuple[float, float, float]]]:
        made: list[_Made] = []
        marks = [session.mark()]
        trips: dict[str, tuple[float, float, float]] = {}
        here = tour.start
        for leg in tour.legs:
            made.append(self._move(leg, here, marks[-1]))
            here = leg.to
            time.sleep(self.stay_s)
            marks.append(session.mark())
            if leg.to not in trips:
                trips[leg.to] = self._round_trips(leg)
                marks[-1] = session.mark()
            self.moved()
        return made, marks, trips

    def _move(self, leg: Leg, here: str, before: Mark) -> _Made:
        node = self.plan.mobile_node
        result = self.runner.run(node, ["dmm-radio", "move", leg.to])
        if result.returncode:
            raise MeasuringError(f"{node}: dmm-radio move {leg.to}: {result.stderr.strip()}")
        actions = {a["action"]: float(a["unix"]) for a in json.loads(result.stdout)["actions"]}
        record = MoveRecord(node, here, leg.to, before, actions["up"])
        return _Made(leg, record, actions)

    def _round_trips(self, leg: Leg) -> tuple[float, float, float]:
        """Node to access router, that to the anchor, anchor to the correspondent's."""
        peer = self.plan.correspondent_anchor
        return (
            floors.round_trip_ms(self.runner, self.plan.mobile_node, floors.ACCESS_ROUTER),
            floors.round_trip_ms(self.runner, leg.to, self._address(leg.anchor)),
            floors.round_trip_ms(self.runner, leg.anchor, self._address(peer)),
        )

    def _address(self, host: str) -> str:
        return address_of(self.topology.machines[host])


def _measure(
    measured: Measurement, one: _Made, start: Mark, end: Mark, trips: tuple[float, float, float]
) -> Moved:
    up_s = one.actions["up"]
    record = StepRecord(one.leg.kind, "", start, end, (one.record,))
    return Moved(
        one.leg,
        (one.actions["forwarding"] - up_s) * 1000,
        (one.actions["solicitation"] - up_s) * 1000,
        *trips,
        measured.step(record),
    )


def summarise(kind: Kind, made: Sequence[Moved], route_replace_ms: float) -> Handovers:
    """Median and maximum over the moves of one kind, against their floors."""
    moves = [one.step.moves[0] for one in made]
    parts = Floor(
        link_ms=median(one.link_ms for one in made),
        solicitation_ms=median(one.solicitation_ms for one in made),
        access_round_trip_ms=median(one.access_round_trip_ms for one in made),
        anchor_round_trip_ms=median(one.anchor_round_trip_ms for one in made),
        route_replace_ms=route_replace_ms,
    )
    path_ms = parts.link_ms + parts.anchor_round_trip_ms + parts.route_replace_ms
    # To be told where the node is takes the correspondent's side one message, whoever sends it.
    told_ms = 0.0 if kind == "within" else median(one.peer_round_trip_ms for one in made) / 2
    return Handovers(
        kind=kind,
        routers=tuple(dict.fromkeys(one.leg.to for one in made)),
        anchor=made[0].leg.anchor,
        moves=len(made),
        floor=parts,
        advertisement_ms=spread(
            (move.advertisement_ms for move in moves),
            parts.solicitation_ms + parts.access_round_trip_ms,
        ),
        forward_ms=spread((move.forward_ms for move in moves), path_ms),
        reverse_ms=spread((move.reverse_ms for move in moves), path_ms),
        direct_ms=spread((move.direct_ms for move in moves), path_ms + told_ms),
        lost_packets=spread(one.step.udp.lost if one.step.udp else None for one in made),
        unsettled=sum(
            not (one.step.path.forward.settled and one.step.path.reverse.settled) for one in made
        ),
    )


def traffic(plan: Itinerary, packets_per_s: float, made: Sequence[Moved]) -> Traffic:
    """What the moves were measured with."""
    pauses = [one.step.udp.longest_pause_ms for one in made if one.step.udp]
    return Traffic(
        mobile_node=plan.mobile_node,
        correspondent=plan.correspondent,
        packets_per_s=packets_per_s,
        longest_pause_ms=max(pauses, default=0.0),
    )
