"""All mobility functions of one host as one state machine: events in, effects out."""

from __future__ import annotations

from collections import deque
from functools import cached_property
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from dmm_agent.config import ConfigError, describe
from dmm_agent.functions.base import Context, Function
from dmm_agent.functions.effects import Effect, Send, Tell
from dmm_agent.functions.events import Event, Received, Restored, TimerFired
from dmm_agent.keys import Keys

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Mapping
    from ipaddress import IPv6Address

    from dmm_agent.config import AgentConfig
    from dmm_agent.functions.base import HoldLimits
    from dmm_agent.functions.events import Interception

ENTRY_POINT_GROUP = "dmm_agent.functions"

CASCADE_LIMIT = 1000
"""Most inner events one outside event may cause; more is a programming error, not a load.

What is restored may cause one more for each row."""


class Node:
    """The functions of one host. Messages to the host itself and notes never leave it."""

    def __init__(self, address: IPv6Address, functions: Mapping[str, Function[Any]]) -> None:
        self.address = address
        self.functions = functions

    @cached_property
    def intercepts(self) -> frozenset[Interception]:
        """Which packets some function wants to hear of; that follows from options alone."""
        return frozenset().union(*(f.intercepts for f in self.functions.values()))

    @property
    def hold_limits(self) -> HoldLimits | None:
        """How much may be held for the function that holds packets, if there is one."""
        limits = (f.hold_limits for f in self.functions.values())
        return next((limit for limit in limits if limit is not None), None)

    @property
    def rewrites(self) -> bool:
        """Whether some function wants packets rewritten."""
        return any(f.rewrites for f in self.functions.values())

    @property
    def takes_home_addresses(self) -> bool:
        """Whether some function takes messages that home addresses travel in front of."""
        return any(f.takes_home_addresses for f in self.functions.values())

    @property
    def authenticates(self) -> bool:
        """Whether some function needs keys."""
        return any(f.authenticates for f in self.functions.values())

    @property
    def remembers(self) -> bool:
        """Whether some function wants things kept on disk."""
        return any(f.remembers for f in self.functions.values())

    @property
    def steers(self) -> bool:
        """Whether some function has routes installed; a host without any may have had some."""
        return not self.functions or any(f.steers for f in self.functions.values())

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Give one outside event to the functions and return the effects for the world outside.

        Raises:
            RuntimeError: the functions keep telling each other things without end.
        """
        outside: list[Effect] = []
        inner: deque[Event] = deque([event])
        limit = CASCADE_LIMIT + (len(event.rows) if isinstance(event, Restored) else 0)
        for _ in range(limit):
            if not inner:
                return outside
            for effect in self._dispatch(inner.popleft(), now):
                match effect:
                    case Tell(note):
                        inner.append(note)
                    case Send(destination, message, None) if destination == self.address:
                        inner.append(Received(self.address, message))
                    case _:
                        outside.append(effect)
        raise RuntimeError(f"{event} caused more than {limit} inner events")

    def _dispatch(self, event: Event, now: float) -> list[Effect]:
        if isinstance(event, TimerFired):
            return list(self.functions[event.owner].handle(event, now))
        return [e for function in self.functions.values() for e in function.handle(event, now)]

    def snapshot(self, now: float) -> dict[str, list[dict[str, Any]]]:
        """What the functions hold, by table name, for `dmmctl` and reports."""
        tables: dict[str, list[dict[str, Any]]] = {}
        for function in self.functions.values():
            for table, rows in function.snapshot(now).items():
                tables.setdefault(table, []).extend(rows)
        return tables


def known_functions() -> dict[str, type[Function[Any]]]:
    """Every function that an installed package registers, by name."""
    return {entry.name: entry.load() for entry in entry_points(group=ENTRY_POINT_GROUP)}


def build_node(
    config: AgentConfig,
    random: random.Random,
    registry: Mapping[str, type[Function[Any]]] | None = None,
    keys: Keys | None = None,
) -> Node:
    """Make the functions that a configuration names.

    Args:
        config: The host's configuration.
        random: Where functions take random numbers from.
        registry: Function classes by name; those installed, if left out.
        keys: What the host shares with others.

    Raises:
        ConfigError: a function is unknown, lacks another one beside it, needs one that needs it,
            or has a wrong option.
    """
    classes = known_functions() if registry is None else registry
    functions: dict[str, Function[Any]] = {}
    context = Context(
        host=config.host,
        network=config.network,
        address=config.address,
        radio=config.radio,
        access_links=config.access_links,
        home_block=config.home_block,
        directory=config.directory,
        mobile_nodes=config.mobile_nodes,
        random=random,
        beside=functions,
        plain_prefixes=config.plain_prefixes,
        keys=keys or Keys(),
    )
    for name in _in_order(config, classes):
        function_class = classes[name]
        try:
            options = function_class.options_class.model_validate(config.functions[name])
        except ValidationError as error:
            raise ConfigError(describe(error, f"{config.host}: functions.{name}")) from error
        functions[name] = function_class(context, options)
    return Node(config.address, functions)


def _in_order(config: AgentConfig, classes: Mapping[str, type[Function[Any]]]) -> Iterator[str]:
    """The functions of a configuration, each after those it requires."""
    needed: dict[str, frozenset[str]] = {}
    for name in config.functions:
        where = f"{config.host}: functions.{name}"
        if name not in classes:
            known = ", ".join(sorted(classes))
            raise ConfigError(f"{where}: no such function; known are {known}")
        kind = "router" if config.radio is None else "mobile_node"
        if classes[name].runs_on != kind:
            raise ConfigError(f"{where}: does not run on a {kind.replace('_', ' ')}")
        needed[name] = classes[name].requires
        if missing := sorted(needed[name] - config.functions.keys()):
            raise ConfigError(f"{where}: needs {', '.join(missing)} on the same host")
    while needed:
        ready = next((n for n, others in needed.items() if not others & needed.keys()), None)
        if ready is None:
            circle = ", ".join(needed)
            raise ConfigError(f"{config.host}: functions: {circle}: expected no circle of needs")
        del needed[ready]
        yield ready
