"""Packets cross the core under locators instead of in tunnels, and nobody at the ends can tell."""

from __future__ import annotations

import contextlib
import socket
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING

import pytest
from tests.kernel.agent.lab import ADDRESS, CN, HNP1, MN_LL, goes, inside, ip, until
from tests.kernel.agent.routers import Router

from dmm_agent.dataplane.entrance import ENTRANCE
from dmm_agent.functions.base import HoldLimits
from dmm_agent.functions.effects import (
    BindingRoute,
    CacheRoute,
    Delivery,
    VisitorRoute,
    VisitorShortcut,
)
from dmm_agent.functions.events import Interception
from dmm_agent.runtime.counters import Counters
from dmm_agent.runtime.hold_device import HoldDevice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kernel.agent.lab import Lab, Sniffer

pytestmark = pytest.mark.other_kernels

GW1, GW2, GW3, AR3 = (IPv6Address(ADDRESS[host]) for host in ("gw1", "gw2", "gw3", "ar3"))
NET2 = IPv6Network("2001:db8:2::/49")
LOCATORS = {n: IPv6Network(f"3fff:{n}::/32") for n in (1, 2, 3)}
IPV6, UDP, ICMPV6, HOP_BY_HOP = 41, 17, 58, 0
IPV6_MTU_DISCOVER, IPV6_MTU, IPV6_RECVERR, PMTUDISC_DO = 23, 24, 25, 2
NARROW = 1300
LIMITS = HoldLimits(packets=8, octets=4096, time_s=1.0)


class Rewriting:
    """Network 1's node at ar3; gateways rewrite, and tunnel inside their networks."""

    def __init__(self, lab: Lab) -> None:
        self.gw1, self.gw2, self.gw3 = (
            Router(host, rewrites=True) for host in ("gw1", "gw2", "gw3")
        )
        self.ar3 = Router("ar3")
        lab.attach("ar3")
        self.ar3.install(Delivery(HNP1, "mn", MN_LL))
        self.gw3.install(BindingRoute(HNP1, AR3), VisitorRoute(HNP1, GW1))
        self.gw1.install(BindingRoute(HNP1, GW3))
        self.node = lab.give_address(HNP1)
        self.mn, self.cn = lab.udp("mn", self.node), lab.udp("cn", CN)

    def know_the_direct_route(self) -> None:
        self.gw2.install(CacheRoute(HNP1, GW3))
        self.gw3.install(VisitorShortcut(NET2, GW2))


@pytest.fixture
def rewriting(lab: Lab) -> Iterator[Rewriting]:
    made = Rewriting(lab)
    yield made
    for host in (made.gw1, made.gw2, made.gw3, made.ar3):
        host.flush()


def udp_in(sniffer: Sniffer) -> list[tuple[IPv6Address, IPv6Address]]:
    """(source, destination) of plain UDP packets, each as often as it passed."""
    packets = list(sniffer.packets())
    # Multicast listener reports, which the kernel sends when it likes, have the last one.
    plain = (UDP, ICMPV6, HOP_BY_HOP)
    assert all(kind in plain for kind, *_ in packets), "and nothing tunnelled"
    return [(source, destination) for kind, source, destination, _ in packets if kind == UDP]


def test_packets_to_a_node_that_is_away_carry_its_locator(lab: Lab, rewriting: Rewriting) -> None:
    rewriting.know_the_direct_route()
    core = lab.sniff("core", "gw3")
    assert goes(rewriting.cn, rewriting.mn)
    ((source, destination),) = udp_in(core)
    assert source == IPv6Address(CN)
    assert destination in LOCATORS[3]
    assert int(destination) % (1 << 80) == int(rewriting.node) % (1 << 80)


def test_and_so_do_those_that_it_sends(lab: Lab, rewriting: Rewriting) -> None:
    rewriting.know_the_direct_route()
    core = lab.sniff("core", "gw3")
    assert goes(rewriting.mn, rewriting.cn)
    ((source, destination),) = udp_in(core)
    assert source in LOCATORS[3]
    assert destination == IPv6Address(CN)


def test_by_the_home_network_they_are_rewritten_where_they_leave_it(
    lab: Lab, rewriting: Rewriting
) -> None:
    home = lab.sniff("core", "gw1")
    assert goes(rewriting.cn, rewriting.mn)
    (came, left) = udp_in(home)
    assert came == (IPv6Address(CN), rewriting.node)
    assert left[0] in LOCATORS[1], "where a packet seems to be from, the core would not let it pass"
    assert left[1] in LOCATORS[3]


def test_from_the_node_by_its_home_network_too(lab: Lab, rewriting: Rewriting) -> None:
    home = lab.sniff("core", "gw1")
    assert goes(rewriting.mn, rewriting.cn)
    (came, left) = udp_in(home)
    assert (came[0] in LOCATORS[3], came[1] in LOCATORS[1]) == (True, True)
    assert left == (rewriting.node, IPv6Address(CN))


def test_what_comes_out_of_a_tunnel_is_rewritten_too(lab: Lab, rewriting: Rewriting) -> None:
    Router("gw2").install(CacheRoute(HNP1, GW1))
    home = lab.sniff("core", "gw1")
    assert goes(rewriting.cn, rewriting.mn)
    packets = list(home.packets())
    assert [(source, to) for kind, source, to, _ in packets if kind == IPV6] == [(GW2, GW1)]
    (left,) = [(source, to) for kind, source, to, _ in packets if kind == UDP]
    assert (left[0] in LOCATORS[1], left[1] in LOCATORS[3]) == (True, True)


