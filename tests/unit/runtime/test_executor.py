"""Effects reach the world in the right order, and faults are survived."""

from __future__ import annotations

import json
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any

import pytest

from dmm_agent.dataplane.forwarding import Failure
from dmm_agent.functions.effects import (
    Advertise,
    BindingRoute,
    CacheRoute,
    CancelTimer,
    Effect,
    Forget,
    Install,
    Probe,
    Record,
    Remember,
    Remove,
    Send,
    SendOnLink,
    SetTimer,
)
from dmm_agent.functions.events import (
    Detached,
    Event,
    Inherited,
    Interception,
    Received,
    Restored,
    Started,
    TimerFired,
)
from dmm_agent.runtime.clock import Clock
from dmm_agent.runtime.counters import Counters
from dmm_agent.runtime.executor import Executor
from dmm_agent.runtime.journal import Journal
from dmm_agent.runtime.recorder import Recorder
from dmm_agent.runtime.timers import Timers
from dmm_agent.store.store import StoreError
from dmm_agent.wire import Heartbeat, HeartbeatFlag, Message, decode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from dmm_agent.store.store import Changes

PEER = IPv6Address("2001:db8:2::1")
HNP = IPv6Network("2001:db8:1:8100::/64")
HEARTBEAT = Heartbeat(7, HeartbeatFlag(0))


class World:
    """Functions, data plane, access links and peers that note what happens to them."""

    intercepts: frozenset[Interception] = frozenset()
    hold_limits = None
    rewrites = False
    takes_home_addresses = False
    remembers = True
    steers = True

    def __init__(self, answer: Callable[[Event], list[Effect]]) -> None:
        self.answer = answer
        self.events: list[Event] = []
        self.log: list[Any] = []
        self.refuses = False
        self.disk_is_full = False
        self.remembered: tuple[Remember, ...] = ()
        self.timers, self.journal, self.counters = Timers(), Journal(), Counters()

    def executor(self, recorder: Recorder | None = None, *, access: bool = True) -> Executor:
        self.clock = Clock()
        return Executor(
            self,
            data_plane=self,
            access=self if access else None,
            messenger=self,
            neighbours=self if access else None,
            timers=self.timers,
            clock=self.clock,
            journal=self.journal,
            counters=self.counters,
            memory=self,
            recorder=recorder,
        )

    def handle(self, event: Event, now: float) -> list[Effect]:
        del now
        self.events.append(event)
        return self.answer(event)

    def snapshot(self, now: float) -> dict[str, list[dict[str, Any]]]:
        del now
        return {}

    def apply(self, effects: Sequence[Install | Remove]) -> list[Failure]:
        self.log.append(list(effects))
        return [Failure(effect, "no") for effect in effects] if self.refuses else []

    def stale(self) -> list[Remove]:
        return [Remove(BindingRoute(HNP, PEER))]

    def rows(self) -> list[dict[str, Any]]:
        return []

    def advertise(self, effect: Advertise) -> str | None:
        self.log.append(effect)
        return None

    def probe(self, effect: Probe) -> str | None:
        self.log.append(effect)
        return "no such link"

    def send(
        self, destination: IPv6Address, message: Message, source: IPv6Address | None = None
    ) -> str | None:
        self.log.append((destination, message) if source is None else (destination, source))
        return None

    def send_on_link(self, effect: SendOnLink) -> str | None:
        self.log.append(effect)
        return None

    def write(self, changes: Changes, now: float) -> None:
        assert now <= self.clock.now()
        if self.disk_is_full:
            raise StoreError("agent.db: the store cannot be written")
        self.log.append(dict(changes))

    def read(self) -> tuple[Remember, ...]:
        return self.remembered

    def counted(self, group: str) -> dict[object, object]:
        return {r["key"]: r["count"] for r in self.counters.rows() if r["group"] == group}


def test_forwarding_comes_first_and_in_one_exchange() -> None:
    install, remove = Install(BindingRoute(HNP, PEER)), Remove(CacheRoute(HNP, PEER))
    advertise = Advertise("mn", IPv6Address("fe80::1"), (), 30)
    world = World(lambda _: [Send(PEER, HEARTBEAT), install, advertise, remove])

    world.executor().handle(Started())

    assert world.log == [[install, remove], (PEER, HEARTBEAT), advertise]


