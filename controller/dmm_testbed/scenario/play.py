"""Plays a scenario step by step on running machines, under traffic and with captures everywhere."""

from __future__ import annotations

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from subprocess import TimeoutExpired
from typing import TYPE_CHECKING

from dmm_testbed import results
from dmm_testbed.machines.errors import MachineError
from dmm_testbed.measure.capture import Capture
from dmm_testbed.measure.errors import MeasuringError
from dmm_testbed.measure.steps import MoveRecord, StepRecord
from dmm_testbed.measure.traffic import Mark, Session
from dmm_testbed.scenario import radio
from dmm_testbed.scenario.assemble import Played, Run, assemble
from dmm_testbed.scenario.state import differences, held_by_all, hosts_of
from dmm_testbed.topology.model import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from dmm_testbed.machines.reach import Reach
    from dmm_testbed.measure.traffic import Journals
    from dmm_testbed.results import HostState
    from dmm_testbed.scenario.file import Scenario, Step
    from dmm_testbed.topology import Topology

POLL_S = 0.5
AT_ONCE = 8
TROUBLE = (MachineError, MeasuringError, TimeoutExpired)
"""What a machine that does not do as it should, or is gone, shows up as."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What machines of a kind can keep up with."""

    most_probes_per_s: float
    """UDP packets a second each way, of all sessions that go on at a time."""
    patience: float
    """How much longer than a scenario says things may take."""

    def probes_per_s(self, scenario: Scenario) -> float:
        """What one session of a scenario sends: no more than its share of what machines carry."""
        at_a_time = max(len(step.sessions) for step in scenario.steps)
        return min(scenario.probes_per_s, self.most_probes_per_s / max(1, at_a_time))


USUAL_PACE = Pace(most_probes_per_s=1000.0, patience=1.0)
PACES = {"vagrant": Pace(most_probes_per_s=10.0, patience=4.0)}
"""Emulated machines that forward many more, and capture them, have no time left for what they are
there to show."""


