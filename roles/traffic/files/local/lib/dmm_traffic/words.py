"""What dmm-traffic says: exit codes, and reports as lines to read."""

from __future__ import annotations

from typing import Any

SCHEMA = 1
OK, BROKEN, USAGE, CANNOT_START, NOT_RUNNING = 0, 1, 2, 3, 4


def readable(processes: list[Any]) -> str:
    """A line for each stream of each process."""
    return "\n".join(
        f"{process['name']} ({process['role']}) {_line(stream)}"
        for process in processes
        for stream in process["streams"] or [None]
    )


def _line(stream: dict[str, Any] | None) -> str:
    if stream is None:
        return "no streams"
    state = "open" if stream["open"] else stream["error"] or "closed"
    head = f"{stream['kind']} {stream['stream']:08x} {stream['local']} - {stream['peer']} {state}:"
    gap = f"longest gap {stream['longest_gap_ms']:.1f} ms"
    if stream["kind"] == "tcp":
        wrong = stream["corrupt_bytes"]
        verdict = "intact" if not wrong else f"{wrong} WRONG from {stream['first_corrupt_offset']}"
        return f"{head} received {stream['received_bytes']} bytes {verdict}, {gap}"
    return (
        f"{head} sent {stream['sent']} ({stream['refused']} refused), received "
        f"{stream['received']} of {stream['next_expected']}, {stream['duplicated']} duplicated, "
        f"{stream['reordered']} reordered, {gap}"
    )
