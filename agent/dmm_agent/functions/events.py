"""What a mobility function can be told: the inputs of the sans-I/O core.

All times are seconds since 1970 as a float; they never come from a clock read in the core.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping
    from ipaddress import IPv6Address, IPv6Network

    from dmm_agent.functions.effects import Remember, Route
    from dmm_agent.wire import Message


@dataclass(frozen=True, slots=True)
class Restored:
    """What functions had remembered when the agent last ran; comes before `Started`, if at all."""

    rows: tuple[Remember, ...]

    def of(self, owner: str, table: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Key and fields of each row of a function's table."""
        for row in self.rows:
            if (row.owner, row.table) == (owner, table):
                yield row.key, row.fields


@dataclass(frozen=True, slots=True)
class Inherited:
    """Routes of an earlier run, which forward on although nobody knows why; comes first, if at all.

    They are taken out after a while unless a function installs them again, or removes them before.
    """

    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class Started:
    """The agent has started; comes before anything from outside."""


@dataclass(frozen=True, slots=True)
class Received:
    """A Mobility Header message arrived, intact and decoded."""

    source: IPv6Address
    message: Message
    home_address: IPv6Address | None = None
    """A mobile node's: its own that came in a Home Address option (RFC 6275, 6.3), or, where it is
    the receiver, the one in a type 2 routing header (6.4) or else the one it was sent to."""
    octets: bytes = field(default=b"", compare=False, repr=False)
    """The Mobility Header as it came, for authenticators."""


@dataclass(frozen=True, slots=True)
class HeardOnLink:
    """A Mobility Header message that did not come from beyond the link, intact and decoded.

    At an access router it is from the mobile node on an access link, at a mobile node from the
    router that its radio hears. Both ends are link-local addresses.
    """

    link: str
    link_layer: str
    """The sender's MAC address, lower case, colon separated; empty at a mobile node."""
    source: IPv6Address
    """The sender's link-local address."""
    message: Message


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer set earlier with `SetTimer` by the function named `owner` has come due."""

    owner: str
    key: Hashable


@dataclass(frozen=True, slots=True)
class Attached:
    """A mobile node showed itself on an access link: solicitation, MLD report, neighbour discovery.

    Repeated for as long as the node shows itself; a function must take a repetition in its stride.
    """

    link: str
    """Name of the access interface."""
    link_layer: str
    """The node's MAC address, lower case, colon separated."""
    link_local: IPv6Address
    """The node's link-local address, where unicast router advertisements go."""
    solicited: bool
    """Whether the node asked for a router advertisement (RFC 4861, 6.2.6)."""


@dataclass(frozen=True, slots=True)
class Detached:
    """An access link lost its carrier: whoever was on it has gone."""

    link: str


@dataclass(frozen=True, slots=True)
class ProbeAnswered:
    """The mobile node answered the `Probe` sent on this link: it is still there."""

    link: str
    link_layer: str


@dataclass(frozen=True, slots=True)
class Observed:
    """A packet came up an access link with a source address that is not delivered there.

    This is how a network learns of the prefixes a node brought along
    (`session_discovery: observed`).
    """

    link: str
    link_layer: str
    source: IPv6Address


@dataclass(frozen=True, slots=True)
class LinkUp:
    """On a mobile node: its radio can send, perhaps at another access router (RFC 4957).

    Repeated where the kernel announces it again; a function must take that in its stride.
    """

    link: str


@dataclass(frozen=True, slots=True)
class OwnAddress:
    """A global address of this host, and for how long (RFC 4862, 5.5.4)."""

    address: IPv6Address
    preferred_until: float
    """Deprecated from then on: `math.inf` if never, in the past if it is."""
    valid_until: float


@dataclass(frozen=True, slots=True)
class Addressed:
    """On a mobile node: these are the radio's global addresses now, all of them.

    None is tentative. Repeated when a router advertisement has renewed lifetimes.
    """

    addresses: tuple[OwnAddress, ...]
    """By address."""


@dataclass(frozen=True, slots=True)
class SocketsInUse:
    """On a mobile node: its own global addresses that sockets needing continuity use, all of them.

    Told when that has changed.
    """

    addresses: frozenset[IPv6Address]
    replaceable: frozenset[IPv6Address] = frozenset()
    """Those that sockets use which are content with a while to move on (RFC 8653's
    graceful-replacement addresses)."""


