"""The path of each probe, put together from where its packets went out and came in.

A packet that goes out of A towards B, or comes in at B from A, crossed the link A-B. The links a
probe crossed are joined into one walk from its sender. Clocks are never compared: where a machine
was crossed more than once, hop limits and outer headers say which link came first (a router lowers
the hop limit of the header it forwards by, and only the ends of a tunnel change the outer header).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from dmm_testbed.measure.errors import MeasuringError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dmm_testbed.measure.packets import Probe, Sightings, Tunnel
    from dmm_testbed.measure.wiring import Wiring

MAX_SEARCH_STEPS = 20_000
"""Bound of the search for one walk; ordinary walks need one step a link."""
MAX_BROKEN_SHARE = 0.01
"""Delivered probes whose walk has a hole; more of them mean that captures are incomplete."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A UDP stream in one direction."""

    stream: int
    direction: int
    sender: str
    receiver: str


class Hop(NamedTuple):
    """One crossing of a link, as the packet was on the wire."""

    start: str
    end: str
    tunnels: tuple[Tunnel, ...]
    addresses: tuple[bytes, bytes]
    """Source and destination of the packet itself, whatever is around it."""
    hop_limit: int


@dataclass(frozen=True, slots=True)
class Walk:
    """What one or more probes did."""

    hosts: tuple[str, ...]
    """Machines in order, up to the last one that had the probe."""
    tunnels: tuple[tuple[str, str], ...]
    """Where it was encapsulated and where decapsulated, in order."""
    rewritten: tuple[tuple[str, str], ...]
    """Where its addresses were rewritten and where restored, in order."""
    delivered: bool
    complete: bool
    """False if a link is missing between those that were seen."""
    loop: bool
    """Whether it crossed a link in the same direction more than once."""
    stretch: float | None
    """Links crossed over the fewest possible; None unless delivered and complete."""


@dataclass(frozen=True, slots=True)
class Trace:
    """One probe."""

    sequence: int
    sent_at_s: float
    """When it left its sender, by the sender's clock."""
    arrived_at_s: float | None
    """When it first came in at its receiver, by the receiver's clock."""
    walk: Walk


def trace(sightings: Sightings, wiring: Wiring, flow: Flow) -> list[Trace]:
    """The path of every probe of a flow, in order of sequence number.

    Raises:
        MeasuringError: an end of the flow was not captured, too many walks have holes, or a path
            is shorter than the shortest one.
    """
    for end in (flow.sender, flow.receiver):
        if end not in sightings.machines:
            raise MeasuringError(f"{end} was not captured, so paths that end there are unknown")
    known: dict[object, Walk] = {}
    traces = []
    for sequence, probes in sorted(_by_sequence(sightings, flow).items()):
        hops, arrived = _hops(probes, wiring)
        signature = (frozenset(hops.items()), frozenset(arrived))
        if signature not in known:
            known[signature] = _walk(hops, arrived, wiring, flow)
        at_sender = (p.time_s for p in probes if p.machine == flow.sender and p.outgoing)
        at_receiver = (p.time_s for p in probes if p.machine == flow.receiver and not p.outgoing)
        sent_at_s = next(at_sender, probes[0].time_s)
        traces.append(Trace(sequence, sent_at_s, next(at_receiver, None), known[signature]))
    _refuse_holes(traces, flow)
    return traces


def _by_sequence(sightings: Sightings, flow: Flow) -> dict[int, list[Probe]]:
    found = defaultdict(list)
    for probe in sightings.probes:
        if probe.stream == flow.stream and probe.direction == flow.direction:
            found[probe.sequence].append(probe)
    return found


def _hops(probes: list[Probe], wiring: Wiring) -> tuple[Counter[Hop], set[Hop]]:
    """The links a probe crossed, how often each, and which of them to their end."""
    left: Counter[Hop] = Counter()
    arrived: Counter[Hop] = Counter()
    for probe in probes:
        peer = wiring.peer(probe.machine, probe.interface)
        if peer is None:  # the mobile node's bridge, say, which saw what its port saw
            continue
        if probe.outgoing:
            left[_hop(probe.machine, peer, probe)] += 1
        else:
            arrived[_hop(peer, probe.machine, probe)] += 1
    return left | arrived, set(arrived)


def _hop(start: str, end: str, probe: Probe) -> Hop:
    addresses = probe.source, probe.destination
    return Hop(start, end, probe.tunnels, addresses, probe.hop_limit)


