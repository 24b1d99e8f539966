"""The real agent process on a mobile node, and what an access router hears of its sockets."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.kernel.agent.agents import AgentProcess, installed
from tests.kernel.agent.lab import CN, HNP1, HNP3, MN_LL, ROUTER_LL, inside, ip, run, until
from tests.kernel.agent.routers import settings

from dmm_agent.wire import HomeNetworkPrefix, SessionReport, decode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv6Network
    from pathlib import Path

    from tests.kernel.agent.lab import Lab, Sniffer

DEADLINE_S = 15.0


class MobileNode(AgentProcess):
    """The agent on the mobile node."""

    def write_config(self) -> None:
        """Write the node's configuration file."""
        config: dict[str, Any] = {
            "schema": 1,
            "host": "mn",
            "network": "net1",
            "radio": "radio0",
            "directory": settings("ar1")["directory"],
            "functions": {"sessions": {"report_interval_s": 60}},
        }
        self.config.write_text(yaml.safe_dump(config))


@pytest.fixture
def node(lab: Lab, tmp_path: Path) -> Iterator[MobileNode]:
    """A mobile node at ar1 with addresses of two networks, whose agent runs."""
    installed(tmp_path)
    lab.attach("ar1")
    lab.give_address(HNP1)
    lab.give_address(HNP3)
    agent = MobileNode("mn", tmp_path)
    agent.start()
    yield agent
    agent.kill()


def reports(sniffer: Sniffer) -> list[list[IPv6Network]]:
    """The prefixes of each report heard since."""
    heard = []
    for kind, source, destination, payload in sniffer.packets():
        message = decode(payload) if kind == 135 else None
        if isinstance(message, SessionReport):
            assert (source, str(destination)) == (MN_LL, ROUTER_LL)
            heard.append([option.prefix for option in message.every(HomeNetworkPrefix)])
    return heard


def hears(sniffer: Sniffer, prefixes: list[IPv6Network], deadline_s: float = DEADLINE_S) -> bool:
    """Whether a report of just these prefixes comes."""
    return until(lambda: prefixes in reports(sniffer), deadline_s)


def connected_udp(prefix: IPv6Network) -> socket.socket:
    """A UDP socket of the node that has a peer, and sends nothing."""
    address = str(prefix.network_address + int(MN_LL) % (1 << 64))
    with inside("mn"):
        opened = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    opened.bind((address, 0))
    opened.connect((CN, 5000))
    return opened


def test_sockets_that_come_and_go_are_reported_to_the_access_router(
    lab: Lab, node: MobileNode
) -> None:
    del node
    sniffer = lab.sniff("ar1", "mn")
    with connected_udp(HNP1):
        assert hears(sniffer, [HNP1])
        with connected_udp(HNP3):
            assert hears(sniffer, [HNP1, HNP3])
        assert hears(sniffer, [HNP1])
    assert hears(sniffer, [])


def test_a_handover_is_followed_by_a_report_without_waiting_for_anything(
    lab: Lab, node: MobileNode
) -> None:
    with connected_udp(HNP1):
        assert until(lambda: len(node.ask("sessions")) == 1)
        before = node.count("inputs", "LinkUp")
        sniffer = lab.sniff("ar3", "mn")

        lab.attach("ar3")

        assert hears(sniffer, [HNP1])
        assert node.count("inputs", "LinkUp") == before + 1


def test_an_address_that_goes_takes_its_prefix_out_of_the_report(
    lab: Lab, node: MobileNode
) -> None:
    with connected_udp(HNP1) as opened:
        assert until(lambda: len(node.ask("sessions")) == 1)
        sniffer = lab.sniff("ar1", "mn")

        ip("mn", f"addr del {opened.getsockname()[0]}/128 dev radio0")

        assert hears(sniffer, [])


def test_what_the_kernel_forwards_is_left_alone(lab: Lab, node: MobileNode) -> None:
    del lab, node
    with inside("mn"):
        assert "2001" not in run("ip", "-6", "rule", "show")
        assert "dmm" not in run("nft", "list", "tables")


def test_the_agent_needs_no_right_to_configure_the_network(node: MobileNode) -> None:
    node.stop()
    command = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"]
    node.command = staticmethod(lambda module: [*command, *AgentProcess.command(module)])  # type: ignore[method-assign]

    node.start()

    assert node.ask("status")["radio"] == {"radio0": "live"}
