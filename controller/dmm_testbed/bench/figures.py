"""What a benchmark measured: the model of ``bench.json``, described in docs/benchmarks.md."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, FiniteFloat

if TYPE_CHECKING:
    from collections.abc import Iterable

Count = Annotated[int, Field(ge=0)]


class BenchError(Exception):
    """Something that keeps the benchmark from measuring; its text is ready for the user."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Spread(_Record):
    """One quantity over many moves, with the floor it is held against."""

    median: FiniteFloat | None
    """Null when nothing was measured."""
    maximum: FiniteFloat | None
    measured: Count
    missed: Count
    """Moves in which the event was not seen."""
    floor: FiniteFloat | None = None
    """What no reactive scheme can go below on this computer, measured in the same run."""
    ratio: FiniteFloat | None = None
    """Median over floor."""
    values: tuple[FiniteFloat | None, ...] = ()
    """Each move's, in order; null where the event was not seen."""


def spread(values: Iterable[float | None], floor: float | None = None) -> Spread:
    """Median and maximum of what was measured."""
    each = tuple(values)
    known = [value for value in each if value is not None]
    middle = median(known) if known else None
    return Spread(
        median=middle,
        maximum=max(known, default=None),
        measured=len(known),
        missed=len(each) - len(known),
        floor=floor,
        ratio=middle / floor if middle is not None and floor else None,
        values=each,
    )


class Computer(_Record):
    """Where it was measured, and how busy that was: 1 for each core is all there is."""

    cores: Count
    kernel: str
    load_before: FiniteFloat
    load_after: FiniteFloat


class Provisioning(_Record):
    """Seconds of the playbook that `make up` runs."""

    machines: Count
    from_nothing_s: FiniteFloat
    from_nothing_target_s: FiniteFloat = 60.0
    again_s: FiniteFloat
    """Once more, with everything as it should be."""
    again_target_s: FiniteFloat = 30.0
    again_changed: Count
    """Tasks that changed something the second time; 0, or something is wrong."""


class Floor(_Record):
    """The parts that floors are made of: medians, in milliseconds, of the same run."""

    link_ms: FiniteFloat
    """From the radio's link going up until its bridge forwards."""
    solicitation_ms: FiniteFloat
    """From the same until the node's router solicitation is sent."""
    access_round_trip_ms: FiniteFloat
    """Ping between the node and its new access router."""
    anchor_round_trip_ms: FiniteFloat
    """Ping between the new access router and the anchor."""
    route_replace_ms: FiniteFloat
    """One netlink request that replaces an encapsulating route, acknowledgement included."""


class Handovers(_Record):
    """All moves of one kind. Times are milliseconds after the radio's link went up."""

    kind: Literal["away", "home", "within"]
    """To another network, back to the home network, between access routers of a visited one."""
    routers: tuple[str, ...]
    """Access routers that the moves went to."""
    anchor: str
    """Whose forwarding the move changes."""
    moves: Count
    floor: Floor
    advertisement_ms: Spread
    """Until a router advertisement reached the node."""
    forward_ms: Spread
    """Until the first packet reached the node by its new access router."""
    reverse_ms: Spread
    """Until the first packet of the node, by its new access router, reached the correspondent."""
    direct_ms: Spread
    """Until both directions were on the path where they stayed."""
    lost_packets: Spread
    """UDP packets lost a move, both directions together."""
    unsettled: Count
    """Moves after which the path still changed when the next one began."""


class Traffic(_Record):
    """The traffic that moves were measured with."""

    mobile_node: str
    correspondent: str
    packets_per_s: FiniteFloat
    """Each way; the interval is the resolution of all times that a packet marks."""
    longest_pause_ms: FiniteFloat
    """Longest time between two packets at a sender: a busy computer shows here."""


class Rate(_Record):
    """How many a second, and of how many that was measured."""

    per_s: FiniteFloat
    count: Count


class Speed(_Record):
    """What needs no machines: one process, one core."""

    simulator_events: Rate
    """Events that functions handled in the simulator."""
    encode: Rate
    """Mobility messages of that simulation to bytes."""
    decode: Rate


class Lookup(_Record):
    """How fast one side of a query goes, against its messages alone."""

    rate: Rate
    floor: Rate
    """Both messages encoded and decoded, and nothing else done."""
    ratio: FiniteFloat
    """Rate over floor."""


def lookup(rate: Rate, floor: Rate) -> Lookup:
    """A rate against its floor."""
    return Lookup(rate=rate, floor=floor, ratio=rate.per_s / floor.per_s)


class Lookups(_Record):
    """Locations looked up a second: one process, one core."""

    bindings: Count
    lm: Lookup
    """Queries that an LM answers, octets to octets."""
    lm_kept: Lookup
    """The same, where who asked is on the disk before each answer: one commit each."""
    lm_kept_together: Lookup
    """The same, where sixteen that came together share a commit."""
    mr: Lookup
    """Destinations that an MR resolves: packet, query, answer, route."""
    mr_cached: Rate
    """Sampled packets to destinations that it knows."""


class Throughput(_Record):
    """The same traffic by plain routing and on a steered path, in turn."""

    plain_per_s: FiniteFloat
    steered_per_s: FiniteFloat
    ratio: FiniteFloat
    """Steered over plain, median of the pairs."""
    pairs: Count


class Steering(_Record):
    """Routes that steer packets: how fast they come, and what they cost once they are there."""

    profile: str
    prefixes: Count
    installs_batched: Rate
    """In one exchange with the kernel, as one event's effects are."""
    installs_single: Rate
    """One at a time."""
    batching_ratio: FiniteFloat
    tcp_octets: Throughput
    """Octets of TCP sessions that are given large pieces."""
    tcp_target: FiniteFloat = 0.9
    udp_datagrams: Throughput
    """UDP datagrams of 64 octets that arrive."""


class FirstPacket(_Record):
    """Round trips of the first packet to a node that its sender's MR knows nothing of."""

    profile: str
    first_ms: Spread
    """Against the round trip once the way is known."""


class Figures(_Record):
    """One run of the benchmark."""

    schema_version: Literal[1] = Field(1, alias="schema")
    topology: str
    profile: str
    machines: Literal["namespace"] = "namespace"
    started_at: AwareDatetime
    duration_s: FiniteFloat
    computer: Computer
    provisioning: Provisioning | None
    """Null when a lab that ran already was used."""
    traffic: Traffic
    handovers: tuple[Handovers, ...]
    speed: Speed
    lookups: Lookups
    steering: tuple[Steering, ...] = ()
    """With the profile itself, and with the one that rewrites packets; none when a lab that ran
    already was used, or gateways do not ask."""
    first_packets: tuple[FirstPacket, ...] = ()
    """With the profile itself, and with the one that holds packets; none as above."""
