"""Other rules of nftables take the place of those that are there between two packets."""

from __future__ import annotations

import multiprocessing
import socket
import threading
import time
from functools import partial
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

import pytest
from tests.kernel.agent.lab import ADDRESS, CN, HNP1, MN_LL, goes
from tests.kernel.agent.routers import Router

from dmm_agent.functions.effects import BindingRoute, Delivery
from dmm_agent.functions.events import Interception

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kernel.agent.lab import Lab

SO_RCVBUFFORCE = 33
REPLACEMENTS = 100
GW3, AR3 = IPv6Address(ADDRESS["gw3"]), IPv6Address(ADDRESS["ar3"])


class Flood:
    """Datagrams by the thousand in a second, so that hardly a moment passes without one."""

    AT_ONCE = 20

    def __init__(self, sender: socket.socket, receiver: socket.socket) -> None:
        receiver.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 26)
        receiver.settimeout(0.5)
        self._receiver = receiver
        processes = multiprocessing.get_context("fork")
        self._stop, self._sent = processes.Event(), processes.Value("Q", 0)
        self._process = processes.Process(target=self._send, args=(sender,))
        self._all_sent, self._received = threading.Event(), 0
        self._reader = threading.Thread(target=self._receive)
        self._process.start()
        self._reader.start()

    def _send(self, sender: socket.socket) -> None:
        to = self._receiver.getsockname()[:2]
        while not self._stop.is_set():
            for _ in range(self.AT_ONCE):
                sender.sendto(b"flood", to)
            self._sent.value += self.AT_ONCE
            time.sleep(0.0005)

    def _receive(self) -> None:
        while True:
            try:
                self._receiver.recv(64)
            except TimeoutError:
                if self._all_sent.is_set():
                    return
            else:
                self._received += 1

    def finish(self) -> tuple[int, int]:
        """Stop; how many were sent, and how many of them arrived."""
        self._stop.set()
        self._process.join()
        self._all_sent.set()
        self._reader.join()
        return self._sent.value, self._received


OTHERS = {
    "of what its functions want to see": partial(Router, "gw3", Interception.OUTBOUND),
    "of whom the directory knows": partial(Router, "gw3", networks=(1, 3)),
}
"""What a gateway's rules are made of, otherwise than before; they go back and forth."""


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_no_packet_is_lost_while_rules_are_replaced(lab: Lab, other: Callable[[], Router]) -> None:
    gw1, gw3, ar3 = Router("gw1"), Router("gw3"), Router("ar3")
    lab.attach("ar3")
    ar3.install(Delivery(HNP1, "mn", MN_LL))
    gw3.install(BindingRoute(HNP1, AR3))
    gw1.install(BindingRoute(HNP1, GW3))
    mn, cn = lab.udp("mn", lab.give_address(HNP1)), lab.udp("cn", CN)
    assert goes(cn, mn)
    flood = Flood(cn, mn)
    for number in range(REPLACEMENTS):
        Router("gw3") if number % 2 else other()
    sent, received = flood.finish()
    assert sent > REPLACEMENTS
    assert received == sent
