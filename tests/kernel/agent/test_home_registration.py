"""Mobility by the mobile node itself (`mobility: host`): real agents, real sockets, plain links."""

from __future__ import annotations

import socket
import struct
import time
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING

import pytest
from tests.kernel.agent.agents import installed
from tests.kernel.agent.lab import ADDRESS, CN, icmp_errors, inside, until
from tests.kernel.agent.plain_network import (
    AWAY,
    HOME,
    Client,
    HomeAgent,
    Session,
    captured,
    decoded,
    has_tshark,
    make_plain,
    move,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.kernel.agent.lab import Lab

DEADLINE_S = 30.0
BINDING = str(IPv6Network(HOME))


@pytest.fixture
def agents(lab: Lab, tmp_path: Path) -> Iterator[tuple[HomeAgent, Client]]:
    """Plain access links, a home agent in each network of theirs, a client on the mobile node."""
    installed(tmp_path)
    make_plain()
    lab.attach("ar1")
    running = (HomeAgent("gw1", tmp_path), HomeAgent("gw3", tmp_path), Client("mn", tmp_path))
    for agent in running:
        agent.start()
    yield running[0], running[2]
    for agent in running:
        agent.kill()


def bound_to(agent: HomeAgent) -> str | None:
    """Where the home agent has the home address."""
    rows = {row["hnp"]: row["location"] for row in agent.ask("bindings")}
    return rows.get(BINDING)


def becomes(agent: HomeAgent, location: object) -> bool:
    """Whether the home agent comes to have the home address there."""
    wanted = None if location is None else str(location)
    return until(lambda: bound_to(agent) == wanted, DEADLINE_S)


def routes(agent: HomeAgent | Client) -> list[str]:
    return [row["kind"] for row in agent.ask("routes")]


def test_a_session_goes_along_and_leaves_nothing_behind(
    lab: Lab, agents: tuple[HomeAgent, Client]
) -> None:
    home_agent, client = agents
    move(lab, 1, HOME)
    session = Session(HOME)
    assert session.lives()
    assert home_agent.ask("bindings") == [], "at home nobody need know"
    assert routes(client) == []

    move(lab, 3, AWAY)
    assert becomes(home_agent, AWAY)
    assert session.lives()
    assert sorted(routes(home_agent)) == ["BindingRoute", "NodeTunnel"]
    assert lab.addresses() == {HOME: False, AWAY: True}, "new sessions take the address here"

    session.close()
    assert becomes(home_agent, None), "de-registered when the last socket ended"
    assert until(lambda: routes(client) == [], DEADLINE_S)
    assert routes(home_agent) == []


def test_a_session_comes_home_again(lab: Lab, agents: tuple[HomeAgent, Client]) -> None:
    home_agent, client = agents
    move(lab, 1, HOME)
    session = Session(HOME)
    move(lab, 3, AWAY)
    assert becomes(home_agent, AWAY)
    assert session.lives()
    move(lab, 1, HOME)
    assert becomes(home_agent, None)
    assert session.lives()
    assert until(lambda: client.ask("bindings") == [], DEADLINE_S)
    assert routes(client) == []


def test_a_registration_is_renewed_for_as_long_as_the_session_lasts(
    lab: Lab, agents: tuple[HomeAgent, Client]
) -> None:
    home_agent, _ = agents
    move(lab, 1, HOME)
    session = Session(HOME)
    move(lab, 3, AWAY)
    assert becomes(home_agent, AWAY)
    first = home_agent.count("received", "BindingUpdate")
    ends_at = time.monotonic() + 8
    assert until(lambda: time.monotonic() > ends_at, 10), "the first binding is over"
    assert home_agent.count("received", "BindingUpdate") > first
    assert bound_to(home_agent) == str(AWAY)
    assert session.lives()


def test_a_node_that_moves_without_sessions_leaves_nothing(
    lab: Lab, agents: tuple[HomeAgent, Client]
) -> None:
    home_agent, client = agents
    move(lab, 1, HOME)
    move(lab, 3, AWAY)
    assert until(lambda: lab.addresses().get(HOME) is False)
    assert client.count("sent", "BindingUpdate") == 0
    assert home_agent.ask("bindings") == []
    assert home_agent.ask("leases") == []


def test_nobody_else_tunnels_to_the_home_agent(lab: Lab, agents: tuple[HomeAgent, Client]) -> None:
    """A packet in a tunnel from the care-of address passes with the home address in it alone."""
    home_agent, _ = agents
    move(lab, 1, HOME)
    session = Session(HOME)
    move(lab, 3, AWAY)
    assert becomes(home_agent, AWAY)
    assert session.lives()
    sniffer = lab.sniff("cn", "gw2")

    def arrives(outer: object, inner: object) -> bool:
        _tunnel(outer, inner)
        marked = [payload for kind, _, _, payload in sniffer.packets() if kind == 17]
        return any(payload.endswith(b"forged") for payload in marked)

    assert until(lambda: arrives(AWAY, HOME))
    assert not until(lambda: arrives(AWAY, "2001:db8:1:4100::77"), 0.5)
    assert not until(lambda: arrives("2001:db8:3:4100::77", HOME), 0.5)
    session.close()
    assert becomes(home_agent, None)
    assert not until(lambda: arrives(AWAY, HOME), 0.5)


def _tunnel(outer: object, inner: object) -> None:
    """Send a packet in a packet from the link in network 3, as a node there could."""
    datagram = struct.pack("!HHHH", 5000, 5001, 14, 0) + b"forged"
    ends = [IPv6Address(str(address)).packed for address in (outer, inner)]
    payload = struct.pack("!IHBB16s", 6 << 28, len(datagram), 17, 64, ends[1])
    payload += IPv6Address(CN).packed + datagram
    gateway = ADDRESS["gw1"]
    packet = struct.pack("!IHBB16s", 6 << 28, len(payload), 41, 64, ends[0])
    packet += IPv6Address(gateway).packed + payload
    with inside("ar3"), socket.socket(socket.AF_INET6, socket.SOCK_RAW, 255) as raw:
        raw.sendto(packet, (gateway, 0))


@pytest.mark.skipif(not has_tshark(), reason="captures are read with tshark")
def test_wireshark_reads_what_is_said(
    lab: Lab, agents: tuple[HomeAgent, Client], tmp_path: Path
) -> None:
    home_agent, _ = agents
    move(lab, 1, HOME)
    session = Session(HOME)
    errors = icmp_errors("mn"), icmp_errors("gw1")
    with captured("gw1", "core", tmp_path / "core.pcap"):
        move(lab, 3, AWAY)
        assert becomes(home_agent, AWAY)
        assert session.lives()
    file = tmp_path / "core.pcap"
    updates = decoded(
        file, "mip6.mhtype == 5", "mip6.bu.a_flag", "mip6.bu.h_flag", "mip6.bu.lifetime"
    )
    assert ["1", "1", "2"] in updates or ["True", "True", "2"] in updates, updates
    homes = decoded(file, "mip6.mhtype == 5", "ipv6.opt.mipv6.home_address")
    assert any(str(HOME) in ",".join(row) for row in homes), homes
    assert decoded(file, "mip6.mhtype == 6 && ipv6.routing.type == 2", "mip6.ba.status")
    assert decoded(file, "_ws.malformed", "frame.number") == []
    assert (icmp_errors("mn"), icmp_errors("gw1")) == errors, "nobody refused the headers"
