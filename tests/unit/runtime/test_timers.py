from __future__ import annotations

import heapq

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmm_agent.functions.effects import CancelTimer, SetTimer
from dmm_agent.runtime.timers import MIN_GARBAGE, Timers


def due(timers: Timers, now: float) -> list[tuple[str, object]]:
    return list(timers.due(now))


def test_timers_fire_in_order_of_time_and_once() -> None:
    timers = Timers()
    for key, at_s in (("late", 3.0), ("early", 1.0), ("middle", 2.0)):
        timers.set(SetTimer("lm", key, at_s))

    assert timers.next_at() == 1.0
    assert due(timers, 2.5) == [("lm", "early"), ("lm", "middle")]
    assert due(timers, 9.0) == [("lm", "late")]
    assert (timers.next_at(), len(timers)) == (None, 0)


def test_setting_again_replaces_and_cancelling_forgets() -> None:
    timers = Timers()
    timers.set(SetTimer("mr", ("lapse", 1), 1.0))
    timers.set(SetTimer("mr", ("lapse", 1), 5.0))
    timers.set(SetTimer("lm", ("lapse", 1), 2.0))
    timers.cancel(CancelTimer("lm", ("lapse", 1)))
    timers.cancel(CancelTimer("lm", "never set"))

    assert due(timers, 4.0) == []
    assert due(timers, 5.0) == [("mr", ("lapse", 1))]


def test_a_timer_set_for_the_past_while_firing_waits_for_its_turn() -> None:
    timers = Timers()
    timers.set(SetTimer("lm", "again", 1.0))
    fired = 0
    for owner, key in timers.due(2.0):
        fired += 1
        timers.set(SetTimer(owner, key, 1.5))

    assert fired == 1
    assert due(timers, 2.0) == [("lm", "again")]


def test_a_timer_cancelled_while_another_fires_stays_silent() -> None:
    timers = Timers()
    timers.set(SetTimer("lm", "first", 1.0))
    timers.set(SetTimer("lm", "second", 1.0))
    fired = []
    for _, key in timers.due(2.0):
        fired.append(key)
        timers.cancel(CancelTimer("lm", "second"))

    assert fired == ["first"]


def test_timers_that_are_set_again_and_again_do_not_pile_up() -> None:
    timers = Timers()
    for at_s in range(10_000):
        timers.set(SetTimer("mr", "refresh", float(at_s)))

    assert len(timers._heap) <= 2 * MIN_GARBAGE


@given(
    st.lists(st.tuples(st.sampled_from("sc"), st.integers(0, 5), st.floats(0, 100)), max_size=60),
    st.floats(0, 100),
)
def test_what_fires_is_what_a_plain_dictionary_says(
    steps: list[tuple[str, int, float]], now: float
) -> None:
    timers, model = Timers(), dict[int, float]()
    for verb, key, at_s in steps:
        if verb == "s":
            timers.set(SetTimer("lm", key, at_s))
            model[key] = at_s
        else:
            timers.cancel(CancelTimer("lm", key))
            model.pop(key, None)

    assert timers.next_at() == (min(model.values()) if model else None)
    fired = [key for _, key in due(timers, now)]
    assert sorted(fired, key=str) == sorted(k for k, at_s in model.items() if at_s <= now)
    assert [model[k] for k in fired] == heapq.nsmallest(len(fired), model.values())  # type: ignore[index]


@pytest.mark.parametrize("now", [0.0, 1e9])
def test_no_timers_nothing_due(now: float) -> None:
    assert due(Timers(), now) == []
