"""Nobody registers a mobile node who has not its key (RFC 4285): real agents, forged packets."""

from __future__ import annotations

import socket
import struct
import time
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

import pytest
from tests.kernel.agent.agents import installed
from tests.kernel.agent.lab import ADDRESS, inside, until
from tests.kernel.agent.plain_network import AWAY, HOME, MN_ID, HomeAgent, key_of, make_plain

from dmm_agent.wire import (
    BindingUpdate,
    BindingUpdateFlag,
    MessageIdentifier,
    MobileNodeIdentifier,
    MobilityPacket,
    authenticated,
    encode_packet,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.kernel.agent.lab import Lab

GW1 = IPv6Address(ADDRESS["gw1"])
A_H = BindingUpdateFlag.ACKNOWLEDGE | BindingUpdateFlag.HOME_REGISTRATION
DEADLINE_S = 10.0


@pytest.fixture
def home_agent(lab: Lab, tmp_path: Path) -> Iterator[HomeAgent]:
    """A home agent; the mobile node runs nothing, somebody on its link does."""
    installed(tmp_path)
    make_plain()
    lab.attach("ar3")
    agent = HomeAgent("gw1", tmp_path)
    agent.start()
    yield agent
    agent.kill()


def send(sequence: int, key: bytes | None, *, ahead_s: float = 0.0, lifetime_s: int = 40) -> None:
    """Send an update of the mobile node's home address from the link in network 3."""
    options = (MobileNodeIdentifier.nai(MN_ID), MessageIdentifier.at(time.time() + ahead_s))
    update = BindingUpdate(sequence, A_H, lifetime_s, options)
    if key is not None:
        update = authenticated(update, key, 256, AWAY, HOME)
    number, octets = encode_packet(MobilityPacket(update, home_source=HOME), AWAY, GW1)
    header = struct.pack("!IHBB", 6 << 28, len(octets), number, 64) + AWAY.packed + GW1.packed
    with inside("ar3"), socket.socket(socket.AF_INET6, socket.SOCK_RAW, 255) as raw:
        raw.sendto(header + octets, (str(GW1), 0))


def state(agent: HomeAgent) -> list[object]:
    bound = [(row["hnp"], row["location"]) for row in agent.ask("bindings")]
    return [bound, [row["kind"] for row in agent.ask("routes")], len(agent.ask("leases"))]


def comes(agent: HomeAgent, event: str, times: int) -> bool:
    """Whether something comes to have happened so often."""
    return until(lambda: agent.count("events", event) == times, DEADLINE_S)


def test_a_forged_update_changes_nothing_and_the_nodes_own_is_taken(home_agent: HomeAgent) -> None:
    nothing = state(home_agent)
    forgeries = (
        (None, 0.0, "unauthenticated_update"),
        (bytes(16), 0.0, "update_not_believed"),
        (key_of(ADDRESS["gw3"]), 0.0, "update_not_believed"),
        (key_of(ADDRESS["gw1"]), -60.0, "update_not_believed"),
    )
    for sequence, (key, ahead_s, event) in enumerate(forgeries):
        before = home_agent.count("events", event)
        send(sequence, key, ahead_s=ahead_s)
        assert comes(home_agent, event, before + 1)
        assert state(home_agent) == nothing

    send(10, key_of(ADDRESS["gw1"]))
    assert until(lambda: state(home_agent) != nothing, DEADLINE_S)
    bound = state(home_agent)
    assert bound[0] == [(f"{HOME}/128", str(AWAY))]

    before = home_agent.count("events", "update_not_believed")
    send(11, bytes(16), lifetime_s=0)
    assert comes(home_agent, "update_not_believed", before + 1)
    assert state(home_agent) == bound, "nor is what is there taken away"


@pytest.mark.usefixtures("lab")
def test_a_home_agent_without_keys_does_not_start(tmp_path: Path) -> None:
    installed(tmp_path)
    agent = HomeAgent("gw1", tmp_path)
    agent.write_config()
    agent.keys.unlink()
    done = agent.run("--config", str(agent.config), "--keys", str(agent.keys), "--check")
    assert done.returncode == 2
    assert str(agent.keys) in done.stderr
