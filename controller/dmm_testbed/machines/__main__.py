"""Look into the machines of a lab: `python -m dmm_testbed.machines shell gw1`."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from dmm_testbed.machines import MachineError, process, state

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)
Lab = Annotated[str, typer.Option(envvar="LAB", help="Name of the lab.")]
Machine = Annotated[str, typer.Argument(help="Name of the machine.", metavar="MACHINE")]


@app.command("list")
def list_machines(lab: Lab = "dmm") -> None:
    """Names and first processes of the machines that run."""
    for name, pid in state.running(lab).items():
        print(f"{name}\t{pid}")


@app.command()
def shell(machine: Machine, lab: Lab = "dmm") -> None:
    """Open a shell on a machine."""
    _become(lab, machine, ["/bin/bash", "--login"])


@app.command("exec", context_settings={"ignore_unknown_options": True})
def execute(machine: Machine, command: list[str], lab: Lab = "dmm") -> None:
    """Run a command on a machine."""
    _become(lab, machine, command)


@app.command()
def capture(
    machine: Machine,
    interface: Annotated[str, typer.Argument(help="Interface, or any.")] = "any",
    expression: Annotated[list[str] | None, typer.Argument(help="tcpdump's filter.")] = None,
    lab: Lab = "dmm",
) -> None:
    """Print a machine's packets as they pass, until Ctrl-C."""
    _become(lab, machine, ["tcpdump", "-l", "-n", "-i", interface, *(expression or [])])


def _become(lab: str, machine: str, command: list[str]) -> None:
    """Become the command inside the machine; never returns."""
    try:
        line = process.enter(state.pid_of(lab, machine), command, interactive=True)
    except MachineError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    os.execvp(line[0], line)  # noqa: S606


if __name__ == "__main__":
    app()
