"""What nftables tells the agent: strange sources on access links, packets to other networks."""

from __future__ import annotations

import contextlib
import socket
import time
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING

import pytest
from tests.kernel.agent.lab import (
    ADDRESS,
    CN,
    HNP1,
    HNP2,
    HNP3,
    MN_LL,
    MN_MAC,
    goes,
    inside,
    ip,
    until,
)
from tests.kernel.agent.routers import Router

from dmm_agent.dataplane.interception import INTERCEPTED_GROUP
from dmm_agent.dataplane.nflog import Nflog, NflogError, Sample
from dmm_agent.dataplane.nftables import OBSERVED_GROUP, USED_GROUP
from dmm_agent.functions.effects import BindingRoute, CacheRoute, Delivery
from dmm_agent.functions.events import Interception

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kernel.agent.lab import Lab


class Ear:
    """Collects the samples of one group on a host."""

    def __init__(self, host: str, group: int) -> None:
        with inside(host):
            self.nflog = Nflog([group])
        self.heard: list[Sample] = []

    def hears(self, count: int, deadline_s: float = 5.0) -> bool:
        """Whether there are this many samples before the deadline."""

        def enough() -> bool:
            self.heard += self.nflog.read()
            return len(self.heard) >= count

        return until(enough, deadline_s)


@pytest.fixture
def observed(lab: Lab) -> Iterator[Ear]:
    del lab
    ear = Ear("ar1", OBSERVED_GROUP)
    yield ear
    ear.nflog.close()


@pytest.fixture
def intercepted(lab: Lab) -> Iterator[Ear]:
    del lab
    ear = Ear("gw1", INTERCEPTED_GROUP)
    yield ear
    ear.nflog.close()


def test_a_source_that_is_not_delivered_on_its_link_is_told_and_dropped(
    lab: Lab, observed: Ear
) -> None:
    ar1 = Router("ar1")
    lab.attach("ar1")
    address = lab.give_address(HNP1)
    mn, cn = lab.udp("mn", address), lab.udp("cn", CN)

    assert not goes(mn, cn, deadline_s=0.3)
    assert observed.hears(1)
    sample = observed.heard[0]
    assert (sample.source, sample.link_layer) == (address, MN_MAC)
    with inside("ar1"):
        assert socket.if_indextoname(sample.interface) == "mn"

    ar1.install(Delivery(HNP1, "mn", MN_LL))
    assert goes(mn, cn), "a delivered source is admitted"


def test_a_source_delivered_on_another_link_is_not_admitted_here(lab: Lab, observed: Ear) -> None:
    ar1 = Router("ar1")
    lab.attach("ar1")
    ar1.install(Delivery(HNP3, "gw1", MN_LL))
    mn, cn = lab.udp("mn", lab.give_address(HNP3)), lab.udp("cn", CN)

    assert not goes(mn, cn, deadline_s=0.3)
    assert observed.hears(1)


def test_a_flood_from_one_source_is_told_a_few_times_a_second(lab: Lab, observed: Ear) -> None:
    Router("ar1")
    lab.attach("ar1")
    mn = lab.udp("mn", lab.give_address(HNP1))

    for _ in range(500):
        mn.sendto(b"flood", (CN, 9))
    assert observed.hears(1)
    assert not observed.hears(20, deadline_s=0.3)


def test_declined_flows_tell_of_no_source_and_do_not_pass(lab: Lab, observed: Ear) -> None:
    flows = [{"protocol": "udp", "port": 53}, {"protocol": "tcp", "port": 9}]
    Router("ar1", declined_flows=flows)
    lab.attach("ar1")
    mn = lab.udp("mn", lab.give_address(HNP1))

    for _ in range(20):
        mn.sendto(b"query", (CN, 53))
    assert not observed.hears(1, deadline_s=0.3)

    mn.sendto(b"session", (CN, 9))
    assert observed.hears(1), "of the same port, but not of the same protocol"


