"""The short summary of a run in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dmm_testbed.report.words import NOTHING, duration, plural, ratio

if TYPE_CHECKING:
    from dmm_testbed.results import Results, Step


def print_summary(results: Results, console: Console | None = None) -> None:
    """Prints a row a step and the verdict; without colours where the terminal has none."""
    console = console or Console()
    console.print(_table(results))
    for note in results.notes:
        console.print(f"Note: {note}", markup=False, highlight=False, soft_wrap=False)
    for failure in results.failures:
        console.print(f"[red]failed:[/red] {escape(failure)}", highlight=False)
    moves = sum(len(step.moves) for step in results.steps)
    colour = "green" if results.verdict == "pass" else "red"
    console.print(
        f"[bold {colour}]{results.verdict.upper()}[/] "
        f"{plural(len(results.steps), 'step')}, {plural(moves, 'move')}, "
        f"{plural(len(results.failures), 'failure')}",
        highlight=False,
    )


def _table(results: Results) -> Table:
    table = Table(
        title=f"{escape(results.profile)} on {escape(results.topology)}, "
        f"{results.machines} machines",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    table.add_column("step", overflow="ellipsis", no_wrap=True, max_width=16)
    for heading in ("stretch", "TCP", "gap", "UDP lost", "gap", "signalling"):
        table.add_column(heading, justify="right", no_wrap=True)
    for step in results.steps:
        table.add_row(*_row(step))
    return table


def _row(step: Step) -> tuple[str, ...]:
    stretch = " ".join(
        ratio(value) for value in (step.stretch.before, step.stretch.during, step.stretch.after)
    )
    tcp, udp = step.tcp, step.udp
    intact = NOTHING if tcp is None else "intact" if tcp.intact else "[red]DAMAGED[/red]"
    return (
        escape(step.name),
        stretch,
        intact,
        NOTHING if tcp is None else duration(tcp.longest_gap_ms),
        NOTHING if udp is None else f"{udp.lost}/{udp.sent}",
        NOTHING if udp is None else duration(udp.longest_gap_ms),
        f"{step.signalling.messages} / {step.signalling.bytes} B",
    )