def test_without_routes_the_kernel_is_left_alone() -> None:
    world = World(lambda _: [Send(PEER, HEARTBEAT)])

    world.executor().handle(Started())

    assert world.log == [(PEER, HEARTBEAT)]


def test_messages_go_to_neighbours_and_from_the_address_that_was_chosen() -> None:
    said = SendOnLink("mn11", IPv6Address("fe80::1"), HEARTBEAT)
    world = World(lambda _: [said, Send(PEER, HEARTBEAT, HNP[5])])

    world.executor().handle(Started())

    assert world.log == [said, (PEER, HNP[5])]


def test_a_message_to_a_neighbour_of_a_host_without_any_is_a_fault() -> None:
    world = World(lambda _: [SendOnLink("mn11", IPv6Address("fe80::1"), HEARTBEAT)])

    world.executor(access=False).handle(Started())

    assert world.counted("faults") == {"send": 1}


def test_timers_come_back_to_the_function_that_set_them() -> None:
    def answer(event: Event) -> list[Effect]:
        if isinstance(event, Started):
            cancelled: list[Effect] = [SetTimer("lm", "b", 0.0), CancelTimer("lm", "b")]
            return [SetTimer("lm", "a", 0.0), *cancelled, SetTimer("lm", "c", 4e9)]
        return []

    world = World(answer)
    executor = world.executor()
    executor.handle(Started())
    executor.fire_timers()

    assert world.events[1:] == [TimerFired("lm", "a")]


def test_a_function_that_fails_is_counted_and_the_next_event_is_served() -> None:
    def answer(event: Event) -> list[Effect]:
        if isinstance(event, Detached):
            raise KeyError("a mistake in a plugin")
        return [Record("fine", {"a": 1})]

    world = World(answer)
    executor = world.executor()
    executor.handle(Detached("mn"))
    executor.handle(Started())

    assert world.counted("faults") == {"function": 1}
    assert [(row["event"], row["a"]) for row in world.journal.rows()] == [("fine", 1)]
    assert world.counted("events") == {"fine": 1}


def test_what_the_world_refuses_is_counted() -> None:
    world = World(lambda _: [Install(BindingRoute(HNP, PEER)), Probe("gone", PEER)])
    world.refuses = True

    world.executor().handle(Started())

    assert world.counted("faults") == {"forwarding": 1, "probe": 1}


def test_advertising_on_a_host_without_access_links_is_a_fault() -> None:
    world = World(lambda _: [Advertise("mn", PEER, (), 1)])

    world.executor(access=False).handle(Started())

    assert world.counted("faults") == {"advertise": 1}


def test_functions_hear_of_the_routes_that_an_earlier_agent_left() -> None:
    world = World(lambda _: [Remove(BindingRoute(HNP, PEER))])

    world.executor().inherit()

    assert world.events == [Inherited((BindingRoute(HNP, PEER),))]
    assert world.log == [[Remove(BindingRoute(HNP, PEER))]]


def test_sweeping_removes_what_is_stale_and_says_so() -> None:
    world = World(lambda _: [])

    world.executor().sweep()

    assert world.log == [[Remove(BindingRoute(HNP, PEER))]]
    assert [row["prefixes"] for row in world.journal.rows()] == [[str(HNP)]]


def test_inputs_are_recorded_so_that_they_can_be_replayed(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "inputs.jsonl", IPv6Address("2001:db8:1::1"))
    executor = World(lambda _: []).executor(recorder)
    executor.handle(Received(PEER, HEARTBEAT))
    executor.handle(TimerFired("lm", ("lapse", HNP)))
    recorder.close()

    lines = [json.loads(line) for line in (tmp_path / "inputs.jsonl").read_text().splitlines()]
    assert [line["input"] for line in lines] == ["Received", "TimerFired"]
    assert decode(bytes.fromhex(lines[0]["message"])) == HEARTBEAT
    assert lines[0]["source"] == str(PEER)
    assert lines[1]["owner"] == "lm"
    assert lines[0]["at_s"] == pytest.approx(lines[1]["at_s"], abs=1)