def test_tcp_gets_through_with_checksums_that_are_right(rewriting: Rewriting) -> None:
    rewriting.know_the_direct_route()
    octets = 1 << 20
    with (
        inside("mn"),
        socket.create_server((str(rewriting.node), 7000), family=socket.AF_INET6) as server,
        inside("cn"),
        socket.create_connection((str(rewriting.node), 7000), 5.0, (CN, 0)) as client,
    ):
        peer, _ = server.accept()
        with peer:
            for sender, receiver in ((client, peer), (peer, client)):
                receiver.settimeout(5.0)
                assert transfer(sender, receiver, octets) == octets


def transfer(sender: socket.socket, receiver: socket.socket, octets: int) -> int:
    """How many octets arrive, of so many."""
    left, arrived = bytes(octets), 0
    sender.setblocking(False)
    while arrived < octets:
        if left:
            with contextlib.suppress(BlockingIOError):
                left = left[sender.send(left) :]
        arrived += len(receiver.recv(1 << 16))
    sender.setblocking(True)
    return arrived


ROUTERS_FROM_CN, ROUTERS_FROM_MN, ROUTERS_BY_HOME = 2, 4, 6
"""How many routers packets pass outside of tunnels."""


@pytest.mark.parametrize("hops", range(1, ROUTERS_FROM_CN + 1))
def test_errors_on_the_way_to_the_node_say_the_address_that_was_sent_to(
    rewriting: Rewriting, hops: int
) -> None:
    rewriting.know_the_direct_route()
    assert expires(rewriting.cn, rewriting.node, hops)


@pytest.mark.parametrize("hops", range(1, ROUTERS_FROM_MN + 1))
def test_errors_on_the_way_from_it_say_the_address_that_it_sent_from(
    rewriting: Rewriting, hops: int
) -> None:
    rewriting.know_the_direct_route()
    assert expires(rewriting.mn, IPv6Address(CN), hops)


@pytest.mark.parametrize("hops", range(1, ROUTERS_BY_HOME + 1))
def test_so_do_those_of_its_home_network_and_beyond(rewriting: Rewriting, hops: int) -> None:
    assert expires(rewriting.mn, IPv6Address(CN), hops)


@pytest.mark.parametrize("link", [("gw2", "core"), ("core", "gw3")])
def test_a_sender_learns_how_large_its_packets_can_be(
    rewriting: Rewriting, link: tuple[str, str]
) -> None:
    rewriting.know_the_direct_route()
    for host, other in (link, link[::-1]):
        ip(host, f"link set {other} mtu {NARROW}")
    for sender, to in ((rewriting.cn, rewriting.node), (rewriting.mn, IPv6Address(CN))):
        sender.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_DO)
        sender.connect((str(to), 9))

        def known(sender: socket.socket = sender) -> bool:
            with contextlib.suppress(OSError):
                sender.send(bytes(1400))
            return sender.getsockopt(socket.IPPROTO_IPV6, IPV6_MTU) == NARROW

        assert until(known), to


def expires(sender: socket.socket, to: IPv6Address, hops: int) -> bool:
    """Whether the sender is told that a packet did not get there with so many hops."""
    sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, hops)
    sender.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
    sender.connect((str(to), 9))
    sender.send(b"how far?")
    return until(lambda: is_told_of_an_error(sender))


def is_told_of_an_error(sender: socket.socket) -> bool:
    """Whether one about what a connected socket has sent has come back to it."""
    return sender.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0


@pytest.mark.parametrize("direction", ["source", "destination"])
def test_nobody_inside_a_network_may_write_locators(
    lab: Lab, rewriting: Rewriting, direction: str
) -> None:
    rewriting.know_the_direct_route()
    locator = str(LOCATORS[3][5])
    if direction == "source":
        ip("cn", f"addr add {locator}/128 dev lo nodad")
        sender, to = lab.udp("cn", locator, 5001), rewriting.mn.getsockname()[0]
    else:
        sender, to = rewriting.cn, locator
    seen, core = lab.sniff("gw2", "cn"), lab.sniff("core", "gw2")
    sender.sendto(b"let me in", (to, 5000))
    assert until(lambda: udp_in(seen) != [])
    assert udp_in(core) == []


def test_packets_that_would_wait_for_a_location_are_rewritten_once_it_is_known(
    lab: Lab, rewriting: Rewriting
) -> None:
    with inside("gw2"), contextlib.closing(HoldDevice(LIMITS, Counters())) as device:
        holding = (Interception.OUTBOUND, Interception.HELD)
        rewriting.gw2 = Router("gw2", *holding, hold_device=device.index, rewrites=True)
        rewriting.know_the_direct_route()
        core = lab.sniff("core", "gw3")
        assert goes(rewriting.cn, rewriting.mn)
    ((_, destination),) = udp_in(core)
    assert destination in LOCATORS[3]


def test_flushing_leaves_no_device(rewriting: Rewriting) -> None:
    rewriting.gw2.flush()
    with inside("gw2"):
        assert ENTRANCE not in [name for _, name in socket.if_nameindex()]
