"""A node that mobility is declined to gets plain IP at its access router, and nothing more."""

from __future__ import annotations

from ipaddress import IPv6Network

import pytest
from access_router import Ar as OfferedAr
from steps import HNP1, MN1, MN1_MAC, Steps, all_of, link_local, one

from dmm_agent.functions.effects import (
    Advertise,
    AdvertisedPrefix,
    Delivery,
    Effect,
    Install,
    Probe,
    Record,
    Remove,
    Send,
    SetTimer,
)
from dmm_agent.functions.events import Attached, Detached, Observed, ProbeAnswered, Received
from dmm_agent.simulator.plan import make_plan
from dmm_agent.wire import BindingAcknowledgement, BindingStatus

PLAN = make_plan(networks=3, access_routers=2, mobile_nodes=1, declined=1)
PLAIN = IPv6Network("2001:db8:3:4100::/64")
ELSEWHERE = IPv6Network("2001:db8:1:4200::/64")
LINK_LOCAL = link_local(MN1_MAC)
DELIVERY = Delivery(PLAIN, "mn1", LINK_LOCAL)


class Ar(Steps):
    """The proxy at ar31, whose one node is declined."""

    def __init__(self) -> None:
        super().__init__("ar31", ["proxy"], PLAN, proxy={"advertisement_interval_s": 5})

    def attach(self, *, solicited: bool = True) -> list[Effect]:
        return self(Attached("mn1", MN1_MAC, LINK_LOCAL, solicited))

    def tick(self, effects: list[Effect]) -> list[Effect]:
        return self.fire(one(effects, SetTimer))


@pytest.fixture
def ar() -> Ar:
    return Ar()


def test_it_is_told_the_plain_prefix_of_its_link_at_once(ar: Ar) -> None:
    done = ar.attach()
    assert one(done, Install).route == DELIVERY
    assert one(done, Advertise) == Advertise(
        "mn1", LINK_LOCAL, (AdvertisedPrefix(PLAIN, preferred_s=10, valid_s=30),), 30
    )
    assert [row["prefixes"] for row in ar.table("attachments")] == [[str(PLAIN)]]


def test_nothing_is_ever_signalled_for_it(ar: Ar) -> None:
    done = ar.attach()
    for _ in range(5):
        done = [*ar.tick(done), *ar(ProbeAnswered("mn1", MN1_MAC))]
        done += ar.attach() + ar(Observed("mn1", MN1_MAC, HNP1[5]))
        assert all_of(done, Send) == []
        assert {route.route for route in all_of(done, Install)} == set()
    assert all_of(ar(Detached("mn1")), Send) == []


def test_it_is_told_again_and_again_and_when_it_asks(ar: Ar) -> None:
    done = ar.attach()
    assert all_of(ar.tick(done), Advertise)
    assert all_of(ar.attach(solicited=True), Advertise)
    assert not all_of(ar.attach(solicited=False), Advertise)


def test_when_it_leaves_nothing_stays(ar: Ar) -> None:
    ar.attach()
    assert one(ar(Detached("mn1")), Remove).route == DELIVERY
    assert ar.table("attachments") == []
    assert not all_of(ar(Detached("mn1")), Remove)


def test_one_that_falls_silent_is_let_go_and_looked_for(ar: Ar) -> None:
    done = ar.attach()
    for _ in range(3):
        done = ar.tick(done)
        assert ar.table("attachments")
    done = ar.tick(done)
    assert one(done, Remove).route == DELIVERY
    assert ar.table("attachments") == []
    assert str(one(done, Probe).link_local) == "ff02::1"
    assert one(ar.tick(done), Probe)
    assert one(ar.attach(), Install).route == DELIVERY


def test_one_that_answers_is_not(ar: Ar) -> None:
    done = ar.attach()
    for _ in range(6):
        done = ar.tick(done)
        ar(ProbeAnswered("mn1", MN1_MAC))
    assert ar.table("attachments")


def test_the_address_of_a_link_that_it_left_is_deprecated_when_it_is_used(ar: Ar) -> None:
    ar.attach()
    told = one(ar(Observed("mn1", MN1_MAC, ELSEWHERE[5])), Advertise).prefixes
    assert AdvertisedPrefix(ELSEWHERE, 0, 0) in told
    assert not all_of(ar(Observed("mn1", "02:00:00:00:00:99", ELSEWHERE[5])), Advertise)


def test_it_is_not_told_so_with_every_packet_or_linux_would_keep_the_address(ar: Ar) -> None:
    ar.attach()
    told = [all_of(ar(Observed("mn1", MN1_MAC, ELSEWHERE[5]), 0.1), Advertise) for _ in range(60)]
    assert [len(each) for each in told].count(1) == 2


def test_a_link_without_a_plain_prefix_is_said() -> None:
    ar = Ar()
    bare = ar.node.functions["proxy"].context.plain_prefixes
    bare.clear()  # type: ignore[attr-defined]
    assert [r.name for r in all_of(ar.attach(), Record)] == ["no_plain_prefix"]


def test_it_is_in_the_table_like_other_nodes(ar: Ar) -> None:
    offered = OfferedAr()
    offered.attach()
    ar.attach()
    (row,), (other,) = ar.table("attachments"), offered.table("attachments")
    assert row.keys() == other.keys()


def test_an_lm_refuses_to_serve_it() -> None:
    lm = Steps("gw1", ["allocator", "lm"], PLAN)
    done = lm(Received(PLAN.routers["ar11"].address, lm.update(mn_id=MN1)))
    answers = [s.message for s in all_of(done, Send)]
    assert [a.status for a in answers if isinstance(a, BindingAcknowledgement)] == [
        BindingStatus.PROXY_REG_NOT_ENABLED
    ]
    assert lm.table("leases") == []
