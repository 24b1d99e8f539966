"""The scenario file: sessions, and steps with moves and expectations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from dmm_testbed.topology.model import Role
from dmm_testbed.topology.sentences import InputError, did_you_mean, listed
from dmm_testbed.topology.yamlfile import StrictModel, read_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dmm_testbed.topology import Topology

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
Entries = dict[str, Annotated[int, Field(ge=0)]]


class Session(StrictModel):
    """Traffic between a mobile node and a correspondent, which may be mobile itself."""

    mobile_node: str
    correspondent: str


class Move(StrictModel):
    """A mobile node goes to an access router, or falls silent."""

    node: str
    to: str | None = None
    silent: bool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> Move:
        if (self.to is None) != self.silent:
            raise ValueError("expected either `to: ACCESS_ROUTER` or `silent: true`")
        return self


class Expectation(StrictModel):
    """What holds when a step has settled."""

    bindings: Entries = Field(default_factory=dict)
    """Entries of the location database, by host."""
    cache: Entries = Field(default_factory=dict)
    """Cached locations that steer packets, by host."""
    leases: Entries = Field(default_factory=dict)
    silent: tuple[str, ...] = ()
    """Hosts that send and receive no signalling in this step."""
    triangle_by: str | None = None
    """A host that the first packets after the move pass in a tunnel."""
    triangle_ways: tuple[Literal["forward", "reverse"], ...] = ("forward", "reverse")
    direct: bool = True
    """Whether packets take the direct route in the end, both ways."""


class Step(StrictModel):
    """One step of the scenario."""

    name: Name
    title: str = ""
    session: str | tuple[str, ...] = ()
    """The session to measure, or several at a time; each starts with its first step and goes on
    until its last."""
    moves: tuple[Move, ...] = ()
    expect: Expectation = Expectation()
    within_s: Annotated[float, Field(gt=0, le=600)] = 20.0
    """How long the step may take to settle."""
    dwell_s: Annotated[float, Field(ge=0.5, le=60)] = 2.0
    """How long traffic goes on before the move and after all has settled."""

    @property
    def sessions(self) -> tuple[str, ...]:
        """The sessions to measure."""
        return (self.session,) if isinstance(self.session, str) else self.session


class Scenario(StrictModel):
    """A scenario."""

    version: Literal[1] = Field(alias="schema")
    name: Name
    topology: str
    sessions: dict[Name, Session] = Field(default_factory=dict)
    probes_per_s: Annotated[float, Field(ge=1, le=1000)] = 200.0
    """UDP packets a second each way in each session, on machines that can keep up."""
    steps: tuple[Step, ...] = Field(min_length=1)


def load_scenario(path: Path, topology: Topology) -> Scenario:
    """Read a scenario file and check it against the topology.

    Raises:
        InputError: something in it is wrong; one sentence for each mistake.
    """
    scenario = read_model(path, Scenario, lambda location, _: ".".join(map(str, location)))
    mistakes = [f"{path}: {mistake}" for mistake in _mistakes(scenario, topology)]
    if mistakes:
        raise InputError(mistakes)
    return scenario


def _mistakes(scenario: Scenario, topology: Topology) -> Iterator[str]:
    if scenario.topology != topology.name:
        yield f"topology: expected {topology.name}, the one in use, got {scenario.topology}"
        return
    for name, session in scenario.sessions.items():
        for field, host in (
            ("mobile_node", session.mobile_node),
            ("correspondent", session.correspondent),
        ):
            yield from _unknown_host(f"sessions.{name}.{field}", host, topology)
    names = [step.name for step in scenario.steps]
    for number, step in enumerate(scenario.steps):
        where = f"steps.{step.name}"
        if step.name in names[:number]:
            yield f"{where}: expected each step name once"
        yield from _wrong_step(where, step, scenario, topology)


def _wrong_step(where: str, step: Step, scenario: Scenario, topology: Topology) -> Iterator[str]:
    for name in step.sessions:
        if name not in scenario.sessions:
            known = listed(scenario.sessions)
            yield f"{where}.session: expected one of {known}, got {name}"
    for move in step.moves:
        yield from _wrong_move(f"{where}.moves", move, topology)
    expect = step.expect
    for host in (*expect.bindings, *expect.cache, *expect.leases, *expect.silent):
        yield from _unknown_host(f"{where}.expect", host, topology)
    if expect.triangle_by is not None:
        yield from _unknown_host(f"{where}.expect.triangle_by", expect.triangle_by, topology)


def _unknown_host(where: str, host: str, topology: Topology) -> Iterator[str]:
    if host not in topology.machines:
        hint = did_you_mean(host, topology.machines)
        yield f"{where}: {host} is not a host of topology {topology.name}{hint}"


def _wrong_move(where: str, move: Move, topology: Topology) -> Iterator[str]:
    machine = topology.machines.get(move.node)
    if machine is None or machine.role is not Role.MOBILE_NODE or machine.mobile is None:
        nodes = listed(m.name for m in topology.with_role(Role.MOBILE_NODE))
        yield f"{where}.node: expected a mobile node ({nodes}), got {move.node}"
    elif move.to is not None and move.to not in machine.mobile.hears:
        heard = listed(machine.mobile.hears)
        yield f"{where}.to: expected an access router {move.node} hears ({heard}), got {move.to}"
