"""The functions of one host as one machine, and how a configuration becomes one."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from steps import HNP1, PLAN, Steps, address, all_of, attached, sent

from dmm_agent.config import ConfigError
from dmm_agent.functions.base import Function, Options
from dmm_agent.functions.effects import Effect, Install, Record, Tell
from dmm_agent.functions.events import BindingGone, Started, TimerFired
from dmm_agent.functions.node import Node, build_node
from dmm_agent.simulator.example import FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dmm_agent.functions.events import Event


class Plain(Function[Options]):
    name: ClassVar[str] = "plain"
    options_class: ClassVar[type[Options]] = Options

    def handle(self, event: Event, now: float) -> Iterable[Effect]:
        del now
        if isinstance(event, Started | TimerFired):
            yield Record(self.name)


class Needy(Plain):
    name: ClassVar[str] = "needy"
    requires: ClassVar[frozenset[str]] = frozenset({"plain"})

    def __init__(self, context: Any, options: Options) -> None:
        super().__init__(context, options)
        assert isinstance(context.beside["plain"], Plain), "made before this one"


class Chatty(Plain):
    name: ClassVar[str] = "chatty"

    def handle(self, event: Event, now: float) -> Iterable[Effect]:
        del event, now
        yield Tell(BindingGone(HNP1))


REGISTRY: dict[str, type[Function[Any]]] = {
    **FUNCTIONS,
    "plain": Plain,
    "needy": Needy,
    "chatty": Chatty,
}


def build(**functions: dict[str, Any]) -> Node:
    config = PLAN.config(PLAN.routers["gw1"], {})
    return build_node(config.model_copy(update={"functions": functions}), Random(1), REGISTRY)


def test_every_function_hears_of_an_outside_event() -> None:
    effects = build(plain={}, needy={}).handle(Started(), 0.0)
    assert [record.name for record in all_of(effects, Record)] == ["plain", "needy"]


def test_a_timer_comes_due_for_its_owner_alone() -> None:
    effects = build(plain={}, needy={}).handle(TimerFired("needy", 1), 0.0)
    assert [record.name for record in all_of(effects, Record)] == ["needy"]


def test_what_functions_tell_each_other_stays_inside() -> None:
    steps = Steps("gw1", ["allocator", "lm", "mr"])
    steps.receive("ar11", steps.update())
    effects = steps.receive("gw3", steps.update(HNP1, after_s=1))
    assert all_of(effects, Tell) == []
    assert len(all_of(effects, Install)) == 1, "the MR acted on it"


def test_a_message_to_the_host_itself_never_reaches_the_wire() -> None:
    """A proxy on the host of its own LM: as in a flat network, where the two are one router."""
    config = PLAN.config(PLAN.routers["gw1"], {})
    options = config.functions["allocator"] | {
        "blocks": [{"access_router": address("gw1"), "prefix": "2001:db8:1:8000::/56"}]
    }
    functions = {"allocator": options, "lm": {}, "mr": {}, "proxy": {}}
    node = build_node(config.model_copy(update={"functions": functions}), Random(1), FUNCTIONS)
    steps = Steps("gw1", ["lm", "allocator"])
    steps.node = node
    effects = steps(attached())
    assert sent(effects) == []
    assert [row["prefixes"] for row in steps.table("attachments")] == [["2001:db8:1:8000::/64"]]


def test_functions_that_never_stop_telling_are_stopped() -> None:
    with pytest.raises(RuntimeError, match="more than 1000 inner events"):
        build(chatty={}).handle(Started(), 0.0)


def test_the_order_in_a_configuration_does_not_matter() -> None:
    assert list(build(needy={}, plain={}).functions) == ["plain", "needy"]
    assert list(build(mr={}, lm={}, allocator={}).functions) == ["mr", "allocator", "lm"]


@pytest.mark.parametrize(
    ("functions", "sentence"),
    [
        pytest.param(
            {"router": {}},
            "gw1: functions.router: no such function; known are allocator, chatty, client, lm, mr, "
            "needy, plain, proxy, sessions",
            id="unknown",
        ),
        pytest.param(
            {"sessions": {}}, "gw1: functions.sessions: does not run on a router", id="wrong host"
        ),
        pytest.param(
            {"lm": {}}, "gw1: functions.lm: needs allocator on the same host", id="missing"
        ),
        pytest.param(
            {"mr": {"max_cash": 1}},
            "gw1: functions.mr: max_cash: Extra inputs are not permitted, got 1",
            id="unknown option",
        ),
        pytest.param(
            {"mr": {"max_cache": 0}},
            "gw1: functions.mr: max_cache: Input should be greater than or equal to 1, got 0",
            id="bad value",
        ),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(
    functions: dict[str, dict[str, Any]], sentence: str
) -> None:
    with pytest.raises(ConfigError) as refusal:
        build(**functions)
    assert str(refusal.value) == sentence


def test_functions_that_need_each_other_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Plain, "requires", frozenset({"needy"}))
    with pytest.raises(ConfigError, match="plain, needy: expected no circle of needs"):
        build(plain={}, needy={})
