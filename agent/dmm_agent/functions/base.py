"""The one shape of every mobility function, and what it may know of its host."""

from __future__ import annotations

import abc
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from dmm_agent.keys import Keys

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Mapping
    from ipaddress import IPv6Address, IPv6Network

    from dmm_agent.config import Directory, MobileNodePolicy
    from dmm_agent.functions.effects import Effect
    from dmm_agent.functions.events import Event, Interception


class Options(BaseModel):
    """Options of a function, filled from a profile; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class HoldLimits:
    """How much may wait for `Release` on a host."""

    packets: int
    octets: int
    time_s: float
    """After which the function that has them held lets them go."""


OptionsT = TypeVar("OptionsT", bound=Options)


@dataclass(frozen=True, slots=True)
class Context:
    """What a function may know: which host this is, who else there is, what runs beside it."""

    host: str
    network: str
    address: IPv6Address
    """This host's signalling address and tunnel endpoint; `::` at a mobile node."""
    access_links: tuple[str, ...]
    home_block: IPv6Network | None
    """At an access router: the prefixes that plain routing brings here."""
    directory: Directory
    mobile_nodes: MobileNodePolicy
    random: random.Random
    beside: Mapping[str, Function[Any]]
    """The functions on this host by name, for the ones listed in `requires`."""
    plain_prefixes: Mapping[str, IPv6Network] = field(default_factory=dict)
    """At an access router: the plain prefix of each access link."""
    radio: str | None = None
    """At a mobile node: the interface by which it attaches."""
    keys: Keys = field(default_factory=Keys)
    """What this host shares with mobile nodes or, being one, with home agents."""


class Function(abc.ABC, Generic[OptionsT]):
    """A mobility function: events and the time in, effects out.

    A subclass names itself and its options class, and is registered under that name in the
    entry-point group ``dmm_agent.functions``.
    """

    name: ClassVar[str]
    options_class: ClassVar[type[Options]]
    requires: ClassVar[frozenset[str]] = frozenset()
    """Functions that must run on the same host; they are made before this one."""
    remembers: ClassVar[bool] = False
    """Whether it asks for `Remember`, so that its host needs a store."""
    runs_on: ClassVar[Literal["router", "mobile_node"]] = "router"
    """What kind of host it is for: one with an address of its own, or one with a radio."""
    steers: ClassVar[bool] = True
    """Whether it has routes installed; a host where none does needs no data plane."""

    def __init__(self, context: Context, options: OptionsT) -> None:
        self.context = context
        self.options = options

    @property
    def intercepts(self) -> frozenset[Interception]:
        """Which packets it wants to hear of."""
        return frozenset()

    @property
    def hold_limits(self) -> HoldLimits | None:
        """What it wants `Interception.HELD` limited to; None if it holds nothing."""
        return None

    @property
    def rewrites(self) -> bool:
        """Whether packets to other networks are to be rewritten instead of tunnelled."""
        return False

    @property
    def takes_home_addresses(self) -> bool:
        """Whether it takes messages that home addresses travel in front of (RFC 6275, 6.3, 6.4)."""
        return False

    @property
    def authenticates(self) -> bool:
        """Whether it needs keys."""
        return False

    @abc.abstractmethod
    def handle(self, event: Event, now: float) -> Iterable[Effect]:
        """Take one event at `now` (seconds since 1970) and return what is to be done about it.

        An event that does not concern the function returns nothing. Must not raise on any message
        a peer can send.
        """

    def snapshot(self, now: float) -> Mapping[str, list[dict[str, Any]]]:
        """Rows for `dmmctl`, by table: ``leases``, ``bindings``, ``cache`` or ``attachments``."""
        del now
        return {}
