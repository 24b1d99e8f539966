"""The short summary of a run in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dmm_testbed.report.words import NOTHING, clean, duration, plural, ratio

if TYPE_CHECKING:
    from dmm_testbed.results import Results, Step, Tcp

MAX_FAILURES = 10
"""Failures printed; the page has all of them."""
_MAX_STEP_NAME = 16


def print_summary(results: Results, console: Console | None = None) -> None:
    """Prints a row for each step, what failed, and the verdict.

    Colour only where the terminal has it: nothing is said by colour alone.
    """
    console = console or Console()
    console.print(Text(clean(f"{results.profile} on {results.topology}"), style="bold"))
    console.print(_table(results))
    console.print("stretch before, during and after the move; gap is the longest silence",
                  style="dim", highlight=False)  # fmt: skip
    for note in results.notes:
        console.print(Text(clean(f"note: {note}")))
    for failure in results.failures[:MAX_FAILURES]:
        console.print(Text("failed: ", style="red").append(clean(failure), style="default"))
    if len(results.failures) > MAX_FAILURES:
        console.print(f"and {len(results.failures) - MAX_FAILURES} more", highlight=False)
    console.print(_verdict(results))


def _table(results: Results) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    table.add_column("step", overflow="ellipsis", no_wrap=True, max_width=_MAX_STEP_NAME)
    for heading in ("stretch", "TCP", "gap", "UDP lost", "gap", "signalling"):
        table.add_column(heading, justify="right", no_wrap=True)
    for step in results.steps:
        table.add_row(*_cells(step))
    return table


def _cells(step: Step) -> list[Text | str]:
    stretch, tcp, udp = step.stretch, step.tcp, step.udp
    ratios = (stretch.before, stretch.during, stretch.after)
    return [
        Text(clean(step.name), style="red" if step.failures else ""),
        " ".join(ratio(value).rjust(4) for value in ratios),
        _session(tcp) if tcp else NOTHING,
        duration(tcp.longest_gap_ms) if tcp else NOTHING,
        f"{udp.lost}/{udp.sent}" if udp else NOTHING,
        duration(udp.longest_gap_ms) if udp else NOTHING,
        f"{step.signalling.messages} / {step.signalling.bytes} B",
    ]


def _session(tcp: Tcp) -> Text:
    if not tcp.intact:
        return Text("DAMAGED", "red")
    return Text("intact", "green") if tcp.survived else Text("closed")


def _verdict(results: Results) -> Text:
    moves = sum(len(step.moves) for step in results.played)
    style = "bold green" if results.verdict == "pass" else "bold red"
    counts = (
        plural(len(results.played), "step"),
        plural(moves, "move"),
        plural(len(results.failures), "failure"),
    )
    return Text(results.verdict.upper(), style=style).append(f" {', '.join(counts)}", "default")
