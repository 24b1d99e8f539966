"""From a played scenario and its captures to results.json and signalling.pcap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmm_testbed import results
from dmm_testbed.measure import signalling
from dmm_testbed.measure.continuity import gap_plot
from dmm_testbed.measure.steps import Measurement, StepRecord
from dmm_testbed.measure.wiring import Wiring
from dmm_testbed.scenario.checks import failures_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from dmm_testbed.measure.capture import Collected
    from dmm_testbed.measure.signalling import SentMessage
    from dmm_testbed.measure.traffic import Journals, Session
    from dmm_testbed.scenario.file import Step
    from dmm_testbed.topology import Topology


@dataclass(frozen=True, slots=True)
class Played:
    """One step as it went: what the hosts held before, during and after, and what was amiss."""

    step: Step
    records: Mapping[str | None, StepRecord]
    """By session; under no name where none was measured."""
    before: results.State
    during: results.State
    after: results.State
    failures: list[str]


@dataclass(frozen=True, slots=True)
class Run:
    """A scenario that has been played."""

    topology: Topology
    profile: str
    machines: results.MachineKind
    began: datetime
    played: Sequence[Played]
    sessions: Mapping[str, tuple[Session, Journals]]
    """By the name the scenario gives them."""


def assemble(run: Run, captures: Collected, directory: Path) -> results.Results:
    """Measure every step of a run; writes signalling.pcap into `directory`.

    Raises:
        MeasuringError: the captures cannot be trusted.
        OSError: the capture cannot be written.
    """
    wiring = Wiring.of_topology(run.topology)
    sightings = captures.read()
    began_at_s = run.began.timestamp()
    messages = signalling.sent_messages(sightings, wiring)
    signalling.write_capture(messages, directory / "signalling.pcap")
    measured = {
        name: Measurement(session, journals, sightings, wiring, began_at_s)
        for name, (session, journals) in run.sessions.items()
    }
    steps = []
    for played in run.played:
        for name, noted in played.records.items():
            record = noted.by_our_clock(captures.clock_offset_s)
            sent = signalling.between(messages, record.start.at_s, record.end.at_s)
            step = measured[name].step(record) if name else _unmeasured(run, record, sent)
            done = _complete(step, played, sent)
            steps.append(_named_after(name, done) if name and len(played.records) > 1 else done)
    return results.gather_failures(
        results.Results(
            profile=run.profile,
            topology=run.topology.name,
            machines=run.machines,
            started_at=run.began,
            layout=_layout(run.topology),
            steps=tuple(steps),
            messages=signalling.chart(messages, began_at_s),
            gaps=tuple(
                gap_plot(
                    journals,
                    session.mobile_node,
                    session.correspondent,
                    began_at_s,
                    captures.clock_offset_s,
                )
                for session, journals in run.sessions.values()
            ),
            notes=_notes(captures),
            verdict="pass",
        )
    )


def _named_after(session: str, step: results.Step) -> results.Step:
    """The step as one of several of the same time."""
    return step.model_copy(update={"name": f"{step.name}-{session}", "session": session})


def _unmeasured(run: Run, record: StepRecord, sent: Sequence[SentMessage]) -> results.Step:
    """A step without traffic: state and signalling alone."""
    return results.Step(
        name=record.name,
        title=record.title,
        at_ms=(record.start.at_s - run.began.timestamp()) * 1000,
        duration_ms=(record.end.at_s - record.start.at_s) * 1000,
        mobile_node=record.moves[0].mobile_node if record.moves else "",
        moves=tuple(
            results.Move(
                mobile_node=move.mobile_node,
                from_router=move.from_router,
                to_router=move.to_router,
                at_ms=(move.at_s - run.began.timestamp()) * 1000,
            )
            for move in record.moves
        ),
        signalling=signalling.count(sent),
    )


def _complete(step: results.Step, played: Played, sent: Sequence[SentMessage]) -> results.Step:
    measured = step.model_copy(
        update={
            "state": played.after,
            "state_phases": results.StatePhases(
                before=played.before, during=played.during, after=played.after
            ),
        }
    )
    failures = (*played.failures, *failures_of(measured, played.step.expect, sent))
    return measured.model_copy(update={"failures": failures})


def _layout(topology: Topology) -> results.Layout:
    return results.Layout(
        nodes=tuple(
            results.Node(name=m.name, network=m.network.name, role=m.role.value)
            for m in topology.machines.values()
        ),
        links=tuple(results.Link(ends=link.ends, access=link.radio) for link in topology.links),
    )


def _notes(captures: Collected) -> tuple[str, ...]:
    return tuple(
        f"{host}: the kernel dropped {count} captured packets; paths there may miss some"
        for host, count in captures.dropped.items()
        if count
    )