def _walk(hops: Counter[Hop], arrived: set[Hop], wiring: Wiring, flow: Flow) -> Walk:
    """Join hops into the walk that explains most of them; prefer one that ends at the receiver."""
    delivered = any(hop.end == flow.receiver for hop in arrived)
    walk = _longest_walk(hops, flow.sender, flow.receiver if delivered else None)
    if len(walk) < hops.total():
        # Not one walk through all of them: the network duplicated the packet, or a hole.
        once = Counter(dict.fromkeys(hops, 1))
        walk = _longest_walk(once, flow.sender, flow.receiver if delivered else None)
    complete = len(set(walk)) == len(hops)
    while walk and walk[-1] not in arrived:  # sent over a link that carried it nowhere
        walk.pop()
    hosts = (flow.sender, *(hop.end for hop in walk))
    delivered_this_way = delivered and complete and hosts[-1] == flow.receiver
    return Walk(
        hosts=hosts,
        tunnels=tuple(_stretches(walk, _outermost)),
        rewritten=tuple(_stretches(walk, partial(_foreign_addresses, walk[0]))) if walk else (),
        delivered=delivered,
        complete=complete,
        loop=any(n > 1 for n in Counter((hop.start, hop.end) for hop in walk).values()),
        stretch=stretch(hosts, wiring) if delivered_this_way else None,
    )


def _longest_walk(hops: Counter[Hop], sender: str, receiver: str | None) -> list[Hop]:
    """The longest walk over these hops, each used as often as it was seen, from the sender.

    A walk that ends at `receiver`, if given, beats any that does not. Depth first, most plausible
    successor first, so that the first walk found is nearly always the answer.
    """
    total = hops.total()
    leaving = defaultdict(list)
    for hop in hops:
        leaving[hop.start].append(hop)
    unused = Counter(hops)
    walk: list[Hop] = []
    best: list[Hop] = []
    best_rank = (False, 0)
    choices: list[Iterator[Hop]] = [iter(_first(leaving[sender]))]
    for _ in range(MAX_SEARCH_STEPS):
        following = next((hop for hop in choices[-1] if unused[hop]), None)
        if following is None:
            choices.pop()
            if not choices:
                break
            unused[walk.pop()] += 1
            continue
        walk.append(following)
        unused[following] -= 1
        rank = (receiver is None or following.end == receiver, len(walk))
        if rank > best_rank:
            best_rank, best = rank, list(walk)
            if rank == (True, total):
                break
        choices.append(iter(_following(following, leaving[following.end])))
    return best


def _first(hops: Iterable[Hop]) -> list[Hop]:
    return sorted(hops, key=lambda hop: -hop.hop_limit)


def _following(hop: Hop, candidates: Iterable[Hop]) -> list[Hop]:
    """Hops that can come next, the most plausible first: forwarded in the same tunnel or plain."""
    ranked = [(_plausibility(hop, other), other) for other in candidates]
    return [other for rank, other in sorted(ranked, key=lambda pair: -pair[0]) if rank > 0]


def _plausibility(hop: Hop, other: Hop) -> int:
    same_tunnel = [t[:2] for t in hop.tunnels] == [t[:2] for t in other.tunnels]
    if not same_tunnel:  # encapsulated, decapsulated, or moved into another tunnel here
        return 1
    before = hop.tunnels[0].hop_limit if hop.tunnels else hop.hop_limit
    after = other.tunnels[0].hop_limit if other.tunnels else other.hop_limit
    return 3 if after == before - 1 else 2 if after < before else 0


def _outermost(hop: Hop) -> object:
    return hop.tunnels[0][:2] if hop.tunnels else None


def _foreign_addresses(first: Hop, hop: Hop) -> object:
    return hop.addresses if hop.addresses != first.addresses else None


def _stretches(walk: list[Hop], what: Callable[[Hop], object]) -> Iterator[tuple[str, str]]:
    """Where something begins and ends: the machine before its first hop and after its last."""
    start, current = "", None
    for hop in walk:
        now = what(hop)
        if now != current:
            if current is not None:
                yield start, hop.start
            start, current = hop.start, now
    if current is not None:
        yield start, walk[-1].end


def stretch(hosts: tuple[str, ...], wiring: Wiring) -> float:
    """Links crossed over the fewest possible between the same ends.

    Raises:
        MeasuringError: below 1, which no packet can do: the wiring or the captures are wrong.
    """
    fewest = wiring.fewest_links(hosts)
    crossed = len(hosts) - 1
    if fewest is None or crossed < fewest:
        raise MeasuringError(
            f"path {' '.join(hosts)} crosses {crossed} links, but the topology's shortest way has "
            f"{'none' if fewest is None else fewest}; the topology is not the one captured"
        )
    return crossed / fewest if fewest else 1.0


def _refuse_holes(traces: list[Trace], flow: Flow) -> None:
    delivered = [found for found in traces if found.walk.delivered]
    broken = [found for found in delivered if not found.walk.complete]
    if len(broken) > MAX_BROKEN_SHARE * len(delivered):
        example = broken[0]
        raise MeasuringError(
            f"{len(broken)} of {len(delivered)} probes from {flow.sender} to {flow.receiver} "
            f"cannot be followed all the way, number {example.sequence} only along "
            f"{' '.join(example.walk.hosts)}: is every machine captured, and did a kernel drop "
            "captured packets?"
        )
