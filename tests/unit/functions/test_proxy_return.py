"""A node may be back at an access router that has not missed it."""

from __future__ import annotations

import functools
import operator

import pytest
from access_router import Ar
from steps import (
    HNP1,
    HNP3,
    all_of,
    attached,
    message,
    prefixes,
    sent,
)

from dmm_agent.functions.effects import (
    Send,
)
from dmm_agent.functions.events import TimerFired
from dmm_agent.functions.proxy_messages import ANY_PREFIX
from dmm_agent.wire import (
    BindingUpdate,
    Handoff,
    HandoffIndicator,
)


@pytest.fixture
def ar() -> Ar:
    return Ar()


def test_a_known_node_that_solicits_is_registered_anew_for_it_may_have_been_elsewhere(
    ar: Ar,
) -> None:
    ar.attach()
    update = message(ar(attached(), after_s=1), BindingUpdate)
    assert prefixes(update) == [ANY_PREFIX]
    assert update.first(HandoffIndicator) == HandoffIndicator(Handoff.UNKNOWN)
    assert ar.served() == [str(HNP3)], "and served meanwhile"


def test_so_are_the_prefixes_it_had_brought_along(ar: Ar) -> None:
    ar.attach()
    ar.bring(HNP1)
    first, second = all_of(ar(attached(), after_s=1), Send)
    assert [prefixes(first.message), prefixes(second.message)] == [[ANY_PREFIX], [HNP1]]


def test_however_often_it_solicits_that_is_once_a_second_and_nothing_is_forgotten(ar: Ar) -> None:
    ar.attach()
    sooner = [sent(ar(attached(), after_s=0.1)) for _ in range(9)]
    assert functools.reduce(operator.iadd, sooner, []) == []
    assert sent(ar(TimerFired("proxy", ("tick", "mn1")), after_s=1)) == [("BindingUpdate", "gw3")]
    assert sent(ar(TimerFired("proxy", ("tick", "mn1")), after_s=1)) == []


def test_unanswered_registrations_do_not_pile_up(ar: Ar) -> None:
    ar.attach()
    ar.bring(HNP1)
    for _ in range(100):
        ar(attached(), after_s=1)
    assert ar.table("attachments")[0]["waiting"] == 2
