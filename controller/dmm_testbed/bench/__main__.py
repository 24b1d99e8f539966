"""`python -m dmm_testbed.bench`: measures on a lab of its own and writes bench.json."""

from __future__ import annotations

import os
import platform
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from dmm_testbed.bench import (
    first_packets,
    floors,
    handovers,
    lookups,
    provisioning,
    speed,
    steering,
)
from dmm_testbed.bench.away import leave_home
from dmm_testbed.bench.figures import BenchError, Computer, Figures
from dmm_testbed.bench.itinerary import itinerary
from dmm_testbed.bench.table import print_figures
from dmm_testbed.machines import MachineError
from dmm_testbed.machines.runner import NamespaceRunner
from dmm_testbed.measure.errors import MeasuringError
from dmm_testbed.topology import InputError, load_topology
from dmm_testbed.topology.profile import load_profile

if TYPE_CHECKING:
    from collections.abc import Callable

    from dmm_testbed.bench.away import Ways
    from dmm_testbed.bench.figures import FirstPacket, Handovers, Steering
    from dmm_testbed.bench.handovers import Moved
    from dmm_testbed.bench.itinerary import Itinerary, Kind
    from dmm_testbed.topology import Topology

Measured = TypeVar("Measured")

EXIT_TROUBLE, EXIT_INTERRUPTED = 3, 130
LONGEST_LAB_NAME = 16
SUFFIX = "-bench"
KINDS: tuple[Kind, ...] = ("away", "home", "within")
HOLDING, REWRITING = "gateway-query-hold", "gateway-query-rewrite"


def bench(
    topology: Annotated[Path, typer.Option("--topology", "-t", help="Topology file.")] = Path(
        "inventory/three-networks.yml"
    ),
    profile: Annotated[str, typer.Option("--profile", "-p", help="Name of the profile.")] = (
        "gateway-query"
    ),
    lab: Annotated[
        str, typer.Option("--lab", "-l", envvar="LAB", help="Name to make the lab's name from.")
    ] = "dmm",
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the figures go.")] = Path(
        "build/bench.json"
    ),
    moves: Annotated[int, typer.Option(min=1, max=100, help="Moves of each kind.")] = 20,
    rate: Annotated[float, typer.Option(min=50, max=1000, help="Packets a second each way.")] = 500,
    stay: Annotated[float, typer.Option(min=0.5, max=10, help="Seconds between moves.")] = 1.5,
    running: Annotated[
        bool, typer.Option("--running", help="Measure moves on the lab LAB, which runs already.")
    ] = False,
) -> None:
    """Measure how long making a lab takes, and how long its handovers take; needs root.

    The lab is one of its own, called LAB-bench, and is taken away at the end.
    """
    console = Console()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        one = _Run(load_topology(topology), topology, profile, out.parent, console)
        name = lab if running else lab[: LONGEST_LAB_NAME - len(SUFFIX)] + SUFFIX
        figures = one.measure(name, running=running, moves=moves, rate=rate, stay=stay)
        out.write_text(figures.model_dump_json(by_alias=True, indent=1) + "\n", encoding="utf-8")
    except (BenchError, InputError, MachineError, MeasuringError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        raise typer.Exit(EXIT_TROUBLE) from None
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    print_figures(figures, console)
    console.print(f"figures: {out}", highlight=False)


class _Run:
    """One run of the benchmark, with its progress display."""

    def __init__(
        self,
        topology: Topology,
        topology_file: Path,
        profile: str,
        directory: Path,
        console: Console,
    ) -> None:
        self.topology = topology
        self.topology_file = topology_file
        self.profile = profile
        self.directory = directory
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
        )

    def measure(self, name: str, *, running: bool, moves: int, rate: float, stay: float) -> Figures:
        began, began_s = datetime.now(UTC), time.monotonic()
        load_before = os.getloadavg()[0]
        profile = load_profile(Path("inventory/profiles") / f"{self.profile}.yml")
        plan = itinerary(self.topology, profile, moves)
        lab = provisioning.Lab(name, self.topology_file, self.profile, Path("build/bench"))
        steered: list[Steering] = []
        first: list[FirstPacket] = []
        with self.progress:
            try:
                made = None
                if not running:
                    self._say("making the lab")
                    made = provisioning.measure(lab, len(self.topology.machines), self._say)
                travelled = self._travel(name, plan, rate, stay)
                found = self._summarise(name, plan, travelled)
                traffic = handovers.traffic(plan, rate, travelled)
                if not running and first_packets.can_be_measured(profile):
                    ways = leave_home(NamespaceRunner(name), self.topology, plan)
                    first.append(self._first_packets(name, ways, self.profile))
                    steered.append(self._steering(name, ways, self.profile))
            finally:
                if not running:
                    self._say("taking the lab away")
                    lab.play("destroy")
            if first and self.profile != HOLDING:
                first.append(self._on_another(lab, plan, HOLDING, self._first_packets))
            if steered and self.profile != REWRITING:
                steered.append(self._on_another(lab, plan, REWRITING, self._steering))
            self._say("simulator, wire format and lookups")
            fast, looked_up = speed.measure(), lookups.measure(self.directory)
        return Figures(
            topology=self.topology.name,
            profile=self.profile,
            started_at=began,
            duration_s=time.monotonic() - began_s,
            computer=Computer(
                cores=os.cpu_count() or 0,
                kernel=platform.release(),
                load_before=load_before,
                load_after=os.getloadavg()[0],
            ),
            provisioning=made,
            traffic=traffic,
            handovers=found,
            speed=fast,
            lookups=looked_up,
            steering=tuple(steered),
            first_packets=tuple(first),
        )

    def _travel(self, name: str, plan: Itinerary, rate: float, stay: float) -> list[Moved]:
        made = []
        for number, tour in enumerate(plan.tours, start=1):
            task = self.progress.add_task(f"moves {tour.title}", total=len(tour.legs))
            mover = handovers.Mover(
                self.topology,
                plan,
                NamespaceRunner(name),
                packets_per_s=rate,
                stay_s=stay,
                moved=partial(self.progress.advance, task),
            )
            made += mover.tour(number, tour)
        return made

    def _summarise(self, name: str, plan: Itinerary, made: list[Moved]) -> tuple[Handovers, ...]:
        anchor = plan.tours[0].legs[0].anchor
        route_ms = floors.route_replace_ms(NamespaceRunner(name), anchor)
        return tuple(
            handovers.summarise(kind, [one for one in made if one.leg.kind == kind], route_ms)
            for kind in KINDS
            if any(one.leg.kind == kind for one in made)
        )

    def _first_packets(self, name: str, ways: Ways, profile: str) -> FirstPacket:
        self._say(f"first packets, {profile}")
        return first_packets.measure(NamespaceRunner(name), ways, profile)

    def _steering(self, name: str, ways: Ways, profile: str) -> Steering:
        return steering.measure(NamespaceRunner(name), ways, profile, self._say)

    def _on_another(
        self,
        lab: provisioning.Lab,
        plan: Itinerary,
        profile: str,
        measure: Callable[[str, Ways, str], Measured],
    ) -> Measured:
        """The same on a lab made with another profile."""
        other = replace(lab, profile=profile)
        self._say(f"making the lab, {profile}")
        try:
            other.play("site")
            ways = leave_home(NamespaceRunner(lab.name), self.topology, plan)
            return measure(lab.name, ways, profile)
        finally:
            self._say("taking the lab away")
            other.play("destroy")

    def _say(self, line: str) -> None:
        self.progress.console.print(line, highlight=False)


if __name__ == "__main__":
    typer.run(bench)
