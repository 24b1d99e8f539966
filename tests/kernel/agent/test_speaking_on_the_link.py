"""What a mobile node and an access router say to each other on their link."""

from __future__ import annotations

import socket
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.kernel.agent.agents import AgentProcess, installed
from tests.kernel.agent.lab import HNP1, MN_LL, ROUTER_LL, inside, until

from dmm_agent.wire import NEXT_HEADER, HomeNetworkPrefix, SessionReport, encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kernel.agent.lab import Lab


@pytest.fixture
def ar1(lab: Lab, tmp_path: Path) -> Iterator[AgentProcess]:
    """The agent of an access router."""
    del lab
    installed(tmp_path)
    agent = AgentProcess("ar1", tmp_path)
    agent.start()
    yield agent
    agent.kill()


def report(prefix: IPv6Network, hop_limit: int = 255) -> None:
    """Say to the access router that a session uses a prefix."""
    message = SessionReport(1, 15, (HomeNetworkPrefix(prefix),))
    octets = encode(message, MN_LL, IPv6Address(ROUTER_LL))
    with inside("mn"), socket.socket(socket.AF_INET6, socket.SOCK_RAW, NEXT_HEADER) as raw:
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, hop_limit)
        raw.sendto(octets, (ROUTER_LL, 0, 0, socket.if_nametoindex("radio0")))


def parameter_problems() -> int:
    """How many ICMPv6 parameter problems the mobile node was sent."""
    with inside("mn"):
        for line in Path("/proc/thread-self/net/snmp6").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == "Icmp6InParmProblems":
                return int(value)
    raise AssertionError("the kernel does not count parameter problems")


def test_an_access_router_hears_what_a_node_on_its_link_says_and_knows_that_it_is_there(
    lab: Lab, ar1: AgentProcess
) -> None:
    before = ar1.count("inputs", "Attached")
    lab.attach("ar1")

    report(HNP1)

    assert until(lambda: ar1.count("inputs", "HeardOnLink") == 1)
    assert until(lambda: ar1.count("inputs", "Attached") > before)
    assert [row["link"] for row in ar1.ask("attachments")] == ["mn"]
    assert parameter_problems() == 0, "the kernel says that nobody listens"


def test_what_was_forwarded_is_not_from_a_node_on_the_link(lab: Lab, ar1: AgentProcess) -> None:
    lab.attach("ar1")

    report(HNP1, hop_limit=64)

    assert until(lambda: ar1.count("malformed_on_link", "mn") == 1)
    assert ar1.count("inputs", "HeardOnLink") == 0