@dataclass(frozen=True, slots=True)
class PrefixesAdvertised:
    """On a mobile node: these prefixes belong to the link it is on now, all of them.

    From a router advertisement: those for making addresses of, but for deprecated ones (RFC 4861,
    4.6.2). Repeated with each of them.
    """

    link: str
    prefixes: frozenset[IPv6Network]


@dataclass(frozen=True, slots=True)
class Used:
    """A packet from or to a prefix passed an access link: some session needs the prefix.

    Sampled: at most one a second for each prefix, and only of those that other networks leased.
    """

    hnp: IPv6Network


class Interception(enum.Enum):
    """Which packets a function wants to hear of, as `Intercepted` if nothing else is said."""

    OUTBOUND = "outbound"
    """Plain packets to other networks' mobile nodes, but for those of visitors."""
    REMAINING = "remaining"
    """Those of them whose sender is below no access router with an MR of its own."""
    NEAREST = "nearest"
    """Plain packets to other networks' mobile nodes from anywhere, of those who are nearest: what
    nobody knows a better way for goes to its home in a tunnel, since plain routing ends here."""
    HELD = "held"
    """Of `OUTBOUND` or `REMAINING` those from this network (of `NEAREST`, all), which wait for
    their `Release` unless a route takes them."""
    VISITORS = "visitors"
    """Plain packets of visiting mobile nodes to other networks."""
    HOMEBOUND = "homebound"
    """Packets to this network's own mobile nodes, plain or tunnelled here."""
    BROUGHT_ALONG = "brought along"
    """Packets from and to prefixes that nodes on the access links brought along from other
    networks, told as `Used`."""


@dataclass(frozen=True, slots=True)
class Intercepted:
    """A packet passed that mobility routing may know, or may want to know, a better way for.

    Sampled: at most ten a second for each destination prefix.
    """

    source: IPv6Address
    destination: IPv6Address
    tunnelled_by: IPv6Address | None = None
    """Who tunnelled it here, if it came in a tunnel."""


@dataclass(frozen=True, slots=True)
class Held:
    """A packet waits for the `Release` of its destination's prefix, and none did before it."""

    source: IPv6Address
    destination: IPv6Address


@dataclass(frozen=True, slots=True)
class BindingSet:
    """Told by `lm` to the functions beside it: a home network prefix is reached at `location`."""

    hnp: IPv6Network
    location: IPv6Address
    """Tunnel endpoint of who forwards further: another network's MR or an access router."""
    home: IPv6Address | None
    """Tunnel endpoint of the home network's MR when the prefix is visiting here, else None."""
    by_node: bool = False
    """Whether the node itself is at `location`, its care-of address, and tunnels from there."""


@dataclass(frozen=True, slots=True)
class NodeLeft:
    """Told by `lm` to the functions beside it: the access router has lost the node of a prefix.

    Its binding stands, because it may show up again; but nothing that is sent there arrives.
    """

    hnp: IPv6Network


@dataclass(frozen=True, slots=True)
class BindingGone:
    """Told by `lm` to the functions beside it: a binding has ended, plain routing takes over.

    Also told of a prefix that should have had one and has not: nothing that was known of it holds.
    """

    hnp: IPv6Network


@dataclass(frozen=True, slots=True)
class LocationSought:
    """Told by `mr` to the `lm` beside it: packets for a prefix came here that should not have to.

    `by`, the MR that serves their sender, could send them straight to the prefix's location.
    """

    hnp: IPv6Network
    by: IPv6Address


@dataclass(frozen=True, slots=True)
class LeaseEnded:
    """Told by `allocator`: a lease ran out (draft, 5); nothing may outlive it."""

    hnp: IPv6Network


Note = BindingSet | NodeLeft | BindingGone | LocationSought | LeaseEnded
"""What functions on one host tell each other; it never travels."""

Event = (
    Inherited
    | Restored
    | Started
    | Received
    | HeardOnLink
    | TimerFired
    | Attached
    | Detached
    | ProbeAnswered
    | Observed
    | LinkUp
    | Addressed
    | SocketsInUse
    | PrefixesAdvertised
    | Used
    | Intercepted
    | Held
    | BindingSet
    | NodeLeft
    | BindingGone
    | LocationSought
    | LeaseEnded
)