ROW = ("lm", "bindings", str(HNP))


def remember(value: int) -> Remember:
    return Remember(*ROW, fields={"a": value})


def test_what_leaves_the_host_leaves_after_the_commit_and_routes_go_before() -> None:
    install, advertise = Install(BindingRoute(HNP, PEER)), Advertise("mn", PEER, (), 30)
    world = World(lambda _: [Send(PEER, HEARTBEAT), remember(1), advertise, install])

    world.executor().handle(Started())

    assert world.log == [[install], {ROW: {"a": 1}}, (PEER, HEARTBEAT), advertise]


def test_events_that_come_together_share_one_commit_in_which_the_last_word_counts() -> None:
    answers: Iterator[list[Effect]] = iter(
        [[remember(1), Send(PEER, HEARTBEAT)], [remember(2)], [Forget("lm", "b", "c")]]
    )
    world = World(lambda _: next(answers))

    world.executor().handle_all([Started(), Detached("a"), Detached("b")])

    assert world.log == [{ROW: {"a": 2}, ("lm", "b", "c"): None}, (PEER, HEARTBEAT)]
    assert world.counted("store") == {"commits": 1, "rows": 2}


def test_what_needs_no_commit_does_not_wait_but_whatever_comes_after_one_that_does() -> None:
    """What it says may rest on what is not on the disk yet."""
    events: list[Event] = [Started(), Detached("a"), Detached("b")]
    sends = {event: Send(PEER, Heartbeat(i, HeartbeatFlag(0))) for i, event in enumerate(events)}
    world = World(lambda e: [sends[e], *([remember(1)] if e == Detached("a") else [])])

    world.executor().handle_all(events)

    (first, second, third) = [(PEER, send.message) for send in sends.values()]
    assert world.log == [first, {ROW: {"a": 1}}, second, third]


def test_what_cannot_be_remembered_is_not_answered_and_is_written_with_the_next() -> None:
    world = World(lambda e: [remember(1), Send(PEER, HEARTBEAT)] if e == Started() else [])
    world.disk_is_full = True
    executor = world.executor()
    executor.handle(Started())
    executor.handle(Detached("a"))
    assert world.log == []
    assert world.counted("faults") == {"store": 2}

    world.disk_is_full = False
    executor.handle(Detached("b"))

    assert world.log == [{ROW: {"a": 1}}], "the answer is lost, as a message can be"
    assert [row["event"] for row in world.journal.rows()] == ["store_recovered"]


def test_while_it_cannot_write_it_says_nothing_that_may_rest_on_it() -> None:
    world = World(lambda e: [remember(1)] if e == Started() else [Send(PEER, HEARTBEAT)])
    world.disk_is_full = True
    executor = world.executor()
    executor.handle(Started())
    executor.handle(Detached("a"))
    assert world.log == []


def test_timers_set_by_an_event_that_waits_for_its_commit_are_set_at_once() -> None:
    """The next event of the same commit may cancel them."""
    answers: dict[Event, list[Effect]] = {
        Started(): [remember(1), SetTimer("lm", "a", 0.0), SetTimer("lm", "b", 0.0)],
        TimerFired("lm", "a"): [remember(2), CancelTimer("lm", "b")],
    }
    world = World(lambda event: answers.get(event, []))
    executor = world.executor()
    executor.handle(Started())
    executor.fire_timers()
    assert world.events == [Started(), TimerFired("lm", "a")]


def test_functions_get_back_what_they_had_remembered() -> None:
    world = World(lambda _: [Install(BindingRoute(HNP, PEER)), Forget(*ROW)])
    world.remembered = (remember(1),)
    world.executor().restore()
    assert world.events == [Restored((remember(1),))]
    assert world.log == [[Install(BindingRoute(HNP, PEER))], {ROW: None}]


def test_a_row_that_its_function_cannot_read_stops_the_agent() -> None:
    """To go on without it would be to break what was promised."""

    def answer(_: Event) -> list[Effect]:
        raise KeyError("location")

    world = World(answer)
    world.remembered = (remember(1),)
    with pytest.raises(KeyError):
        world.executor().restore()
