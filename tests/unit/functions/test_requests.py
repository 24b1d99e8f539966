"""Requests that wait for an answer: repeated with growing pauses, bounded."""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from steps import all_of

from dmm_agent.functions.effects import CancelTimer, Effect, Send, SetTimer
from dmm_agent.functions.requests import Patience, Requests
from dmm_agent.wire import LocationQuery

if TYPE_CHECKING:
    from collections.abc import Hashable

PEER = IPv6Address("2001:db8::1")


def make(attempt: int, now: float) -> LocationQuery:
    """Each copy says which one it is."""
    del now
    return LocationQuery(sequence=attempt)


def start(requests: Requests, key: Hashable, patience: Patience) -> list[Effect]:
    return list(requests.start(key, PEER, make, patience, 0.0))


def attempts(effects: list[Effect]) -> list[int]:
    copies = [send.message for send in all_of(effects, Send)]
    return [copy.sequence for copy in copies if isinstance(copy, LocationQuery)]


def test_copies_are_sent_with_growing_pauses_and_then_no_more() -> None:
    requests = Requests("x")
    effects = start(requests, "k", Patience(attempts=5, first_wait_s=1, longest_wait_s=4))
    seen = []
    while effects:
        (timer,) = all_of(effects, SetTimer)
        seen.append((*attempts(effects), timer.at_s))
        effects = list(requests.again("k", timer.at_s))
    assert seen == [(0, 1), (1, 3), (2, 7), (3, 11), (4, 15)]
    assert "k" not in requests


def test_an_answer_ends_it() -> None:
    requests = Requests("x")
    start(requests, "k", Patience(attempts=5))
    assert list(requests.finish("k")) == [CancelTimer("x", ("request", "k"))]
    assert list(requests.again("k", 1.0)) == list(requests.finish("k")) == []


def test_who_has_reason_to_hurry_need_not_wait_a_long_pause() -> None:
    requests = Requests("x")
    start(requests, "k", Patience(attempts=None, first_wait_s=1, longest_wait_s=32))
    assert list(requests.hurry("k", 0.5)) == [], "the first pause is short enough"
    for now in (1.0, 3.0):
        list(requests.again("k", now))
    assert attempts(list(requests.hurry("k", 3.5))) == [2]
    assert list(requests.hurry("k", 3.6)) == []
    assert list(requests.hurry("unknown", 3.6)) == []


def test_above_the_limit_the_oldest_is_forgotten() -> None:
    requests = Requests("x", limit=2)
    for key in "abc":
        effects = start(requests, key, Patience(attempts=2))
    assert CancelTimer("x", ("request", "a")) in effects
    assert [key in requests for key in "abc"] == [False, True, True]


def test_a_request_with_the_same_key_takes_the_place_of_the_first() -> None:
    requests = Requests("x", limit=1)
    start(requests, "k", Patience(attempts=2))
    assert attempts(start(requests, "k", Patience(attempts=3))) == [0]
    assert attempts([*requests.again("k", 1.0), *requests.again("k", 2.0)]) == [1, 2]
