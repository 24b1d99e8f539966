"""Golden steps: events go into the functions of one host, effects come out.

Three networks as the simulator numbers them: gateway gw1 and access routers ar11 and ar12 in net1,
and so on; the prefixes of ar11's block begin with 2001:db8:1:8100::/64.
"""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from dmm_agent.functions.effects import Effect, Forget, Record, Remember, Send, SetTimer
from dmm_agent.functions.events import Attached, Received, Restored, TimerFired
from dmm_agent.functions.node import build_node
from dmm_agent.functions.proxy_messages import ANY_PREFIX, proxy_binding_update
from dmm_agent.simulator.disk import Disk
from dmm_agent.simulator.example import FUNCTIONS
from dmm_agent.simulator.plan import make_plan
from dmm_agent.wire import (
    BindingAcknowledgement,
    BindingRevocationIndication,
    BindingUpdate,
    Handoff,
    HomeNetworkPrefix,
    LocationQuery,
    MobileNodeIdentifier,
    RevocationFlag,
    RevocationTrigger,
    Timestamp,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dmm_agent.functions.events import Event
    from dmm_agent.simulator.plan import Plan
    from dmm_agent.wire import Message, Option

PLAN = make_plan(networks=3, access_routers=2, mobile_nodes=2)
NOW = 1_700_000_000.0
MN1, MN2 = (node.id for node in PLAN.mobile_nodes.nodes)
MN1_MAC, MN2_MAC = (node.link_layer for node in PLAN.mobile_nodes.nodes)
HNP1 = IPv6Network("2001:db8:1:8100::/64")
"""The first prefix of ar11's block."""
HNP3 = IPv6Network("2001:db8:3:8100::/64")
"""The first prefix of ar31's block."""
LEASE_S, BINDING_S, ANSWER_S = 1000, 60, 40

EffectT = TypeVar("EffectT")
OptionT = TypeVar("OptionT", bound="Option")


def address(host: str) -> IPv6Address:
    return PLAN.routers[host].address


class Steps:
    """The functions of one host and a clock."""

    def __init__(
        self, host: str, functions: Iterable[str], plan: Plan = PLAN, **options: dict[str, Any]
    ) -> None:
        chosen: dict[str, dict[str, Any]] = {
            "allocator": {"lease_lifetime_s": LEASE_S},
            "lm": {"binding_lifetime_s": BINDING_S, "answer_lifetime_s": ANSWER_S},
        }
        for name, values in options.items():
            chosen[name] = chosen.get(name, {}) | values
        config = plan.config(plan.routers[host], chosen)
        wanted = {name: config.functions.get(name, chosen.get(name, {})) for name in functions}
        self.now = NOW
        self.disk = Disk()
        self.config = config.model_copy(update={"functions": wanted})
        self.keys = plan.keys(plan.mobile_nodes.nodes, [plan.routers[host].address])
        self.node = build_node(self.config, Random(1), FUNCTIONS, self.keys)

    def __call__(self, event: Event, after_s: float = 0.0) -> list[Effect]:
        """Let time pass, then give it an event."""
        self.now += after_s
        effects = self.node.handle(event, self.now)
        self.disk.write([e for e in effects if isinstance(e, Remember | Forget)], self.now)
        return effects

    def restart(self, after_s: float = 0.0) -> list[Effect]:
        """The agent dies and, after a while, another one starts with what is on the disk."""
        self.node = build_node(self.config, Random(2), FUNCTIONS, self.keys)
        return self(Restored(self.disk.read()), after_s)

    def receive(self, sender: str, message: Message, after_s: float = 0.0) -> list[Effect]:
        return self(Received(address(sender), message), after_s)

    def fire(self, timer: SetTimer) -> list[Effect]:
        """Let time pass until a timer that was set comes due."""
        self.now = max(self.now, timer.at_s)
        return self(TimerFired(timer.owner, timer.key))

    def table(self, name: str) -> list[dict[str, Any]]:
        return self.node.snapshot(self.now).get(name, [])

    def served(self) -> list[str]:
        """The prefixes that the proxy serves for the nodes on its links."""
        return [hnp for row in self.table("attachments") for hnp in row["prefixes"]]

    def locations(self) -> dict[str, str]:
        """Where the LM has each prefix: host names by prefix."""
        return {row["hnp"]: host_at(row["location"]) for row in self.table("bindings")}

    def update(
        self, *hnps: IPv6Network, mn_id: str = MN1, after_s: float = 0.0, **changes: Any
    ) -> BindingUpdate:
        """Let time pass, then make a proxy binding update that is all right."""
        self.now += after_s
        given: dict[str, Any] = {
            "sequence": 7,
            "handoff": Handoff.BETWEEN_MAGS,
            "time": Timestamp.at(self.now),
            "lifetime_s": 300,
        }
        return proxy_binding_update(mn_id=mn_id, hnps=hnps or (ANY_PREFIX,), **given | changes)

    def refresh(self, *hnps: IPv6Network, after_s: float = 0.0) -> BindingUpdate:
        """Let time pass, then say that a node is still there."""
        return self.update(*hnps, after_s=after_s, handoff=Handoff.UNCHANGED)

    def query(self, prefix: IPv6Network | str) -> LocationQuery:
        return LocationQuery(sequence=9, options=(HomeNetworkPrefix(IPv6Network(prefix)),))


def revocation(at_s: float) -> BindingRevocationIndication:
    """The home LM says since when the first prefix of ar11's block is not served elsewhere."""
    return BindingRevocationIndication(
        trigger=RevocationTrigger.INTER_MAG_HANDOVER_SAME_ACCESS_TYPE,
        sequence=3,
        flags=RevocationFlag.PROXY,
        options=(MobileNodeIdentifier.nai(MN1), HomeNetworkPrefix(HNP1), Timestamp.at(at_s)),
    )


def host_at(where: IPv6Address | str) -> str:
    return PLAN.by_address[IPv6Address(where)].name


def all_of(effects: Iterable[Effect], kind: type[EffectT]) -> list[EffectT]:
    return [effect for effect in effects if isinstance(effect, kind)]


def one(effects: Iterable[Effect], kind: type[EffectT]) -> EffectT:
    """The only effect of a kind."""
    found = all_of(effects, kind)
    assert len(found) == 1, found
    return found[0]


def sent(effects: Iterable[Effect]) -> list[tuple[str, str]]:
    """What went to whom: message class and host, in order."""
    return [(type(s.message).__name__, host_at(s.destination)) for s in all_of(effects, Send)]


def message(effects: Iterable[Effect], kind: type[EffectT]) -> EffectT:
    """The only message of a class that was sent."""
    found = [s.message for s in all_of(effects, Send) if isinstance(s.message, kind)]
    assert len(found) == 1, found
    return found[0]


def updates(effects: Iterable[Effect]) -> list[BindingUpdate]:
    """The binding updates that were sent."""
    return [s.message for s in all_of(effects, Send) if isinstance(s.message, BindingUpdate)]


def recorded(effects: Iterable[Effect]) -> list[str]:
    return [record.name for record in all_of(effects, Record)]


def timer(effects: Iterable[Effect], *key: object) -> SetTimer:
    """The only timer that was set with a key that begins so."""
    found = [
        t
        for t in all_of(effects, SetTimer)
        if isinstance(t.key, tuple) and t.key[: len(key)] == key
    ]
    assert len(found) == 1, found
    return found[0]


def verdict(effects: Iterable[Effect]) -> tuple[int, int, list[IPv6Network]]:
    """Status, lifetime and prefixes of the only acknowledgement that was sent."""
    answer = message(effects, BindingAcknowledgement)
    return int(answer.status), answer.lifetime_s, prefixes(answer)


def prefixes(of: Message) -> list[IPv6Network]:
    return [option.prefix for option in of.every(HomeNetworkPrefix)]


def attached(mac: str = MN1_MAC, link: str = "mn1", *, solicited: bool = True) -> Attached:
    return Attached(link, mac, link_local(mac), solicited=solicited)


def link_local(mac: str) -> IPv6Address:
    return IPv6Address(f"fe80::ff:fe00:{mac[-2:]}")
