"""Moving mobile nodes: their own tool `dmm-radio`, and a way to fall silent."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from dmm_testbed.measure.errors import MeasuringError

if TYPE_CHECKING:
    from ipaddress import IPv6Network

    from dmm_testbed.measure.runner import Runner

BRIDGE = "radio0"
POLL_S = 0.1


def move(runner: Runner, node: str, to: str) -> float:
    """Attach a node at an access router; return when its new link went up (seconds since 1970).

    Raises:
        MeasuringError: the radio does not obey; its words are in the text.
    """
    result = runner.run(node, ["dmm-radio", "move", to])
    if result.returncode:
        raise MeasuringError(f"{node}: dmm-radio move {to}: {result.stderr.strip()}")
    actions = json.loads(result.stdout)["actions"]
    switched = [action["unix"] for action in actions if action["action"] == "up"]
    return float(switched[0]) if switched else time.time()


def fall_silent(runner: Runner, node: str) -> float:
    """Let a node vanish without a word: its link keeps its carrier, but nothing answers on it."""
    at_s = time.time()
    _link(runner, node, "down")
    return at_s


def wake(runner: Runner, node: str) -> None:
    """Let a node that fell silent, or never did, answer again."""
    _link(runner, node, "up")


def _link(runner: Runner, node: str, state: str) -> None:
    result = runner.run(node, ["ip", "link", "set", "dev", BRIDGE, state])
    if result.returncode:
        raise MeasuringError(f"{node}: {BRIDGE} {state}: {result.stderr.strip()}")


def address_in(runner: Runner, node: str, pool: IPv6Network, within_s: float = 20.0) -> str:
    """The node's address out of a mobile pool, as soon as it has one.

    Raises:
        MeasuringError: it got none in time.
    """
    from ipaddress import IPv6Address

    deadline = time.monotonic() + within_s
    while True:
        shown = runner.run(node, ["ip", "-json", "-6", "address", "show", "dev", BRIDGE])
        entries = json.loads(shown.stdout or "[]")
        for address in (a for entry in entries for a in entry.get("addr_info", [])):
            if not address.get("tentative") and IPv6Address(address["local"]) in pool:
                return str(address["local"])
        if time.monotonic() > deadline:
            raise MeasuringError(
                f"{node}: no address out of {pool} after {within_s:.0f} s; "
                f"see `dmmctl events` on its access router"
            )
        time.sleep(POLL_S)