def test_declined_flows_pass_while_another_session_keeps_the_prefix(
    lab: Lab, observed: Ear
) -> None:
    del observed
    ar1 = Router("ar1", declined_flows=[{"protocol": "udp", "port": 9}])
    lab.attach("ar1")
    mn, cn = lab.udp("mn", lab.give_address(HNP1)), lab.udp("cn", CN)
    ar1.install(Delivery(HNP1, "mn", MN_LL))

    assert goes(mn, cn)


@pytest.fixture
def used(lab: Lab) -> Iterator[Ear]:
    """What ar1 hears of HNP3, which the node has brought along, and of HNP1, which it has not."""
    ar1 = Router("ar1", Interception.BROUGHT_ALONG)
    for hnp in (HNP1, HNP3):
        ar1.install(Delivery(hnp, "mn", MN_LL))
    lab.attach("ar1")
    ear = Ear("ar1", USED_GROUP)
    yield ear
    ear.nflog.close()


def test_packets_from_a_prefix_that_was_brought_along_are_sampled_once_a_second(
    lab: Lab, used: Ear
) -> None:
    mn = lab.udp("mn", lab.give_address(HNP3))
    begin = time.monotonic()
    for _ in range(100):
        mn.sendto(b"used", (CN, 9))
    assert used.hears(1)
    assert used.heard[0].source in HNP3
    while time.monotonic() < begin + 1.2:
        mn.sendto(b"used still", (CN, 9))
        used.heard += used.nflog.read()
    assert len(used.heard) == 2


def test_packets_to_it_are_too_when_they_come_out_of_a_tunnel(lab: Lab, used: Ear) -> None:
    address = lab.give_address(HNP3)
    gw1 = Router("gw1")
    gw1.install(BindingRoute(HNP3, IPv6Address(ADDRESS["ar1"])))
    ip("core", f"route add {HNP3} via 2001:db8:1:1::2")
    mn, cn = lab.udp("mn", address), lab.udp("cn", CN)

    assert goes(cn, mn)
    assert used.hears(1)
    assert {(str(s.source), s.destination) for s in used.heard} == {(CN, address)}


def test_packets_of_declined_flows_are_not_whichever_way_they_go(lab: Lab) -> None:
    flows = [{"protocol": "udp", "port": 53}]
    ar1 = Router("ar1", Interception.BROUGHT_ALONG, declined_flows=flows)
    ar1.install(Delivery(HNP3, "mn", MN_LL))
    lab.attach("ar1")
    ear = Ear("ar1", USED_GROUP)
    mn, cn = lab.udp("mn", lab.give_address(HNP3)), lab.udp("cn", CN, 53)
    Router("gw1").install(BindingRoute(HNP3, IPv6Address(ADDRESS["ar1"])))
    ip("core", f"route add {HNP3} via 2001:db8:1:1::2")

    mn.sendto(b"query", (CN, 53))
    assert goes(cn, mn)
    assert not ear.hears(1, deadline_s=0.3)
    mn.sendto(b"of another", (CN, 9))
    assert ear.hears(1)
    ear.nflog.close()


def test_the_present_networks_own_prefixes_are_not(lab: Lab, used: Ear) -> None:
    mn, cn = lab.udp("mn", lab.give_address(HNP1)), lab.udp("cn", CN)

    assert goes(mn, cn)
    assert goes(cn, mn)
    assert not used.hears(1, deadline_s=0.2)


def test_packets_to_another_networks_nodes_are_sampled_one_a_prefix(
    lab: Lab, intercepted: Ear
) -> None:
    Router("gw1", Interception.OUTBOUND)
    below = lab.udp("ar1", IPv6Address("2001:db8:1::2"))
    other = IPv6Network((int(HNP2.network_address) + (1 << 64), 64))

    for _ in range(20):
        for host in (1, 2):
            below.sendto(b"one", (str(HNP2[host]), 9))
        below.sendto(b"two", (str(other[1]), 9))

    assert intercepted.hears(2)
    assert not intercepted.hears(3, deadline_s=0.2)
    assert {IPv6Network((s.destination, 64), strict=False) for s in intercepted.heard} == {
        HNP2,
        other,
    }
    assert intercepted.heard[0].source == IPv6Address("2001:db8:1::2")


