"""A prefix that is the node's no more: sockets that still use it are told so."""

from __future__ import annotations

import contextlib
import errno
import socket
from typing import TYPE_CHECKING

import pytest
from tests.kernel.agent.lab import CN, HNP1, HNP3, MN_LL, goes, icmp_errors, inside, until
from tests.kernel.agent.routers import Router

from dmm_agent.functions.effects import Delivery, Withdrawal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv6Address

    from tests.kernel.agent.lab import Lab

pytestmark = pytest.mark.usefixtures("lab")


class Visit:
    """A node at ar1 with sessions that use HNP1, whose packets arrive."""

    def __init__(self, lab: Lab) -> None:
        self.ar1 = Router("ar1")
        self.ar1.install(Delivery(HNP1, "mn", MN_LL))
        lab.attach("ar1")
        self.address: IPv6Address = lab.give_address(HNP1)
        self.lab = lab

    def end(self) -> None:
        """The prefix is withdrawn."""
        self.ar1.install(Withdrawal(HNP1, "mn", MN_LL))
        self.ar1.remove(Delivery(HNP1, "mn", MN_LL))


@pytest.fixture
def visit(lab: Lab) -> Visit:
    return Visit(lab)


@pytest.fixture
def tcp(visit: Visit) -> Iterator[socket.socket]:
    """The node's end of a TCP connection to the correspondent, which has carried something."""
    with inside("cn"):
        listener = socket.create_server((CN, 5002), family=socket.AF_INET6)
    with inside("mn"):
        caller = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    caller.settimeout(5)
    caller.bind((str(visit.address), 0))
    caller.connect((CN, 5002))
    called, _ = listener.accept()
    caller.send(b"hello")
    assert called.recv(5) == b"hello"
    with listener, caller, called:
        yield caller


def error_of(opened: socket.socket) -> int:
    """What a socket says on the next thing that it sends, in a while."""

    def failed() -> int:
        try:
            opened.send(b"anybody there?")
        except OSError as error:
            return error.errno or 0
        return 0

    found: list[int] = []

    def noticed() -> bool:
        found.append(failed())
        return found[-1] != 0

    assert until(noticed), "the socket notices nothing"
    return found[-1]


def test_a_tcp_session_is_reset(visit: Visit, tcp: socket.socket) -> None:
    visit.end()
    assert error_of(tcp) in (errno.ECONNRESET, errno.EPIPE)


def test_a_connected_udp_socket_is_told_that_its_source_is_not_admitted(visit: Visit) -> None:
    udp = visit.lab.udp("mn", visit.address)
    udp.connect((CN, 9))
    visit.end()
    link = visit.lab.sniff("mn", "radio0")
    assert error_of(udp) == errno.EACCES
    told = [(payload[0], payload[1]) for kind, _, _, payload in link.packets() if kind == 58]
    assert (1, 5) in told, "destination unreachable: source address failed ingress policy"


def test_before_its_fate_is_known_nobody_is_told_anything(visit: Visit) -> None:
    """Just after a move the network has yet to ask."""
    visit.ar1.remove(Delivery(HNP1, "mn", MN_LL))
    mn, cn = visit.lab.udp("mn", visit.address), visit.lab.udp("cn", CN)
    before = icmp_errors("mn")
    assert not goes(mn, cn, deadline_s=0.3)
    assert icmp_errors("mn") == before


def test_sessions_with_other_prefixes_go_on(visit: Visit, tcp: socket.socket) -> None:
    visit.ar1.install(Withdrawal(HNP3, "mn", MN_LL))
    tcp.send(b"still here")
    mn, cn = visit.lab.udp("mn", visit.address), visit.lab.udp("cn", CN)
    assert goes(mn, cn)
    assert goes(cn, mn)


def test_granted_again_it_works_again(visit: Visit) -> None:
    visit.end()
    visit.ar1.install(Delivery(HNP1, "mn", MN_LL))
    visit.ar1.remove(Withdrawal(HNP1, "mn", MN_LL))
    mn, cn = visit.lab.udp("mn", visit.address), visit.lab.udp("cn", CN)
    assert goes(mn, cn)
    assert goes(cn, mn)


def test_packets_to_it_do_not_reach_the_node_that_had_it(visit: Visit) -> None:
    """It may be another node's by now."""
    visit.end()
    mn, cn = visit.lab.udp("mn", visit.address), visit.lab.udp("cn", CN)
    assert not goes(cn, mn, deadline_s=0.3)


def test_a_flood_is_not_answered_one_by_one(visit: Visit) -> None:
    visit.end()
    udp = visit.lab.udp("mn", visit.address)
    before = icmp_errors("mn")
    for _ in range(2000):
        udp.sendto(b"flood", (CN, 9))
    assert until(lambda: icmp_errors("mn") > before)
    assert icmp_errors("mn") - before < 1000


def test_neighbour_discovery_goes_on(visit: Visit) -> None:
    """The node must find its router, for its other prefixes."""
    visit.ar1.install(Withdrawal(HNP3, "mn", MN_LL))
    strange = visit.lab.give_address(HNP3)
    link = visit.lab.sniff("ar1", "mn")
    with contextlib.suppress(OSError):
        visit.lab.udp("mn", strange).sendto(b"who is my router", (CN, 9))

    def advertised() -> bool:
        return any(kind == 58 and payload[0] == 136 for kind, _, _, payload in link.packets())

    assert until(advertised), "ar1 must answer the node's neighbour solicitation"


def test_an_agent_that_starts_anew_adopts_it(visit: Visit) -> None:
    visit.end()
    rows = Router("ar1").forwarding
    with inside("ar1"):
        found = [row for row in rows.rows() if row["kind"] == "Withdrawal"]
    assert [(row["prefix"], row["link"], row["adopted"]) for row in found] == [
        (str(HNP1), "mn", True)
    ]
