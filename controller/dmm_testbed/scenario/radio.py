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
    """Attach a node at an access router.

    Returns:
        When its new link went up, in seconds since 1970 by the node's clock; when the radio was
        done, if that link was up already.

    Raises:
        MeasuringError: the radio does not obey; its words are in the text.
    """
    result = runner.run(node, ["dmm-radio", "move", to])
    if result.returncode:
        raise MeasuringError(f"{node}: dmm-radio move {to}: {result.stderr.strip()}")
    actions = json.loads(result.stdout)["actions"]
    switched = [action["unix"] for action in actions if action["action"] == "up"]
    return float(switched[0] if switched else actions[-1]["unix"])


def fall_silent(runner: Runner, node: str) -> float:
    """Let a node vanish without a word: its link keeps its carrier, but nothing answers on it.

    Returns:
        When it did, in seconds since 1970 by the node's clock.

    Raises:
        MeasuringError: the link does not obey.
    """
    return int(_link(runner, node, "down")) / 1e9


def wake(runner: Runner, node: str) -> None:
    """Let a node that fell silent, or never did, answer again.

    Raises:
        MeasuringError: the link does not obey.
    """
    _link(runner, node, "up")


def _link(runner: Runner, node: str, state: str) -> str:
    """Take the bridge up or down; gives the time just before (ns since 1970)."""
    script = 'date +%s%N && ip link set dev "$1" "$2"'
    result = runner.run(node, ["sh", "-c", script, "link", BRIDGE, state])
    if result.returncode:
        raise MeasuringError(f"{node}: {BRIDGE} {state}: {result.stderr.strip()}")
    return result.stdout.strip()


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
