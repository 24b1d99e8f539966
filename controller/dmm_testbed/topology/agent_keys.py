"""What a host's agent shares with others: a key for each mobile node and home agent (RFC 4285)."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

from dmm_agent.keys import FIRST_SPI
from dmm_agent.wire import KEY_OCTETS
from dmm_testbed.topology.agent_config import directory
from dmm_testbed.topology.model import Role

if TYPE_CHECKING:
    from dmm_testbed.topology.model import Topology
    from dmm_testbed.topology.profile import Profile


def agent_keys(
    topology: Topology, profile: Profile, host: str, secret: str
) -> list[dict[str, Any]]:
    """Make a host's keys as plain data, ready for YAML.

    A mobile node has one for each network, a home agent one for each node. They follow from the
    lab's secret; who has one of them knows no other.

    Args:
        topology: the topology.
        profile: the profile.
        host: name of the machine.
        secret: what only the controller knows.

    Returns:
        Nothing where no function needs keys.

    Raises:
        KeyError: no such host.
    """
    machine = topology.machines[host]
    placed = [name for name in profile.on(machine) if _authenticates(profile, name)]
    nodes = [m.mobile for m in topology.with_role(Role.MOBILE_NODE) if m.mobile]
    if machine.mobile is not None and "client" in placed:
        agents = [entry["lm"] for entry in directory(topology, profile)]
        pairs = [(machine.mobile.id, agent) for agent in agents]
    elif "lm" in placed:
        pairs = [(node.id, machine.loopback) for node in nodes]
    else:
        return []
    return [
        {
            "mn_id": mn_id,
            "home_agent": str(agent),
            "spi": FIRST_SPI,
            "key": _derived(secret, f"{mn_id} {agent}"),
        }
        for mn_id, agent in pairs
    ]


def _authenticates(profile: Profile, function: str) -> bool:
    options = profile.options_of(function)
    return options.get("mobility") == "host" and options.get("authentication") != "none"


def _derived(secret: str, what_for: str) -> str:
    digest = hmac.digest(secret.encode(), what_for.encode(), "sha256")
    return digest[:KEY_OCTETS].hex()
