"""Virtual machines for Vagrant: `python -m dmm_testbed.vagrant plan --topology FILE`."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from dmm_testbed.machines.errors import MachineError
from dmm_testbed.machines.state import secret_file
from dmm_testbed.topology import InputError, load_topology
from dmm_testbed.vagrant import box as boxes
from dmm_testbed.vagrant import computer
from dmm_testbed.vagrant.plan import MEMORY_MIB, plan

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)

EXIT_REFUSED = 2


@app.command("plan")
def show_plan(
    topology: Annotated[Path, typer.Option(help="Topology file.")],
    lab: Annotated[str, typer.Option(envvar="LAB", help="Name of the lab.")] = "dmm",
    memory_mib: Annotated[
        int, typer.Option(envvar="DMM_MEMORY_MIB", min=192, help="Memory of each machine.")
    ] = MEMORY_MIB,
) -> None:
    """Print as JSON what Vagrant has to make of a topology."""
    try:
        found = plan(load_topology(topology), lab, memory_mib)
    except InputError as error:
        _refuse(str(error))
    own = boxes.machine_box()
    box = {"name": own.name, "file": str(own.file), "built": own.file.is_file()}
    print(json.dumps({**asdict(found), "box": box, "secret": str(secret_file(lab))}))


@app.command()
def check(
    topology: Annotated[Path, typer.Option(help="Topology file.")],
    lab: Annotated[str, typer.Option(envvar="LAB", help="Name of the lab.")] = "dmm",
    place: Annotated[Path, typer.Option(help="Where the disks will be.")] = Path("/var/lib"),
    memory_mib: Annotated[
        int, typer.Option(envvar="DMM_MEMORY_MIB", min=192, help="Memory of each machine.")
    ] = MEMORY_MIB,
    hardware: Annotated[bool, typer.Option(help="The provider runs guests on hardware.")] = False,
) -> None:
    """Say what a lab takes, and refuse it where this computer is too small.

    Prints JSON: `emulated`, and sentences for the user in `say`.
    """
    try:
        wanted = plan(load_topology(topology), lab, memory_mib)
    except InputError as error:
        _refuse(str(error))
    found = computer.hardware(libvirt=not hardware)
    needed, short = computer.demands(wanted, place, emulated=not found.usable)
    if short:
        _refuse("\n".join(short))
    say = [needed.sentence(), *([] if found.usable else [f"because {found.reason}"])]
    print(json.dumps({"emulated": not found.usable, "say": ", ".join(say)}))


@app.command()
def box(
    plain: Annotated[bool, typer.Option("--plain", help="A bare Debian instead.")] = False,
) -> None:
    """Build the box, unless it is there."""
    os.umask(0o022)
    wanted = boxes.plain_box() if plain else boxes.machine_box()
    try:
        file = boxes.build(wanted, lambda words: print(f"box: {words}", flush=True))
    except (MachineError, OSError) as error:
        _refuse(str(error))
    print(file)


def _refuse(words: str) -> NoReturn:
    print(words, file=sys.stderr)
    raise typer.Exit(EXIT_REFUSED)


if __name__ == "__main__":
    app()
