"""Which proxy binding updates an LM refuses, and why (RFC 5213, 5.3.1 and 5.5)."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING

import pytest
from steps import HNP1, HNP3, MN2, NOW, Steps, message, prefixes, sent, verdict

from dmm_agent.functions.events import Received
from dmm_agent.functions.proxy_messages import ANY_PREFIX, MAX_PREFIXES
from dmm_agent.wire import (
    AccessTechnologyType,
    BindingAcknowledgement,
    BindingStatus,
    BindingUpdate,
    BindingUpdateFlag,
    HandoffIndicator,
    HomeNetworkPrefix,
    MobileNodeIdentifier,
    Timestamp,
    encode,
)
from dmm_agent.wire.codec import LARGEST_OCTETS

if TYPE_CHECKING:
    from dmm_agent.wire import Option

IN_ORDER = (
    (MobileNodeIdentifier, BindingStatus.MISSING_MN_IDENTIFIER_OPTION),
    ("source", BindingStatus.MAG_NOT_AUTHORIZED_FOR_PROXY_REG),
    ("flag", BindingStatus.PROXY_REG_NOT_ENABLED),
    (Timestamp, BindingStatus.TIMESTAMP_MISMATCH),
    (HomeNetworkPrefix, BindingStatus.MISSING_HOME_NETWORK_PREFIX_OPTION),
    (HandoffIndicator, BindingStatus.MISSING_HANDOFF_INDICATOR_OPTION),
    (AccessTechnologyType, BindingStatus.MISSING_ACCESS_TECH_TYPE_OPTION),
)
"""What an update must have, in the order in which an LM looks for it."""


@pytest.fixture
def lm() -> Steps:
    return Steps("gw1", ["allocator", "lm"])


def without(update: BindingUpdate, *missing: object) -> BindingUpdate:
    options: tuple[Option, ...] = tuple(o for o in update.options if type(o) not in missing)
    flags = update.flags
    if "flag" in missing:
        flags &= ~BindingUpdateFlag.PROXY
    return BindingUpdate(update.sequence, flags, update.lifetime_s, options)


def answer(
    lm: Steps, update: BindingUpdate, source: str = "2001:db8:1::2"
) -> BindingAcknowledgement:
    return message(lm(Received(IPv6Address(source), update)), BindingAcknowledgement)


@pytest.mark.parametrize(("missing", "status"), IN_ORDER)
def test_what_an_update_lacks_is_said(lm: Steps, missing: object, status: int) -> None:
    source = "2001:db8:9::2" if missing == "source" else "2001:db8:1::2"
    refused = answer(lm, without(lm.update(), missing), source)
    assert (refused.status, refused.lifetime_s, refused.sequence) == (status, 0, 7)
    assert lm.table("leases") == []


def test_of_several_mistakes_the_first_in_order_is_said(lm: Steps) -> None:
    for place, (_, status) in enumerate(IN_ORDER):
        missing = [what for what, _ in IN_ORDER[place:]]
        source = "2001:db8:9::2" if "source" in missing else "2001:db8:1::2"
        assert answer(lm, without(lm.update(), *missing), source).status == status


@pytest.mark.parametrize("source", ["2001:db8:1:8100::1", "2001:db8:1:4100::ff"])
def test_nobody_on_an_access_link_can_play_access_router(lm: Steps, source: str) -> None:
    refused = answer(lm, lm.update(), source)
    assert refused.status == BindingStatus.MAG_NOT_AUTHORIZED_FOR_PROXY_REG


def test_a_node_without_a_policy_gets_no_service(lm: Steps) -> None:
    refused = answer(lm, lm.update(mn_id="stranger@example"))
    assert refused.status == BindingStatus.PROXY_REG_NOT_ENABLED


@pytest.mark.parametrize(("off_s", "accepted"), [(-0.29, True), (0.29, True), (-0.31, False)])
def test_a_clock_may_be_off_by_the_validity_window(
    lm: Steps, *, off_s: float, accepted: bool
) -> None:
    got = answer(lm, lm.update(time=Timestamp.at(NOW + off_s)))
    assert (got.status == BindingStatus.ACCEPTED) is accepted


def test_a_refusal_for_the_clock_tells_ours(lm: Steps) -> None:
    refused = answer(lm, lm.update(time=Timestamp.at(NOW - 99)))
    assert refused.first(Timestamp) == Timestamp.at(NOW)


def test_any_other_answer_echoes_the_update(lm: Steps) -> None:
    update = lm.update(time=Timestamp.at(NOW - 0.125))
    got = answer(lm, update)
    for kind in (MobileNodeIdentifier, HandoffIndicator, AccessTechnologyType, Timestamp):
        assert got.first(kind) == update.first(kind)


@pytest.mark.parametrize(
    "prefix",
    [
        pytest.param("2001:db8:1:8105::/64", id="leased to nobody"),
        pytest.param("2001:db8:1:8100::/63", id="more than a lease"),
        pytest.param("2001:db8:1:4100::/64", id="fixed"),
        pytest.param("2001:db8:77:8000::/64", id="of no network"),
    ],
)
def test_a_prefix_that_is_not_the_nodes_is_refused(lm: Steps, prefix: str) -> None:
    lm.receive("ar11", lm.update())
    asked = IPv6Network(prefix)
    effects = lm.receive("gw3", lm.update(asked, after_s=1))
    expected = BindingStatus.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX
    assert verdict(effects) == (expected, 0, [asked])
    assert lm.locations() == {}


def test_a_prefix_of_another_node_is_refused(lm: Steps) -> None:
    lm.receive("ar11", lm.update())
    status, _, _ = verdict(lm.receive("gw3", lm.update(HNP1, mn_id=MN2, after_s=1)))
    assert status == BindingStatus.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX


def test_what_is_the_nodes_is_accepted_next_to_what_is_not(lm: Steps) -> None:
    lm.receive("ar11", lm.update())
    update = lm.update(IPv6Network("2001:db8:1:8101::/64"), HNP1)
    assert verdict(lm.receive("gw3", update)) == (0, 60, [HNP1])


def test_without_hierarchy_it_stands_in_for_no_visitor() -> None:
    lm = Steps("gw1", ["allocator", "lm"], lm={"hierarchy": False})
    effects = lm.receive("ar11", lm.update(HNP3))
    assert sent(effects) == [("BindingAcknowledgement", "ar11")]
    assert verdict(effects)[0] == BindingStatus.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX


def test_a_full_database_refuses_new_prefixes_and_keeps_the_old() -> None:
    lm = Steps("gw1", ["allocator", "lm"], lm={"max_bindings": 1})
    lm.receive("ar11", lm.update())
    second = prefixes(message(lm.receive("ar11", lm.update(mn_id=MN2)), BindingAcknowledgement))
    assert verdict(lm.receive("gw3", lm.update(HNP1, after_s=1)))[0] == BindingStatus.ACCEPTED
    status, _, _ = verdict(lm.receive("gw3", lm.update(*second, mn_id=MN2, after_s=1)))
    assert status == BindingStatus.INSUFFICIENT_RESOURCES
    assert verdict(lm.receive("gw2", lm.update(HNP1, after_s=1)))[0] == BindingStatus.ACCEPTED


def test_an_update_with_more_prefixes_than_an_answer_has_room_for_is_refused(lm: Steps) -> None:
    hnps = list(IPv6Network("2001:db8:1:8100::/57").subnets(new_prefix=64))[: MAX_PREFIXES + 1]
    effects = lm.receive("ar11", lm.update(*hnps, mn_id=f"{'x' * 240}@example"))
    assert verdict(effects) == (BindingStatus.REASON_UNSPECIFIED, 0, [])


def test_the_longest_answer_fits_into_a_message(lm: Steps) -> None:
    hnps = list(IPv6Network("2001:db8:1:8100::/58").subnets(new_prefix=64))
    update = lm.update(*hnps, mn_id="x" * 254, link_layer="02" * 16)
    assert len(hnps) == MAX_PREFIXES
    refused = answer(lm, update)
    assert prefixes(refused) == hnps
    assert len(encode(refused, IPv6Address("::1"), IPv6Address("::2"))) <= LARGEST_OCTETS


def test_a_prefix_that_is_named_twice_is_one(lm: Steps) -> None:
    lm.receive("ar11", lm.update())
    assert verdict(lm.receive("gw3", lm.update(HNP1, HNP1, after_s=1)))[2] == [HNP1]


def test_an_exhausted_pool_is_said(lm: Steps) -> None:
    lm = Steps("gw1", ["allocator", "lm"], allocator={"max_leases": 1})
    lm.receive("ar11", lm.update())
    effects = lm.receive("ar11", lm.update(mn_id=MN2))
    assert verdict(effects) == (BindingStatus.INSUFFICIENT_RESOURCES, 0, [ANY_PREFIX])


def test_an_older_update_that_comes_late_changes_nothing(lm: Steps) -> None:
    lm.receive("ar11", lm.update())
    late = lm.update(HNP1, time=Timestamp.at(NOW + 0.9))
    lm.receive("gw3", lm.update(HNP1, after_s=1))
    status, _, _ = verdict(lm.receive("gw2", late))
    assert status == BindingStatus.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED
    assert lm.locations() == {str(HNP1): "gw3"}


def test_the_order_of_updates_is_known_after_the_binding_has_gone(lm: Steps) -> None:
    lm.receive("ar11", lm.update())
    late = lm.update(HNP1, time=Timestamp.at(NOW + 0.9))
    lm.receive("gw3", lm.update(HNP1, after_s=1))
    lm.receive("ar11", lm.update(HNP1, after_s=0.1))
    status, _, _ = verdict(lm.receive("gw3", late))
    assert status == BindingStatus.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED
    assert lm.locations() == {}


def test_a_duplicate_of_an_accepted_update_is_accepted_again(lm: Steps) -> None:
    lm.receive("ar11", lm.update())
    update = lm.update(HNP1, time=Timestamp.at(NOW + 1))
    first = verdict(lm.receive("gw3", update, after_s=1))
    assert verdict(lm.receive("gw3", update)) == first


def test_of_two_updates_of_one_moment_from_two_places_the_first_wins(lm: Steps) -> None:
    lm.receive("ar11", lm.update())
    update = lm.update(HNP1, time=Timestamp.at(NOW + 1))
    lm.receive("gw3", update, after_s=1)
    status, _, _ = verdict(lm.receive("gw2", update))
    assert status == BindingStatus.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED
