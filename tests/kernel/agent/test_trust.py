"""Only routers of the directory can have packets decapsulated, whatever others try."""

from __future__ import annotations

import socket
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING

import pytest
from tests.kernel.agent.lab import ADDRESS, CN, HNP1, MN_LL, PREFIX, inside, run, until
from tests.kernel.agent.routers import DATA_PLANES, Router

from dmm_agent.functions.effects import BindingRoute, Delivery, VisitorRoute

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kernel.agent.lab import Lab

pytestmark = pytest.mark.usefixtures("data_planes")

each = pytest.mark.parametrize("data_planes", DATA_PLANES, indirect=True)

IPV6_IN_IPV6, FRAGMENT, DESTINATION_OPTIONS, NO_NEXT_HEADER = 41, 44, 60, 59
STRANGER = "2001:db8:99::1"
GW1_ON_ITS_LINK = "2001:db8:1:1::2"
NEIGHBOURS = IPv6Network("2001:db8:1:8101::/64")
"""Somebody else's prefix behind ar1: what is decapsulated at gw1 is seen on its way there."""
PADDING = bytes([1, 4, 0, 0, 0, 0])


def ipv6(source: object, destination: object, next_header: int, payload: bytes = b"") -> bytes:
    """An IPv6 packet."""
    header = bytes([0x60, 0, 0, 0]) + len(payload).to_bytes(2, "big") + bytes([next_header, 64])
    return header + IPv6Address(source).packed + IPv6Address(destination).packed + payload


def send(host: str, source: str, destination: str, next_header: int, payload: bytes) -> None:
    """Send a packet with a header of the kernel's, from an address of the host."""
    with inside(host), socket.socket(socket.AF_INET6, socket.SOCK_RAW, next_header) as raw:
        raw.bind((source, 0))
        raw.sendto(payload, (destination, 0))


HONEST_TO = NEIGHBOURS[1]
HONEST = ipv6(CN, HONEST_TO, NO_NEXT_HEADER)


def forgeries() -> Iterator[tuple[str, str, int, IPv6Address, bytes]]:
    """What to try: in words, outer destination, outer next header, inner destination, payload."""
    number = 2
    for to in (ADDRESS["gw1"], GW1_ON_ITS_LINK):
        for words, next_header, before in (
            ("bare", IPV6_IN_IPV6, b""),
            ("behind options", DESTINATION_OPTIONS, bytes([IPV6_IN_IPV6, 0]) + PADDING),
        ):
            inner = NEIGHBOURS[number]
            payload = before + ipv6(CN, inner, NO_NEXT_HEADER)
            yield f"{words} to {to}", to, next_header, inner, payload
            number += 1


@each
@pytest.mark.parametrize("who", ["stranger", "mobile node at home", "visitor"])
def test_what_others_tunnel_to_a_router_goes_nowhere(lab: Lab, who: str) -> None:
    routers = {host: Router(host) for host in ("gw1", "gw2", "gw3", "ar1", "ar3")}
    at = "ar3" if who == "visitor" else "ar1"
    lab.attach(at)
    routers[at].install(Delivery(HNP1, "mn", MN_LL))
    sender, source = "mn", str(lab.give_address(HNP1))
    if who == "visitor":  # its home decapsulates its packet, and finds another tunnel in it
        home, visited, access_router = (IPv6Address(ADDRESS[h]) for h in ("gw1", "gw3", "ar3"))
        routers["gw3"].install(BindingRoute(HNP1, access_router), VisitorRoute(HNP1, home))
        routers["gw1"].install(BindingRoute(HNP1, visited))
    if who == "stranger":
        run("ip", "-n", PREFIX + "core", "addr", "add", f"{STRANGER}/128", "dev", "lo")
        sender, source = "core", STRANGER
    below = lab.sniff("ar1", "gw1")
    for _, to, next_header, _, payload in forgeries():
        send(sender, source, to, next_header, payload)
    send("gw2", ADDRESS["gw2"], ADDRESS["gw1"], IPV6_IN_IPV6, HONEST)

    arrived: list[IPv6Address] = []

    def honest_arrived() -> bool:
        arrived.extend(destination for _, _, destination, _ in below.packets())
        return HONEST_TO in arrived

    assert until(honest_arrived), "gw1 decapsulates for the directory's routers"
    assert [words for words, _, _, inner, _ in forgeries() if inner in arrived] == []


@each
def test_another_routers_tunnel_may_have_destination_options(lab: Lab) -> None:
    """RFC 2473, 4.1.1: other implementations send a limit of encapsulations with each packet."""
    Router("gw1")
    below = lab.sniff("ar1", "gw1")
    limited = bytes([IPV6_IN_IPV6, 0, 4, 1, 4, 1, 0]) + bytes(1) + HONEST

    send("gw2", ADDRESS["gw2"], ADDRESS["gw1"], DESTINATION_OPTIONS, limited)

    assert until(lambda: HONEST_TO in [packet[2] for packet in below.packets()])


@pytest.mark.parametrize("data_planes", ["ip6tnl"], indirect=True)
def test_a_tunnel_device_puts_fragments_of_outer_packets_together(lab: Lab) -> None:
    Router("gw1")
    below = lab.sniff("ar1", "gw1")
    leaving = lab.sniff("gw2", "core")
    inner = ipv6(CN, HONEST_TO, NO_NEXT_HEADER, bytes(1540))  # with 40 more wider than the link

    send("gw2", ADDRESS["gw2"], ADDRESS["gw1"], IPV6_IN_IPV6, inner)

    assert until(lambda: HONEST_TO in [packet[2] for packet in below.packets()])
    assert [kind for kind, *_ in leaving.packets()].count(FRAGMENT) == 2
