"""A home agent believes updates that a node's key stands behind, and no others (RFC 4285)."""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import Any

import pytest
from steps import MN1, MN2, PLAN, Steps, all_of, message

from dmm_agent.functions.effects import Effect, Record, Send
from dmm_agent.functions.events import Received
from dmm_agent.wire import (
    BindingAcknowledgement,
    BindingUpdate,
    BindingUpdateFlag,
    MessageIdentifier,
    MobileNodeIdentifier,
    Option,
    authenticated,
    decode,
    encode,
    is_authentic,
)

HOME = IPv6Address("2001:db8:1:4100:0:ff:fe00:1")
CARE_OF = IPv6Address("2001:db8:3:4100:0:ff:fe00:1")
A_H = BindingUpdateFlag.ACKNOWLEDGE | BindingUpdateFlag.HOME_REGISTRATION
GW1 = PLAN.routers["gw1"].address
NODES = PLAN.mobile_nodes.nodes


def key_of(mn_id: str) -> bytes:
    association = PLAN.keys(NODES, [GW1]).between(mn_id, GW1)
    assert association is not None
    return association.octets


class Agent(Steps):
    """gw1 as home agent, with the nodes' keys."""

    def __init__(self) -> None:
        options: dict[str, Any] = {"lm": {"mobility": "host"}, "mr": {"resolution": "none"}}
        super().__init__("gw1", ("allocator", "lm", "mr"), **options)
        self.sequence = 0

    def octets(
        self,
        *,
        signer: str | None = MN1,
        spi: int = 256,
        ahead_s: float | None = 0.0,
        lifetime_s: int = 40,
    ) -> bytes:
        """An update of the first node's, signed with a node's key."""
        self.sequence += 1
        options: list[Option] = [MobileNodeIdentifier.nai(MN1)]
        if ahead_s is not None:
            options.append(MessageIdentifier.at(self.now + ahead_s))
        update = BindingUpdate(self.sequence, A_H, lifetime_s, tuple(options))
        if signer is not None:
            update = authenticated(update, key_of(signer), spi, CARE_OF, HOME)
        return encode(update, HOME, GW1)

    def bring(self, octets: bytes, source: IPv6Address = CARE_OF) -> list[Effect]:
        return self(Received(source, decode(octets), HOME, octets))

    def state(self) -> object:
        tables = [self.table(name) for name in ("bindings", "leases")]
        return [[{**row, "remaining_s": 0} for row in rows] for rows in tables]


@pytest.fixture
def agent() -> Agent:
    return Agent()


def status(effects: list[Effect]) -> int:
    return int(message(effects, BindingAcknowledgement).status)


def events(effects: list[Effect]) -> list[str]:
    return [record.name for record in all_of(effects, Record)]


def test_an_update_with_the_nodes_key_is_taken_and_the_answer_is_signed(agent: Agent) -> None:
    octets = agent.octets()
    effects = agent.bring(octets)
    (sent,) = all_of(effects, Send)
    assert status(effects) == 0
    answer = encode(sent.message, GW1, HOME)
    assert is_authentic(answer, key_of(MN1), CARE_OF, HOME)
    assert message(effects, BindingAcknowledgement).first(MessageIdentifier) is not None
    assert len(agent.table("bindings")) == 1


@pytest.mark.parametrize("options", [{"signer": None}, {"spi": 257}])
def test_an_update_without_a_known_authenticator_is_discarded(
    agent: Agent, options: dict[str, Any]
) -> None:
    effects = agent.bring(agent.octets(**options))
    assert all_of(effects, Send) == []
    assert events(effects) == ["unauthenticated_update"]
    assert agent.state() == [[], []]


def test_an_update_signed_with_another_nodes_key_is_refused_and_changes_nothing(
    agent: Agent,
) -> None:
    agent.bring(agent.octets())
    before = agent.state()
    effects = agent.bring(agent.octets(signer=MN2, lifetime_s=0))
    assert status(effects) == 146
    assert events(effects) == ["update_not_believed"]
    assert agent.state() == before


def test_what_somebody_else_sends_on_from_his_own_address_is_refused(agent: Agent) -> None:
    effects = agent.bring(agent.octets(), source=IPv6Address("2001:db8:2:4100::66"))
    assert status(effects) == 146
    assert agent.state() == [[], []]


def test_an_update_without_the_time_is_told_that_it_must_have_it(agent: Agent) -> None:
    assert status(agent.bring(agent.octets(ahead_s=None))) == 145
    assert agent.state() == [[], []]


@pytest.mark.parametrize("ahead_s", [-8.0, 8.0, 86400.0])
def test_an_update_of_another_time_is_told_ours(agent: Agent, ahead_s: float) -> None:
    octets = agent.octets(ahead_s=ahead_s)
    effects = agent.bring(octets)
    assert status(effects) == 144
    answer = message(effects, BindingAcknowledgement).first(MessageIdentifier)
    assert answer is not None
    assert 0 <= agent.now - MessageIdentifier(answer.ntp >> 32 << 32).seconds < 1
    asked = MessageIdentifier.at(agent.now + ahead_s)
    assert answer.ntp & 0xFFFFFFFF == asked.ntp & 0xFFFFFFFF, "so that the node knows its own"
    assert agent.state() == [[], []]


@pytest.mark.parametrize("ahead_s", [-6.5, 6.5])
def test_a_clock_that_is_nearly_right_will_do(agent: Agent, ahead_s: float) -> None:
    assert status(agent.bring(agent.octets(ahead_s=ahead_s))) == 0


def test_an_update_that_comes_a_second_time_is_refused(agent: Agent) -> None:
    first = agent.octets()
    assert status(agent.bring(first)) == 0
    assert status(agent.bring(agent.octets(ahead_s=0.5, lifetime_s=0))) == 0
    assert status(agent.bring(first)) == 144
    assert agent.table("bindings") == []


def test_the_newest_time_outlasts_the_agent(agent: Agent) -> None:
    octets = agent.octets(ahead_s=3.0)
    assert status(agent.bring(octets)) == 0
    agent.restart()
    assert status(agent.bring(octets)) == 144
