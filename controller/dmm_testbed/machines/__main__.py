"""Look into the machines of a lab: `python -m dmm_testbed.machines shell gw1`."""

from __future__ import annotations

import os
import sys
from typing import Annotated, NoReturn

import typer

from dmm_testbed.machines import MachineError
from dmm_testbed.machines.reach import reach

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)
Lab = Annotated[str, typer.Option(envvar="LAB", help="Name of the lab.")]
Machines = Annotated[
    str, typer.Option(envvar="MACHINES", help="What they are: namespace, vagrant or metal.")
]
Machine = Annotated[str, typer.Argument(help="Name of the machine.", metavar="MACHINE")]


@app.command("list")
def list_machines(lab: Lab = "dmm", machines: Machines = "namespace") -> None:
    """Names of the machines that run, and where: first process, or USER@HOST:PORT."""
    try:
        found = reach(machines, lab)
        for name in found.running():
            print(f"{name}\t{found.where(name)}")
    except MachineError as error:
        _fail(error)


@app.command()
def shell(machine: Machine, lab: Lab = "dmm", machines: Machines = "namespace") -> None:
    """Open a shell on a machine."""
    _become(machines, lab, machine, ["/bin/bash", "--login"])


@app.command("exec", context_settings={"ignore_unknown_options": True})
def execute(
    machine: Machine, command: list[str], lab: Lab = "dmm", machines: Machines = "namespace"
) -> None:
    """Run a command on a machine."""
    _become(machines, lab, machine, command)


@app.command()
def capture(
    machine: Machine,
    interface: Annotated[str, typer.Argument(help="Interface, or any.")] = "any",
    expression: Annotated[list[str] | None, typer.Argument(help="tcpdump's filter.")] = None,
    lab: Lab = "dmm",
    machines: Machines = "namespace",
) -> None:
    """Print a machine's packets as they pass, until Ctrl-C."""
    _become(machines, lab, machine, ["tcpdump", "-l", "-n", "-i", interface, *(expression or [])])


def _become(machines: str, lab: str, machine: str, command: list[str]) -> None:
    """Become the command inside the machine; never returns."""
    try:
        line = reach(machines, lab).command(machine, command, interactive=True)
    except MachineError as error:
        _fail(error)
    os.execvp(line[0], line)  # noqa: S606


def _fail(error: MachineError) -> NoReturn:
    print(error, file=sys.stderr)
    raise typer.Exit(1) from None


if __name__ == "__main__":
    app()
