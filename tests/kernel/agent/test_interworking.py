"""Both ways to tunnel carry whole sessions, together and each alone."""

from __future__ import annotations

import contextlib
import socket
import threading
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

import pytest
from tests.kernel.agent.lab import ADDRESS, CN, HNP1, MN_LL, PREFIX, goes, inside, ip, run, until
from tests.kernel.agent.routers import DATA_PLANES, HOSTS, Router, data_plane_of

from dmm_agent.functions.effects import BindingRoute, CacheRoute, Delivery, VisitorRoute

if TYPE_CHECKING:
    from tests.kernel.agent.lab import Lab

pytestmark = pytest.mark.usefixtures("data_planes")

each = pytest.mark.parametrize("data_planes", DATA_PLANES, indirect=True)
by_device = pytest.mark.parametrize("data_planes", ["ip6tnl"], indirect=True)

GW1, GW3, AR3 = (IPv6Address(ADDRESS[host]) for host in ("gw1", "gw3", "ar3"))
SESSION_OCTETS = 400_000
IPV6_DONTFRAG, IPV6_MTU = 62, 24


def visiting(lab: Lab) -> IPv6Address:
    """The node of network 1 is at ar3, and packets go by its home; returns its address."""
    routers = {host: Router(host) for host in HOSTS}
    lab.attach("ar3")
    routers["ar3"].install(Delivery(HNP1, "mn", MN_LL))
    routers["gw3"].install(BindingRoute(HNP1, AR3), VisitorRoute(HNP1, GW1))
    routers["gw1"].install(BindingRoute(HNP1, GW3))
    return lab.give_address(HNP1)


@each
def test_a_session_with_segments_of_full_size_goes_both_ways(lab: Lab) -> None:
    address = visiting(lab)
    sent = bytes(range(256)) * (SESSION_OCTETS // 256)
    with inside("mn"):
        listener = socket.create_server((str(address), 0), family=socket.AF_INET6)
    listener.settimeout(20)
    with inside("cn"):
        cn = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    cn.settimeout(60)
    cn.bind((CN, 0))
    arriving = lab.sniff("ar3", "gw3")

    with listener, cn:
        cn.connect(listener.getsockname()[:2])
        mn, _ = listener.accept()
        mn.settimeout(60)
        with mn:
            for one, other in ((cn, mn), (mn, cn)):
                thread = threading.Thread(target=one.sendall, args=(sent,))
                thread.start()
                received = bytearray()
                while len(received) < len(sent):
                    received += other.recv(1 << 16)
                thread.join()
                assert received == sent

    tunnelled = [payload for kind, source, _, payload in arriving.packets() if kind == 41
                 and source == GW3]  # fmt: skip
    assert max(map(len, tunnelled)) >= 1500, "nothing made the segments smaller"


@each
def test_the_outer_header_is_bare_and_a_tunnel_device_lowers_the_inner_hop_limit(lab: Lab) -> None:
    address = visiting(lab)
    mn, cn = lab.udp("mn", address), lab.udp("cn", CN)
    cn.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 9)
    arriving = lab.sniff("core", "gw1")

    assert goes(cn, mn)
    (packet,) = [p for p in arriving.packets() if p[0] == 41]
    _, source, destination, inner = packet
    assert (source, destination) == (GW1, GW3)
    udp, hops_before_gw1 = 17, 2
    lowered_at_gw1 = {"seg6": 0, "ip6tnl": 1}[data_plane_of["gw1"]]
    assert (inner[6], inner[7]) == (udp, 9 - hops_before_gw1 - lowered_at_gw1)


@by_device
def test_whoever_sends_a_packet_too_big_for_the_first_tunnel_is_told(lab: Lab) -> None:
    for host, link in (("gw1", "core"), ("core", "gw1")):
        ip(host, f"link set {link} mtu 1500")
    address = visiting(lab)

    assert until(lambda: _learned_mtu(address) == 1460)


@by_device
def test_whoever_sends_a_packet_too_big_for_a_link_inside_the_tunnel_is_told(lab: Lab) -> None:
    """core tells gw1, whose uplink is wide, and gw1 tells the correspondent."""
    for host, link in (("gw3", "core"), ("core", "gw3")):
        ip(host, f"link set {link} mtu 1500")
    address = visiting(lab)

    assert until(lambda: _learned_mtu(address) == 1460)


def _learned_mtu(address: IPv6Address) -> int:
    """The path MTU that the correspondent knows after it has sent a packet of 1500 octets."""
    with inside("cn"), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as cn:
        cn.setsockopt(socket.IPPROTO_IPV6, IPV6_DONTFRAG, 1)
        cn.connect((str(address), 9))
        with contextlib.suppress(OSError):  # too big: known by now
            cn.send(bytes(1500 - 48))
        return cn.getsockopt(socket.IPPROTO_IPV6, IPV6_MTU)


@by_device
def test_many_destinations_are_one_neighbour(lab: Lab) -> None:
    del lab
    gw1 = Router("gw1")
    gw1.install(BindingRoute(HNP1, GW3), CacheRoute(HNP1, GW3))
    with inside("gw1"), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
        for number in range(1, 50):
            sender.sendto(b"", (str(HNP1[number]), 9))

    neighbours = _neighbours("gw1", "dmm-tnl0")
    assert [line.split()[0] for line in neighbours] == ["fe80::1"]


def _neighbours(host: str, device: str) -> list[str]:
    shown = run(*f"ip -n {PREFIX}{host} -6 neigh show nud all dev {device}".split())
    return shown.splitlines()
