"""What goes wrong with a tunnelled packet is told to who sent it (RFC 2473, 8), and TCP adapts."""

from __future__ import annotations

import errno
import selectors
import socket
import threading
from contextlib import contextmanager
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

import pytest
from tests.kernel.agent.lab import ADDRESS, CN, HNP1, MN_LL, Lab, inside, ip, until
from tests.kernel.agent.routers import Router, data_plane_of

from dmm_agent.dataplane.tunnels import TUNNELS
from dmm_agent.functions.effects import BindingRoute, CacheRoute, Delivery, VisitorRoute
from dmm_agent.runtime.counters import Counters
from dmm_agent.runtime.error_relay import ErrorRelay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [
    pytest.mark.usefixtures("data_planes"),
    pytest.mark.parametrize("data_planes", ["seg6", "ip6tnl", "mixed"], indirect=True),
]

GW1, GW3, AR3 = (IPv6Address(ADDRESS[host]) for host in ("gw1", "gw3", "ar3"))
IPV6_MTU_DISCOVER, IPV6_MTU, IPV6_RECVERR, PMTUDISC_DO = 23, 24, 25, 2
TUNNEL_HEADER = 40
FULL_SIZE = 1500
HEADERS = 48
"""IPv6 and UDP."""
OCTETS = 1 << 20


@contextmanager
def relays(*hosts: str) -> Iterator[None]:
    """What the agents of these hosts do about errors while the block runs."""
    stop, waiting = socket.socketpair()
    with selectors.DefaultSelector() as ready:
        ready.register(waiting, selectors.EVENT_READ)
        for host in hosts:
            if not TUNNELS[data_plane_of[host]].tells_senders:
                with inside(host):
                    config = Router(host).config
                    relay = ErrorRelay(config.address, config.directory, Counters())
                ready.register(relay, selectors.EVENT_READ, relay)

        def run() -> None:
            while all(key.data is not None and _pass_on(key.data) for key, _ in ready.select()):
                pass

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            stop.send(b".")
            thread.join()
            for key in ready.get_map().values():
                if key.data is not None:
                    key.data.close()
            stop.close()
            waiting.close()


def _pass_on(relay: ErrorRelay) -> bool:
    relay.pass_on()
    return True


@pytest.fixture
def visiting(lab: Lab) -> Iterator[IPv6Address]:
    """The mobile node of network 1 is at ar3; gw2 sends straight there. Its address."""
    routers = {host: Router(host) for host in ("gw1", "gw2", "gw3", "ar3")}
    lab.attach("ar3")
    routers["ar3"].install(Delivery(HNP1, "mn", MN_LL))
    routers["gw3"].install(BindingRoute(HNP1, AR3), VisitorRoute(HNP1, GW1))
    routers["gw1"].install(BindingRoute(HNP1, GW3))
    routers["gw2"].install(CacheRoute(HNP1, GW3))
    narrow("gw2", "cn")()
    with relays("gw1", "gw2", "gw3"):
        yield lab.give_address(HNP1)


def narrow(one: str, other: str) -> Callable[[], None]:
    """A link without room for an outer header around a packet of full size."""

    def apply() -> None:
        for host, link in ((one, other), (other, one)):
            ip(host, f"link set {link} mtu {FULL_SIZE}")

    return apply


LINKS = [
    pytest.param(narrow("gw2", "core"), id="at the entrance"),
    pytest.param(narrow("core", "gw3"), id="inside the tunnel"),
    pytest.param(narrow("gw3", "ar3"), id="at the entrance of the next tunnel"),
]


@pytest.mark.parametrize("make_narrow", LINKS)
def test_a_sender_learns_how_large_its_packets_can_be(
    lab: Lab, visiting: IPv6Address, make_narrow: Callable[[], None]
) -> None:
    make_narrow()
    cn = lab.udp("cn", CN)
    cn.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_DO)
    cn.connect((str(visiting), 9))

    def known() -> bool:
        if mtu() == FULL_SIZE:
            cn.send(bytes(FULL_SIZE - HEADERS))
        return mtu() == FULL_SIZE - TUNNEL_HEADER

    def mtu() -> int:
        return cn.getsockopt(socket.IPPROTO_IPV6, IPV6_MTU)

    assert mtu() == FULL_SIZE
    assert until(known), mtu()


@pytest.mark.parametrize("make_narrow", LINKS)
def test_tcp_finds_the_size_that_fits_in_both_directions(
    visiting: IPv6Address, make_narrow: Callable[[], None]
) -> None:
    make_narrow()
    with (
        inside("mn"),
        socket.create_server((str(visiting), 7000), family=socket.AF_INET6) as server,
        inside("cn"),
        socket.create_connection((str(visiting), 7000), 5.0, (CN, 0)) as client,
    ):
        peer, _ = server.accept()
        for sender, receiver in ((client, peer), (peer, client)):
            receiver.settimeout(5.0)
            transfer = threading.Thread(target=sender.sendall, args=(bytes(OCTETS),))
            transfer.start()
            received = 0
            while received < OCTETS:
                received += len(receiver.recv(1 << 16))
            transfer.join()
        peer.close()


def test_a_tunnel_that_leads_nowhere_is_a_destination_that_cannot_be_reached(
    lab: Lab, visiting: IPv6Address
) -> None:
    ip("core", "route replace unreachable 2001:db8:3::/48")
    cn = lab.udp("cn", CN)
    cn.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
    cn.connect((str(visiting), 9))

    def refused() -> bool:
        try:
            cn.send(b"is anybody there")
        except OSError as error:
            return error.errno == errno.EHOSTUNREACH
        return False

    assert until(refused)
