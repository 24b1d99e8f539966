"""The command `dmm-testbed`: plays scenarios and shows what they measured."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Play mobility scenarios on a running lab and report what happened.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

EXIT_FAILED, EXIT_MISTAKE, EXIT_TROUBLE = 1, 2, 3

Topology = Annotated[Path, typer.Option("--topology", "-t", help="Topology file.")]
Profile = Annotated[str, typer.Option("--profile", "-p", help="Name of the profile in use.")]
Lab = Annotated[str, typer.Option("--lab", "-l", envvar="LAB", help="Name of the lab.")]
Machines = Annotated[
    str, typer.Option(envvar="MACHINES", help="What it is made of: namespace, vagrant or metal.")
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for results and captures.")]


@app.callback()
def main() -> None:
    """Play mobility scenarios on a running lab and report what happened."""


@app.command()
def scenario(
    topology: Topology = Path("inventory/three-networks.yml"),
    profile: Profile = "gateway-query",
    file: Annotated[
        Path | None,
        typer.Option("--scenario", "-s", help="Scenario file; default: the topology's own."),
    ] = None,
    lab: Lab = "dmm",
    machines: Machines = "namespace",
    out: Out = Path("build/report"),
    probes: Annotated[
        float | None,
        typer.Option(
            "--probes-per-s",
            min=1,
            max=1000,
            help="UDP packets a second; default: what the scenario says, on VMs at most 25.",
        ),
    ] = None,
) -> None:
    """Play a scenario on the running lab, print a table, write results.json and index.html."""
    from subprocess import TimeoutExpired

    from dmm_testbed.machines.errors import MachineError
    from dmm_testbed.machines.reach import reach
    from dmm_testbed.measure.errors import MeasuringError
    from dmm_testbed.scenario.run import run
    from dmm_testbed.topology import InputError

    path = file or topology.parent / "scenarios" / topology.name
    try:
        found = run(topology, profile, path, reach(machines, lab), out, probes)
    except InputError as error:
        _fail(str(error), EXIT_MISTAKE)
    except (MachineError, MeasuringError, OSError, TimeoutExpired) as error:
        _fail(str(error), EXIT_TROUBLE)
    except KeyboardInterrupt:
        _fail("interrupted: traffic and captures are stopped; the lab still runs", 130)
    raise typer.Exit(EXIT_FAILED if found.failures else 0)


def _fail(reason: str, code: int) -> None:
    print(f"dmm-testbed: {reason}", file=sys.stderr)
    raise typer.Exit(code)
