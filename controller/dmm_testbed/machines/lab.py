"""A whole lab: built completely or not at all, taken down completely from any state."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyroute2.netlink.exceptions import NetlinkError

from dmm_testbed.machines import image, links, probe, process, state
from dmm_testbed.machines.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from dmm_testbed.machines.spec import LabSpec

    Progress = Callable[[str], None]

_PROBE = "probe"


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to be done for a lab to be as wanted."""

    build: bool
    clean: bool
    reason: str
    warnings: tuple[str, ...] = ()


def plan(lab: str, spec: LabSpec) -> Plan:
    """Compare a lab with what it shall be; touches nothing.

    Raises:
        MachineError: a lab of that name runs something else.
    """
    record, alive = state.recorded(lab), state.running(lab)
    if record is None and not state.directory(lab).exists():
        return Plan(build=True, clean=False, reason=f"lab {lab} is not there yet")
    if record is None:
        return Plan(True, True, f"lab {lab} is what an interrupted run left: building it anew")
    if not alive:
        return Plan(True, True, f"lab {lab} was ended from outside: building it anew")
    if record.digest != spec.digest():
        other = record.spec.topology
        what = (
            f"an earlier state of topology {other}, whose machines or links have changed since"
            if other == spec.topology
            else f"topology {other}"
        )
        raise MachineError(
            f"lab {lab} runs {what}: take it down with `make down LAB={lab}`, or choose another "
            "name with LAB=..."
        )
    if missing := sorted(set(spec.machines) - set(alive)):
        return Plan(True, True, f"lab {lab} has lost {', '.join(missing)}: building it anew")
    return Plan(False, False, f"lab {lab} runs with {len(alive)} machines", record.warnings)


def up(
    lab: str,
    spec: LabSpec,
    agent: Path,
    progress: Progress,
    data_planes: Collection[str] = (),
) -> Plan:
    """Build a lab if it does not run as wanted.

    Args:
        lab: its name.
        spec: what it shall consist of.
        agent: archive with the agent to have in the machine image (see `bundle`).
        progress: gets a line for each thing that takes time.
        data_planes: how its routers tunnel (docs/dataplane.md).

    Returns:
        What was done.

    Raises:
        MachineError: it cannot be built; nothing of it is left.
    """
    probe.check_computer(data_planes)
    with state.locked(lab):
        needed = plan(lab, spec)
        if not needed.build:
            return needed
        packages = image.packages_layer(progress)
        if needed.clean:
            progress(needed.reason)
            _remove(lab)
        try:
            warnings = _build(lab, spec, packages, agent, progress)
        except BaseException:
            _remove(lab)
            raise
        return Plan(True, needed.clean, needed.reason, warnings)


def down(lab: str) -> list[str]:
    """Take a lab down, whatever state it is in.

    Returns:
        The machines that were running; none if there was no lab.

    Raises:
        MachineError: a machine does not end.
    """
    if not state.directory(lab).exists():
        return []
    with state.locked(lab):
        return _remove(lab)


def _build(
    lab: str, spec: LabSpec, packages: Path, agent: Path, progress: Progress
) -> tuple[str, ...]:
    place = state.directory(lab)
    for name in (".layer", ".machine"):
        (place / name).mkdir(parents=True)
    with ExitStack() as stack:
        holder = process.start_layer(place / ".layer", packages, agent)
        stack.callback(holder.abandon)
        layer = holder.ready()
        _try_kernel(lab, layer, place)
        progress(f"lab {lab}: starting {len(spec.machines)} machines")
        held = {name: process.start_machine(lab, name, layer, place) for name in spec.machines}
        for machine in held.values():
            stack.callback(machine.abandon)
        pids = {name: machine.ready() for name, machine in held.items()}
        for name, pid in pids.items():
            state.record_pid(lab, name, pid)
        try:
            warnings = links.connect(spec, pids)
        except NetlinkError as error:
            raise MachineError(f"the kernel refuses a link of lab {lab}: {error}") from error
        state.record(lab, spec, warnings)
        for machine in held.values():
            machine.release()
    if lost := set(spec.machines) - set(state.running(lab)):
        raise MachineError(f"lab {lab}: {', '.join(sorted(lost))} ended right after the start")
    return warnings


def _try_kernel(lab: str, layer: int, place: Path) -> None:
    """Start a machine, try in it what routers need, and end it again."""
    machine = process.start_machine(lab, _PROBE, layer, place)
    try:
        probe.check_features(machine.ready())
    finally:
        machine.abandon()


def _remove(lab: str) -> list[str]:
    ended = list(state.running(lab))
    for name, pid in state.pids(lab).items():
        process.end(pid, lab, name)
    state.forget(lab)
    return ended