def test_a_visitors_packets_to_fixed_hosts_of_other_networks_are_sampled(
    lab: Lab, intercepted: Ear
) -> None:
    Router("gw1", Interception.VISITORS)
    Router("ar1").install(Delivery(HNP3, "mn", MN_LL))
    lab.attach("ar1")
    visitor = lab.give_address(HNP3)

    lab.udp("mn", visitor).sendto(b"hello", (CN, 9))

    assert intercepted.hears(1)
    assert (intercepted.heard[0].source, str(intercepted.heard[0].destination)) == (visitor, CN)


def test_a_gateway_leaves_the_hosts_of_an_access_router_with_an_mr_to_that(
    lab: Lab, intercepted: Ear
) -> None:
    address = IPv6Address("2001:db8:1::2")
    below = lab.udp("ar1", address)

    Router("gw1", Interception.REMAINING, access_mrs=[{"prefixes": [address], "mr": address}])
    below.sendto(b"seen there", (str(HNP2[1]), 9))
    assert not intercepted.hears(1, deadline_s=0.2)

    Router("gw1", Interception.REMAINING)
    below.sendto(b"seen nowhere else", (str(HNP2[1]), 9))
    assert intercepted.hears(1)


@pytest.fixture
def homebound(lab: Lab) -> Iterator[Ear]:
    """What gw1 hears of packets to its own network's nodes."""
    del lab
    Router("gw1", Interception.HOMEBOUND)
    Router("ar1")  # answers for absent nodes
    ear = Ear("gw1", INTERCEPTED_GROUP)
    yield ear
    ear.nflog.close()


def test_packets_from_elsewhere_to_a_networks_own_nodes_are_sampled_where_wanted(
    lab: Lab, homebound: Ear
) -> None:
    lab.udp("cn", CN).sendto(b"hello", (str(HNP1[5]), 9))
    lab.udp("ar1", IPv6Address("2001:db8:1::2")).sendto(b"hello", (str(HNP1[5]), 9))

    assert homebound.hears(1)
    assert not homebound.hears(2, deadline_s=0.2), "from its own network nobody has to be told"
    (sample,) = homebound.heard
    assert (str(sample.source), sample.destination, sample.inner) == (CN, HNP1[5], None)


def test_of_tunnelled_ones_it_is_told_who_tunnelled_them(lab: Lab, homebound: Ear) -> None:
    gw1, gw2 = (IPv6Address(ADDRESS[host]) for host in ("gw1", "gw2"))
    Router("gw2").install(CacheRoute(HNP1, gw1))

    lab.udp("cn", CN).sendto(b"hello", (str(HNP1[5]), 9))

    assert homebound.hears(1)
    (sample,) = homebound.heard
    assert (sample.source, sample.destination) == (gw2, gw1)
    assert sample.inner == (IPv6Address(CN), HNP1[5])


def test_plain_traffic_between_fixed_hosts_is_nobodys_business(lab: Lab, intercepted: Ear) -> None:
    Router("gw1")
    below, cn = lab.udp("ar1", IPv6Address("2001:db8:1::2")), lab.udp("cn", CN)

    assert goes(below, cn)
    assert goes(cn, below)
    assert not intercepted.hears(1, deadline_s=0.2)


def test_a_group_can_have_one_reader(intercepted: Ear) -> None:
    del intercepted
    with inside("gw1"), pytest.raises(NflogError, match="another agent"):
        Nflog([INTERCEPTED_GROUP])


def test_neighbour_discovery_works_before_a_source_is_delivered(lab: Lab) -> None:
    Router("ar1")
    lab.attach("ar1")
    address = lab.give_address(HNP1)
    link = lab.sniff("ar1", "mn")
    with contextlib.suppress(TimeoutError):
        lab.udp("mn", address).sendto(b"who is my router", (CN, 9))

    def advertised() -> bool:
        return any(kind == 58 and payload[0] == 136 for kind, _, _, payload in link.packets())

    assert until(advertised), "ar1 must answer the node's neighbour solicitation"
