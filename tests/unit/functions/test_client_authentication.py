"""A client signs its updates, and believes what its home agents sign (RFC 4285)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from steps import MN1, PLAN, all_of
from test_client import HOME, LINK1, LINK3, LM1, THIRD, Node, asked

from dmm_agent.functions.client import Client, ClientOptions
from dmm_agent.functions.effects import DropAddress, Effect, Install, Record, Send
from dmm_agent.functions.events import Received
from dmm_agent.keys import Keys
from dmm_agent.wire import (
    BindingAckFlag,
    BindingAcknowledgement,
    BindingUpdate,
    MessageIdentifier,
    authenticated,
    encode,
    is_authentic,
)

KEYS = PLAN.keys(PLAN.mobile_nodes.nodes[:1], [n.lm for n in PLAN.directory.networks])
ASSOCIATION = KEYS.between(MN1, LM1)
assert ASSOCIATION is not None
KEY = ASSOCIATION.octets


class Signed(Node):
    """A mobile node with keys."""

    def __init__(self, keys: Keys = KEYS) -> None:
        super().__init__()
        context = replace(self.client.context, keys=keys)
        self.client = Client(context, ClientOptions())

    def away(self) -> BindingUpdate:
        """The first update, after a move with a socket."""
        self.attach(LINK1)
        self.use(HOME)
        return asked(self.attach(LINK3))

    def reply(
        self,
        update: BindingUpdate,
        status: int = 0,
        *,
        key: bytes | None = KEY,
        time: MessageIdentifier | None = None,
    ) -> list[Effect]:
        said = time or update.first(MessageIdentifier)
        granted = update.lifetime_s if status < 128 else 0
        options = () if said is None else (said,)
        answer = BindingAcknowledgement(
            status, BindingAckFlag(0), update.sequence, granted, options
        )
        if key is not None:
            answer = authenticated(answer, key, 256, THIRD, HOME)
        return self(Received(LM1, answer, HOME, encode(answer, LM1, HOME)))


@pytest.fixture
def node() -> Signed:
    return Signed()


def stamp(update: BindingUpdate) -> MessageIdentifier:
    found = update.first(MessageIdentifier)
    assert found is not None
    return found


def test_an_update_says_the_time_and_is_signed(node: Signed) -> None:
    update = node.away()
    assert abs(stamp(update).seconds - node.now) < 1e-3
    assert is_authentic(encode(update, HOME, LM1), KEY, THIRD, HOME)


def test_a_signed_answer_is_believed(node: Signed) -> None:
    assert all_of(node.reply(node.away()), Install) != []


@pytest.mark.parametrize("key", [None, KEY[::-1]])
@pytest.mark.parametrize("status", [0, 129, 146])
def test_an_answer_that_nobody_signed_changes_nothing(
    node: Signed, status: int, key: bytes | None
) -> None:
    update = node.away()
    (said,) = node.reply(update, status, key=key)
    assert isinstance(said, Record)
    assert said.name == "answer_not_believed"
    assert all_of(node.reply(update), Install) != [], "the right one still counts"


def test_an_old_answer_is_not_believed(node: Signed) -> None:
    update = node.away()
    effects = node.reply(update, time=MessageIdentifier(stamp(update).ntp - 1))
    assert [type(effect) for effect in effects] == [Record]


@pytest.mark.parametrize("ahead_s", [-3600, 90])
def test_a_home_agent_of_another_time_is_spoken_to_in_it(node: Signed, ahead_s: int) -> None:
    update = node.away()
    told = stamp(update).ntp + (ahead_s << 32)
    again = asked(node.reply(update, 144, time=MessageIdentifier(told)))
    assert abs(stamp(again).seconds - node.now - ahead_s) <= 1
    assert all_of(node.reply(again), Install) != []


def test_a_home_agent_that_goes_on_about_the_time_is_asked_no_more_often(node: Signed) -> None:
    update = node.away()
    told = stamp(update).ntp + (90 << 32)
    again = asked(node.reply(update, 144, time=MessageIdentifier(told)))
    told = stamp(again).ntp + (90 << 32)
    assert all_of(node.reply(again, 144, time=MessageIdentifier(told)), Send) == []


def test_a_signed_refusal_ends_the_address(node: Signed) -> None:
    assert all_of(node.reply(node.away(), 129), DropAddress) != []


def test_without_a_key_nobody_is_asked() -> None:
    node = Signed(Keys())
    node.attach(LINK1)
    node.use(HOME)
    effects = node.attach(LINK3)
    assert all_of(effects, Send) == []
    assert "no_key" in [record.name for record in all_of(effects, Record)]
