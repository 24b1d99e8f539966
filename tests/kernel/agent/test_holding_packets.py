"""Packets leave the kernel to wait, come back in order, and pass when nobody could release them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.kernel.agent.lab import (
    ADDRESS,
    CN,
    HNP1,
    MN_LL,
    PREFIX,
    goes,
    icmp_errors,
    inside,
    ip,
    run,
    until,
)
from tests.kernel.agent.routers import Router

from dmm_agent.functions.base import HoldLimits
from dmm_agent.functions.effects import (
    BindingRoute,
    CacheRoute,
    Delivery,
    PassingRoute,
    RefusingRoute,
    Route,
)
from dmm_agent.functions.events import Held, Interception
from dmm_agent.runtime.counters import Counters
from dmm_agent.runtime.hold_device import NAME, HoldDevice

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from ipaddress import IPv6Address

    from tests.kernel.agent.lab import Lab

LIMITS = HoldLimits(packets=8, octets=4096, time_s=1.0)
BURST = 5
ELSEWHERE = "2001:db8:3:2::99"


class Holder:
    """The MR of the correspondent's network, which asks for everything and holds it meanwhile."""

    def __init__(self) -> None:
        self.counters = Counters()
        with inside("gw2"):
            self.device = HoldDevice(LIMITS, self.counters)
        self.router = Router(
            "gw2", Interception.OUTBOUND, Interception.HELD, hold_device=self.device.index
        )
        self.told: list[Held] = []
        self.is_open = True

    def holds(self, packets: int, now: float = 0.0) -> bool:
        """Whether so many have come to wait, before a deadline."""

        def enough() -> bool:
            self.told += self.device.read(now)
            return self.count("kept") >= packets

        return until(enough)

    def close(self) -> None:
        """The agent is gone."""
        if self.is_open:
            self.device.close()
        self.is_open = False

    def count(self, key: str) -> int:
        return sum(row["count"] for row in self.counters.rows() if row["key"] == key)


@pytest.fixture
def holder(lab: Lab) -> Iterator[Holder]:
    del lab
    made = Holder()
    yield made
    made.close()


@pytest.fixture
def away(lab: Lab, holder: Holder) -> IPv6Address:
    """The address of network 1's node, which is at ar3."""
    del holder
    gw1, gw3, ar3 = Router("gw1"), Router("gw3"), Router("ar3")
    lab.attach("ar3")
    ar3.install(Delivery(HNP1, "mn", MN_LL))
    gw3.install(BindingRoute(HNP1, ar3.config.address))
    gw1.install(BindingRoute(HNP1, gw3.config.address))
    return lab.give_address(HNP1)


def direct() -> Route:
    return CacheRoute(HNP1, Router("gw3").config.address)


def send_burst(cn: socket.socket, mn: socket.socket, count: int = BURST) -> None:
    for number in range(count):
        cn.sendto(bytes([number]), mn.getsockname()[:2])


def received(mn: socket.socket) -> list[int]:
    return [mn.recv(16)[0] for _ in range(BURST)]


def test_packets_wait_and_leave_in_order_for_where_the_route_then_says(
    lab: Lab, holder: Holder, away: IPv6Address
) -> None:
    cn, mn = lab.udp("cn", CN), lab.udp("mn", away)
    core = lab.sniff("core", "gw2")
    send_burst(cn, mn)
    assert holder.holds(BURST)
    assert core.tunnelled() == core.plain_udp() == []
    assert [(str(t.source), t.destination) for t in holder.told] == [(CN, away)]

    holder.router.install(direct())
    with inside("gw2"):
        holder.device.release(HNP1)

    assert received(mn) == list(range(BURST))
    assert core.tunnelled() == [(ADDRESS["gw2"], ADDRESS["gw3"])] * BURST
    assert goes(cn, mn), "later ones do not wait"


def test_where_nothing_better_is_known_they_pass_by_the_home_network(
    lab: Lab, holder: Holder, away: IPv6Address
) -> None:
    cn, mn = lab.udp("cn", CN), lab.udp("mn", away)
    home = lab.sniff("gw1", "core")
    send_burst(cn, mn)
    assert holder.holds(BURST)

    holder.router.install(PassingRoute(HNP1))
    holder.device.release(HNP1)

    assert received(mn) == list(range(BURST))
    assert len(home.plain_udp()) == BURST
    assert goes(cn, mn)


def test_what_is_refused_in_the_end_is_answered(
    lab: Lab, holder: Holder, away: IPv6Address
) -> None:
    cn, mn = lab.udp("cn", CN), lab.udp("mn", away)
    send_burst(cn, mn, 1)
    assert holder.holds(1)
    before = icmp_errors("cn")

    holder.router.install(RefusingRoute(HNP1))
    holder.device.release(HNP1)

    assert until(lambda: icmp_errors("cn") == before + 1)


def test_more_than_there_is_room_for_is_dropped_and_counted(
    lab: Lab, holder: Holder, away: IPv6Address
) -> None:
    def dropped() -> int:
        list(holder.device.read(now=0.0))
        return holder.count("dropped: no room")

    send_burst(lab.udp("cn", CN), lab.udp("mn", away), LIMITS.packets + 3)
    assert holder.holds(LIMITS.packets)
    assert until(
        lambda: not list(holder.device.read(0.0)) and holder.count("dropped: no room") == 3
    )
    list(holder.device.read(LIMITS.time_s + 10))
    assert holder.count("dropped: too old") == LIMITS.packets


def test_without_an_agent_packets_pass(lab: Lab, holder: Holder, away: IPv6Address) -> None:
    cn, mn = lab.udp("cn", CN), lab.udp("mn", away)
    send_burst(cn, mn, 1)
    assert holder.holds(1)

    holder.close()

    links = json.loads(run("ip", "-n", PREFIX + "gw2", "-j", "link"))
    assert NAME not in {link["ifname"] for link in links}
    assert goes(cn, mn)


def test_packets_that_come_from_elsewhere_do_not_wait(
    lab: Lab, holder: Holder, away: IPv6Address
) -> None:
    """What only passes through this network has been held where it came from, if at all."""
    ip("cn", f"addr add {ELSEWHERE}/128 dev lo nodad")
    outside = lab.sniff("gw2", "core")
    send_burst(lab.udp("cn", ELSEWHERE), lab.udp("mn", away), 1)
    assert until(lambda: outside.plain_udp() == [(ELSEWHERE, str(away))])
    assert holder.count("kept") == 0
