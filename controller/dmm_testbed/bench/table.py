"""The figures as tables in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from dmm_testbed.bench.figures import (
        Figures,
        Handovers,
        Lookup,
        Lookups,
        Provisioning,
        Rate,
        Spread,
        Steering,
    )

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
    if figures.first_packets:
        console.print(_first_packets(figures))
    for steering in figures.steering:
        console.print(_steering(steering))
    console.print(_speed(figures))
    console.print(_lookups(figures.lookups))
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


def _first_packets(figures: Figures) -> Table:
    table = _table("first packet to a node away", "median", "max", "later", "ratio", "unseen")
    for found in figures.first_packets:
        table.add_row(f"  round trip, ms: {found.profile}", *_cells(found.first_ms))
    return table


def _steering(found: Steering) -> Table:
    table = _table(
        f"{found.prefixes:,} steered prefixes,\n{found.profile}",
        "a second",
        "against",
        "ratio",
        "expected",
    )

    def row(name: str, one: float, other: float, ratio: float, expected: str = "") -> None:
        table.add_row(name, f"{one:,.0f}", f"{other:,.0f}", f"{ratio:.2f}", expected)

    installs = found.installs_batched.per_s, found.installs_single.per_s
    row("routes installed at once, against singly", *installs, found.batching_ratio)
    tcp, udp = found.tcp_octets, found.udp_datagrams
    mega = tcp.steered_per_s / 1e6, tcp.plain_per_s / 1e6
    target = f"≥ {found.tcp_target:.1f}"
    row("TCP, megabytes, against plain routing", *mega, tcp.ratio, target)
    row("UDP, datagrams of 64 octets", udp.steered_per_s, udp.plain_per_s, udp.ratio)
    return table


def _lookups(found: Lookups) -> Table:
    table = _table("locations looked up, one core", "a second", "messages alone", "ratio")

    def row(name: str, one: Lookup) -> None:
        table.add_row(name, f"{one.rate.per_s:,.0f}", f"{one.floor.per_s:,.0f}", f"{one.ratio:.2f}")

    row("queries answered by an LM", found.lm)
    row("the same, each on the disk first", found.lm_kept)
    row("the same, sixteen in one commit", found.lm_kept_together)
    row("destinations resolved by an MR", found.mr)
    table.add_row("packets to known destinations, at an MR", f"{found.mr_cached.per_s:,.0f}")
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    table.add_column(first, no_wrap=True)
    for heading in others:
        table.add_column(heading, justify="right", no_wrap=True)
    return table
