"""Everything measured in one step of the scenario, as results.json holds it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from dmm_testbed import results
from dmm_testbed.measure import signalling
from dmm_testbed.measure.continuity import tcp_between, udp_between
from dmm_testbed.measure.path import trace
from dmm_testbed.measure.summary import PathSummary, larger, summarise

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dmm_testbed.measure.packets import Sightings
    from dmm_testbed.measure.path import Trace
    from dmm_testbed.measure.signalling import SentMessage
    from dmm_testbed.measure.traffic import Journals, Mark, Session
    from dmm_testbed.measure.wiring import Wiring

_ROUTER_ADVERTISEMENT = 134


@dataclass(frozen=True, slots=True)
class MoveRecord:
    """A move as it was made."""

    mobile_node: str
    from_router: str | None
    to_router: str | None
    """None when the node vanishes."""
    before: Mark
    """Taken just before."""
    at_s: float
    """When the radio was switched: by the node's clock as it was noted, by the controller's once
    `by_our_clock` has dealt with it."""


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A step as it was played: when it began and ended, and the moves in between."""

    name: str
    title: str
    start: Mark
    end: Mark
    moves: tuple[MoveRecord, ...] = ()

    def by_our_clock(self, clock_offset_s: Mapping[str, float]) -> StepRecord:
        """The same step with the times of its moves by the controller's clock.

        Args:
            clock_offset_s: how far each machine's clock is ahead, as captures were corrected by.
        """
        moves = (replace(m, at_s=m.at_s - clock_offset_s[m.mobile_node]) for m in self.moves)
        return replace(self, moves=tuple(moves))


class Measurement:
    """One session's traffic over a run, ready to be cut into steps."""

    def __init__(
        self,
        session: Session,
        journals: Journals,
        sightings: Sightings,
        wiring: Wiring,
        started_at_s: float,
    ) -> None:
        """Follow every probe of the session.

        Raises:
            MeasuringError: the captures cannot be trusted.
        """
        self.session = session
        self.journals = journals
        self.started_at_s = started_at_s
        self.messages = signalling.sent_messages(sightings, wiring)
        self._sightings = sightings
        self._forward = trace(sightings, wiring, session.forward)
        self._reverse = trace(sightings, wiring, session.reverse)

    def step(self, record: StepRecord) -> results.Step:
        """Measure one step; state and failures are left to whoever plays the scenario.

        Raises:
            MeasuringError: the traffic tool's journals do not cover the step.
        """
        forward_traces = _within(self._forward, record, "forward")
        reverse_traces = _within(self._reverse, record, "reverse")
        forward = self._summary(forward_traces, record, "forward")
        reverse = self._summary(reverse_traces, record, "reverse")
        return results.Step(
            name=record.name,
            title=record.title,
            at_ms=self._ms(record.start.at_s),
            duration_ms=(record.end.at_s - record.start.at_s) * 1000,
            mobile_node=self.session.mobile_node,
            correspondent=self.session.correspondent,
            moves=tuple(
                self._move(move, (forward, reverse), (*forward_traces, *reverse_traces))
                for move in record.moves
            ),
            path=results.Paths(forward=forward.path, reverse=reverse.path),
            stretch=larger(forward.stretch, reverse.stretch),
            tcp=tcp_between(self.journals, record.start, record.end),
            udp=udp_between(self.journals, record.start, record.end),
            signalling=signalling.count(self.messages_between(record.start, record.end)),
        )

    def messages_between(self, start: Mark, end: Mark) -> list[SentMessage]:
        """The messages sent between two marks."""
        return signalling.between(self.messages, start.at_s, end.at_s)

    def _summary(
        self, traces: Sequence[Trace], record: StepRecord, way: Literal["forward", "reverse"]
    ) -> PathSummary:
        moved = record.moves[0].before.udp[way].sent if record.moves else None
        return summarise(traces, moved, self.started_at_s)

    def _move(
        self,
        move: MoveRecord,
        summaries: tuple[PathSummary, PathSummary],
        traces: Sequence[Trace],
    ) -> results.Move:
        direct = [summary.direct_at_s for summary in summaries]
        arrivals = [
            (found.walk.hosts, found.arrived_at_s)
            for found in traces
            if found.arrived_at_s is not None and found.arrived_at_s >= move.at_s
        ]
        ends = (move.to_router, move.mobile_node)
        to_node = [at_s for hosts, at_s in arrivals if hosts[-2:] == ends]
        from_node = [at_s for hosts, at_s in arrivals if hosts[1::-1] == ends]

        def after_ms(at_s: float | None) -> float | None:
            return None if at_s is None else (at_s - move.at_s) * 1000

        known = [at_s for at_s in direct if at_s is not None]
        return results.Move(
            mobile_node=move.mobile_node,
            from_router=move.from_router,
            to_router=move.to_router,
            at_ms=self._ms(move.at_s),
            advertisement_ms=after_ms(self._advertised_at_s(move)),
            forward_ms=after_ms(min(to_node, default=None)),
            reverse_ms=after_ms(min(from_node, default=None)),
            direct_ms=after_ms(max(known)) if len(known) == len(direct) else None,
        )

    def _advertised_at_s(self, move: MoveRecord) -> float | None:
        """When the first router advertisement after the move came in at the mobile node."""
        return next(
            (
                signal.time_s
                for signal in self._sightings.signals
                if signal.icmp_type == _ROUTER_ADVERTISEMENT
                and not signal.outgoing
                and (signal.interface, signal.machine) == (move.to_router, move.mobile_node)
                and signal.time_s >= move.at_s
            ),
            None,
        )

    def _ms(self, at_s: float) -> float:
        return (at_s - self.started_at_s) * 1000


def _within(
    traces: Sequence[Trace], record: StepRecord, way: Literal["forward", "reverse"]
) -> list[Trace]:
    """The probes whose numbers were given out in the step."""
    first, end = record.start.udp[way].sent, record.end.udp[way].sent
    return [found for found in traces if first <= found.sequence < end]