class Player:
    """A scenario in progress. `begin`, `play` each step in order, then `finish`."""

    def __init__(
        self,
        topology: Topology,
        profile: str,
        scenario: Scenario,
        reach: Reach,
        directory: Path,
        say: Callable[[str], None],
        probes_per_s: float | None = None,
    ) -> None:
        """Prepare to play.

        Args:
            topology: the one the machines were made by.
            profile: name of the profile in use, for the results.
            scenario: what to play.
            reach: leads to the machines.
            directory: where captures and results go.
            say: shows one line of progress.
            probes_per_s: UDP packets a second each way; None for as many as the scenario says, and
                such machines carry.
        """
        self.topology = topology
        self.profile = profile
        self.scenario = scenario
        self.runner = reach.runner()
        self.machines = reach.kind
        self.directory = directory
        self.say = say
        pace = PACES.get(reach.kind, USUAL_PACE)
        self._probes_per_s = probes_per_s or pace.probes_per_s(scenario)
        self._patience = pace.patience
        self.played: list[Played] = []
        self._capture = Capture(self.runner, sorted(topology.machines))
        self._first_stream = secrets.randbits(31)
        self._sessions: dict[str, Session] = {}
        self._collected: dict[str, tuple[Session, Journals]] = {}
        nodes = topology.with_role(Role.MOBILE_NODE)
        self._starts = {node.name: node.mobile.attach for node in nodes if node.mobile}
        self._at = dict(self._starts)
        self._began = datetime.now(UTC)
        self._agents = [
            m.name
            for m in topology.machines.values()
            if m.role in (Role.GATEWAY, Role.ACCESS_ROUTER, Role.ANCHOR)
        ]

    # The run

    def begin(self) -> None:
        """Put every mobile node where the topology has it start, and capture everywhere.

        Raises:
            MeasuringError: a node gets no address, or a capture does not start.
        """
        for node, start in self._starts.items():
            self.say(f"{node} starts at {start}")
            self._place(node, start)
            self._home_address(node)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            there = list(pool.map(self._has_agent, self._agents))
        self._agents = [host for host, has in zip(self._agents, there, strict=True) if has]
        self._capture.start()
        self._began = datetime.now(UTC)

    def _has_agent(self, host: str) -> bool:
        return self.runner.run(host, ["test", "-S", "/run/dmm/agent.sock"]).returncode == 0

    def play(self, step: Step) -> Played:
        """Play one step until its state is as expected, or its time is up.

        Raises:
            MeasuringError: traffic or a radio does not work.
        """
        self.say(step.title or step.name)
        sessions = {name: self._session(name) for name in step.sessions}
        # On an emulated machine each look takes seconds: what is known is not asked for again.
        before = self.played[-1].after if self.played else self._held()
        start = self._marks(sessions)
        self._dwell(step)
        moves = [self._move(move.node, move.to, sessions) for move in step.moves]
        failures, during = self._settle(step)
        self._dwell(step)
        after = self._held()
        end = self._marks(sessions)
        records = {
            name: StepRecord(
                step.name, step.title, start[name], end[name], tuple(move[name] for move in moves)
            )
            for name in start
        }
        played = Played(step, records, before, during, after, failures)
        self.played.append(played)
        for name in step.sessions:
            if not self._needed_later(name):
                self._close(name)
        return played

    def finish(self) -> results.Results:
        """End traffic and captures, measure, and write results.json and signalling.pcap.

        Raises:
            MeasuringError: the captures cannot be trusted.
        """
        self.say("measuring")
        for name in self._sessions:
            self._close(name)
        captures = self._capture.stop(self.directory / "captures")
        run = Run(
            self.topology, self.profile, self.machines, self._began, self.played, self._collected
        )
        found = assemble(run, captures, self.directory)
        results.write(found, self.directory / "results.json")
        return found

    def abandon(self) -> None:
        """Leave nothing running and every node where it starts, whatever state the run is in."""
        for session in self._sessions.values():
            with suppress(*TROUBLE):
                session.stop()
        with suppress(*TROUBLE):
            self._capture.abandon()
        for node, start in self._starts.items():
            with suppress(*TROUBLE):
                self._place(node, start)

    def _place(self, node: str, access_router: str) -> None:
        radio.wake(self.runner, node)
        radio.move(self.runner, node, access_router)

    # Pieces of a step

    def _session(self, name: str) -> Session:
        if name not in self._sessions:
            described = self.scenario.sessions[name]
            number = list(self.scenario.sessions).index(name) + 1
            session = Session(
                self.runner,
                described.mobile_node,
                described.correspondent,
                self._first_stream + number,
                f"run-{number}",
            )
            self._sessions[name] = session
            source = self._home_address(described.mobile_node)
            to = self._address(described.correspondent)
            session.start(to, source, rate_per_s=self._probes_per_s)
        return self._sessions[name]

    def _needed_later(self, session: str) -> bool:
        played = len(self.played)
        return any(session in later.sessions for later in self.scenario.steps[played:])

    def _close(self, name: str) -> None:
        if name not in self._collected:
            session = self._sessions[name]
            self._collected[name] = (session, session.journals())
            session.stop()

    def _marks(self, sessions: Mapping[str, Session]) -> dict[str | None, Mark]:
        """Where each session is, and the time; the time alone, under no name, where there is none.

        The time is that of the first, for all of them: signalling is everybody's.
        """
        at_s = time.time()
        if not sessions:
            return {None: Mark(at_s=at_s, now_ns={})}
        return {
            name: session.mark().model_copy(update={"at_s": at_s})
            for name, session in sessions.items()
        }

    def _dwell(self, step: Step) -> None:
        time.sleep(step.dwell_s)

    def _move(
        self, node: str, to: str | None, sessions: Mapping[str, Session]
    ) -> dict[str | None, MoveRecord]:
        """Move a node; gives the record of it for each session."""
        before = self._marks(sessions)
        if to is None:
            at_s = radio.fall_silent(self.runner, node)
        else:
            at_s = radio.move(self.runner, node, to)
        was, self._at[node] = self._at[node], to or self._at[node]
        return {name: MoveRecord(node, was, to, mark, at_s) for name, mark in before.items()}

    def _settle(self, step: Step) -> tuple[list[str], dict[str, HostState]]:
        """Wait for what is expected: what is otherwise, and the state at first."""
        within_s = step.within_s * self._patience
        deadline = time.monotonic() + within_s
        wanted = hosts_of(step.expect)
        first = held = self._held(wanted)
        while (failures := differences(step.expect, held)) and time.monotonic() < deadline:
            time.sleep(POLL_S)
            held = self._held(wanted)
        return [f"{failure} after {within_s:.0f} s" for failure in failures], first

    def _held(self, hosts: Iterable[str] | None = None) -> dict[str, HostState]:
        return held_by_all(self.runner, sorted(self._agents if hosts is None else hosts))

    # Addresses

    def _home_address(self, node: str) -> str:
        pool = self.topology.machines[node].network.mobile_pool
        return radio.address_in(self.runner, node, pool)

    def _address(self, host: str) -> str:
        machine = self.topology.machines[host]
        if machine.role is Role.MOBILE_NODE:
            return self._home_address(host)
        return str(machine.interfaces[0].addresses[0].ip)
