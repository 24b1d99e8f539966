"""The home agent of the functions: an LM that takes updates of mobile nodes themselves."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network
from typing import Any

import pytest
from steps import (
    BINDING_S,
    LEASE_S,
    MN1,
    MN1_MAC,
    MN2,
    PLAN,
    Steps,
    all_of,
    message,
    one,
    timer,
)

from dmm_agent.functions.effects import (
    BindingRoute,
    Effect,
    Install,
    NodeTunnel,
    Remove,
    Send,
    SetTimer,
)
from dmm_agent.functions.events import Received
from dmm_agent.functions.home_agent import is_newer
from dmm_agent.simulator.plan import Plan, make_plan
from dmm_agent.wire import (
    AlternateCareOfAddress,
    BindingAcknowledgement,
    BindingRefreshAdvice,
    BindingStatus,
    BindingUpdate,
    BindingUpdateFlag,
    MobileNodeIdentifier,
)

A_H = BindingUpdateFlag.ACKNOWLEDGE | BindingUpdateFlag.HOME_REGISTRATION
CARE_OF = IPv6Address("2001:db8:3:4100:0:ff:fe00:101")
ELSEWHERE = IPv6Address("2001:db8:2:4100:0:ff:fe00:101")


def formed(prefix: str, mac: str = MN1_MAC) -> IPv6Address:
    """The address that a node forms of a prefix (RFC 4291, appendix A)."""
    octets = bytearray.fromhex(mac.replace(":", ""))
    octets[0] ^= 2
    identifier = bytes(octets[:3]) + b"\xff\xfe" + bytes(octets[3:])
    return IPv6Address(int(IPv6Address(prefix)) | int.from_bytes(identifier, "big"))


HOME = formed("2001:db8:1:4100::")
BINDING = IPv6Network(HOME)


class HomeAgentSteps(Steps):
    """gw1 with an LM that nodes register at, and an MR."""

    def __init__(self, plan: Plan = PLAN, **options: dict[str, Any]) -> None:
        chosen = {
            "lm": {"mobility": "host", "authentication": "none"},
            "mr": {"resolution": "none"},
        }
        super().__init__("gw1", ("allocator", "lm", "mr"), plan, **chosen | options)

    def tell(
        self,
        sequence: int = 1,
        *,
        source: IPv6Address = CARE_OF,
        home: IPv6Address | None = HOME,
        mn_id: str = MN1,
        lifetime_s: int = 40,
        flags: BindingUpdateFlag = A_H,
        alternate: IPv6Address | None = None,
        after_s: float = 0.0,
    ) -> list[Effect]:
        """Let time pass, then bring a binding update."""
        options = [MobileNodeIdentifier.nai(mn_id)] if mn_id else []
        more = [] if alternate is None else [AlternateCareOfAddress(alternate)]
        update = BindingUpdate(sequence, flags, lifetime_s, (*options, *more))
        return self(Received(source, update, home), after_s)


def verdict(effects: list[Effect]) -> tuple[int, int]:
    answer = message(effects, BindingAcknowledgement)
    return int(answer.status), answer.lifetime_s


@pytest.fixture
def agent() -> HomeAgentSteps:
    return HomeAgentSteps()


def test_a_node_that_registers_is_bound_leased_and_answered(agent: HomeAgentSteps) -> None:
    effects = agent.tell(sequence=77)
    assert verdict(effects) == (0, 40)
    answer = one(effects, Send)
    assert (answer.destination, answer.home_destination) == (CARE_OF, HOME)
    told = message(effects, BindingAcknowledgement)
    assert told.sequence == 77
    assert told.first(BindingRefreshAdvice) == BindingRefreshAdvice(20)
    (row,) = agent.table("bindings")
    assert (row["hnp"], row["location"], row["mn_id"]) == (str(BINDING), str(CARE_OF), MN1)
    (lease,) = agent.table("leases")
    assert (lease["hnp"], lease["mn_id"], lease["remaining_s"]) == (str(BINDING), MN1, LEASE_S)


def test_packets_are_steered_to_the_care_of_address_and_let_in_from_there(
    agent: HomeAgentSteps,
) -> None:
    routes = [effect.route for effect in all_of(agent.tell(), Install)]
    assert routes == [BindingRoute(BINDING, CARE_OF), NodeTunnel(BINDING, CARE_OF)]
    moved = [e.route for e in all_of(agent.tell(2, source=ELSEWHERE), Install)]
    assert moved == [BindingRoute(BINDING, ELSEWHERE), NodeTunnel(BINDING, ELSEWHERE)]
    gone = [e.route for e in all_of(agent.tell(3, source=HOME, lifetime_s=0), Remove)]
    assert gone == [BindingRoute(BINDING, ELSEWHERE), NodeTunnel(BINDING, ELSEWHERE)]


def test_a_lifetime_is_no_longer_than_the_binding_the_request_and_the_lease() -> None:
    agent = HomeAgentSteps()
    assert verdict(agent.tell(lifetime_s=1000)) == (0, BINDING_S)
    assert verdict(agent.tell(2, lifetime_s=8)) == (0, 8)
    brief = HomeAgentSteps(allocator={"lease_lifetime_s": 12})
    assert verdict(brief.tell(lifetime_s=1000)) == (0, 12)


def test_each_update_renews_the_lease(agent: HomeAgentSteps) -> None:
    agent.tell()
    agent.tell(2, after_s=30)
    (lease,) = agent.table("leases")
    assert lease["remaining_s"] == LEASE_S


def test_a_binding_that_is_not_renewed_ends_and_with_it_its_routes(agent: HomeAgentSteps) -> None:
    ends = timer(agent.tell(lifetime_s=8), "expiry")
    effects = agent.fire(ends)
    assert len(all_of(effects, Remove)) == 2
    assert agent.table("bindings") == []


def test_no_binding_outlives_its_lease() -> None:
    agent = HomeAgentSteps(allocator={"lease_lifetime_s": 12})
    effects = agent.tell(lifetime_s=1000)
    lease_ends = next(t for t in all_of(effects, SetTimer) if t.owner == "allocator")
    agent.fire(lease_ends)
    assert agent.table("bindings") == []
    assert agent.table("leases") == []


@pytest.mark.parametrize("home", [HOME, None])
def test_a_node_back_home_is_let_go_of(agent: HomeAgentSteps, home: IPv6Address | None) -> None:
    agent.tell()
    effects = agent.tell(2, source=HOME, home=home, lifetime_s=0)
    assert verdict(effects) == (0, 0)
    answer = one(effects, Send)
    assert (answer.destination, answer.home_destination) == (HOME, home)
    assert agent.table("bindings") == []


def test_a_node_is_let_go_of_from_elsewhere_when_its_sessions_end(agent: HomeAgentSteps) -> None:
    agent.tell()
    assert verdict(agent.tell(2, lifetime_s=0)) == (0, 0)
    assert agent.table("bindings") == []


def test_a_de_registration_of_what_is_not_bound_is_answered_so(agent: HomeAgentSteps) -> None:
    assert verdict(agent.tell(lifetime_s=0)) == (133, 0)


def test_an_update_that_is_not_newer_is_refused_with_the_last_sequence(
    agent: HomeAgentSteps,
) -> None:
    agent.tell(10)
    effects = agent.tell(10, source=ELSEWHERE)
    assert verdict(effects) == (BindingStatus.SEQUENCE_OUT_OF_WINDOW, 0)
    assert message(effects, BindingAcknowledgement).sequence == 10
    assert agent.table("bindings")[0]["location"] == str(CARE_OF)


def test_a_late_copy_does_not_bring_back_what_was_de_registered(agent: HomeAgentSteps) -> None:
    agent.tell(10)
    agent.tell(11, lifetime_s=0)
    assert verdict(agent.tell(10)) == (BindingStatus.SEQUENCE_OUT_OF_WINDOW, 0)
    assert agent.table("bindings") == []


def test_an_update_that_comes_after_what_takes_it_back_binds_nothing(
    agent: HomeAgentSteps,
) -> None:
    assert verdict(agent.tell(11, source=HOME, lifetime_s=0)) == (133, 0)
    assert verdict(agent.tell(10)) == (BindingStatus.SEQUENCE_OUT_OF_WINDOW, 0)
    assert agent.table("bindings") == []


def test_sequence_numbers_go_round() -> None:
    assert is_newer(16, 15)
    assert is_newer(32782, 15)
    assert not is_newer(32783, 15)
    assert not is_newer(15, 15)
    assert is_newer(0, 65535)
    assert not is_newer(65535, 0)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"flags": BindingUpdateFlag.ACKNOWLEDGE}, 131),
        ({"home": formed("2001:db8:2:4100::")}, 132),
        ({"home": formed("2001:db8:1:8100::")}, 132),
        ({"home": IPv6Address("2001:db8:1:4100::1")}, 129),
        ({"home": formed("2001:db8:1:4100::", "02:00:00:00:09:09")}, 129),
        ({"mn_id": "nobody@dmm.example"}, 129),
        ({"mn_id": MN2}, 129),
        ({"mn_id": ""}, 129),
        ({"source": IPv6Address("ff02::1")}, 174),
        ({"source": IPv6Address("fe80::1")}, 174),
        ({"alternate": ELSEWHERE}, 174),
    ],
)
def test_what_is_not_in_order_is_refused(
    agent: HomeAgentSteps, changes: dict[str, Any], status: int
) -> None:
    assert verdict(agent.tell(**changes)) == (status, 0)
    assert agent.table("bindings") == []
    assert agent.table("leases") == []


def test_a_node_that_mobility_is_declined_to_is_refused() -> None:
    agent = HomeAgentSteps(make_plan(networks=3, access_routers=2, mobile_nodes=2, declined=2))
    assert verdict(agent.tell()) == (129, 0)
    assert agent.table("leases") == []


def test_no_address_that_is_bound_itself_is_a_care_of_address(agent: HomeAgentSteps) -> None:
    other = formed("2001:db8:1:4101::")
    agent.tell()
    assert verdict(agent.tell(home=other, source=HOME)) == (174, 0)


def test_a_full_allocator_says_so() -> None:
    agent = HomeAgentSteps(allocator={"max_leases": 1})
    agent.tell()
    other = formed("2001:db8:1:4101::")
    assert verdict(agent.tell(home=other)) == (130, 0)


def test_an_lm_of_networks_that_do_it_all_takes_no_nodes_updates() -> None:
    agent = HomeAgentSteps(lm={"mobility": "network"})
    status, _ = verdict(agent.tell())
    assert status >= 128
    assert agent.table("bindings") == []
