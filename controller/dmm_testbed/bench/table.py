"""The figures as tables in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from dmm_testbed.bench.figures import Figures, Handovers, Provisioning, Rate, Spread

NOTHING = "-"
TITLES = {
    "away": "to a network",
    "home": "back home",
    "within": "inside a network",
}


def print_figures(figures: Figures, console: Console) -> None:
    """Print everything that was measured."""
    if figures.provisioning:
        console.print(_provisioning(figures.provisioning))
    console.print(_handovers(figures))
    console.print(
        f"Milliseconds from the radio's link going up, at {figures.traffic.packets_per_s:.0f} "
        f"packets/s each way: a packet marks a time to {1000 / figures.traffic.packets_per_s:.1f} "
        f"ms. Longest pause of a sender: {figures.traffic.longest_pause_ms:.0f} ms.",
        style="dim",
        highlight=False,
    )
    console.print(_speed(figures))
    computer = figures.computer
    console.print(
        f"{computer.cores} cores, kernel {computer.kernel}, load {computer.load_before:.1f} before "
        f"and {computer.load_after:.1f} after; {figures.duration_s:.0f} s in all",
        style="dim",
        highlight=False,
    )
    if computer.load_before > computer.cores / 2:
        console.print(
            "The computer was busy with something else: measure again at a quiet moment.",
            style="yellow",
        )


def _provisioning(found: Provisioning) -> Table:
    table = _table(f"{found.machines} machines", "measured", "expected")
    table.add_row(
        "make up, from nothing",
        f"{found.from_nothing_s:.1f} s",
        f"≤ {found.from_nothing_target_s:.0f} s",
    )
    changed = f", {found.again_changed} changed" if found.again_changed else ""
    table.add_row(
        "site.yml once more", f"{found.again_s:.1f} s{changed}", f"≤ {found.again_target_s:.0f} s"
    )
    return table


def _handovers(figures: Figures) -> Table:
    table = _table("handovers", "moves", "median", "max", "floor", "ratio", "unseen")
    for found in figures.handovers:
        table.add_section()
        table.add_row(f"{TITLES[found.kind]}: {', '.join(found.routers)}", str(found.moves))
        for name, values in _rows(found):
            table.add_row(f"  {name}", "", *_cells(values))
        if found.unsettled:
            table.add_row(f"  [yellow]path still changing after {found.unsettled}")
    return table


def _rows(found: Handovers) -> Iterator[tuple[str, Spread]]:
    yield "router advertisement", found.advertisement_ms
    yield "first packet to it", found.forward_ms
    yield "first packet from it", found.reverse_ms
    yield "both directions direct", found.direct_ms
    yield "packets lost", found.lost_packets


def _cells(values: Spread) -> list[str]:
    numbers = [_number(v) for v in (values.median, values.maximum, values.floor)]
    ratio = NOTHING if values.ratio is None else f"{values.ratio:.1f}"
    return [*numbers, ratio, str(values.missed) if values.missed else ""]


def _number(value: float | None) -> str:
    if value is None:
        return NOTHING
    return f"{value:.2f}" if value < 10 and value != int(value) else f"{value:.0f}"


def _speed(figures: Figures) -> Table:
    table = _table("one core", "a second")

    def row(name: str, rate: Rate) -> None:
        table.add_row(name, f"{rate.per_s:,.0f}")

    row("events handled in the simulator", figures.speed.simulator_events)
    row("mobility messages encoded", figures.speed.encode)
    row("mobility messages decoded", figures.speed.decode)
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    table.add_column(first, no_wrap=True)
    for heading in others:
        table.add_column(heading, justify="right", no_wrap=True)
    return table
