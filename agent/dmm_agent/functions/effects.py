"""What a mobility function can ask for: the outputs of the sans-I/O core."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping
    from ipaddress import IPv6Network

    from dmm_agent.functions.events import Note
    from dmm_agent.wire import Message


ACCESS_ROUTER_LINK_LOCAL = IPv6Address("fe80::200:5eff:fe00:5213")
"""What every access router shows on every access link (RFC 6543, section 4)."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send a Mobility Header message from this host's address to another host's."""

    destination: IPv6Address
    message: Message
    source: IPv6Address | None = None
    """Another address of this host to send it from: a mobile node has no signalling address."""
    home_source: IPv6Address | None = None
    """The sender's home address, to travel in a Home Address option (RFC 6275, 6.3)."""
    home_destination: IPv6Address | None = None
    """The receiver's home address, to travel in a type 2 routing header (RFC 6275, 6.4)."""


@dataclass(frozen=True, slots=True)
class SendOnLink:
    """Send a Mobility Header message to a neighbour, between link-local addresses.

    An access router's source is the one that all of them show (RFC 6543).
    """

    link: str
    link_local: IPv6Address
    message: Message


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Fire `TimerFired(owner, key)` at `at_s`, instead of at any time set for them before."""

    owner: str
    key: Hashable
    at_s: float


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """Forget a timer; unknown ones are ignored."""

    owner: str
    key: Hashable


@dataclass(frozen=True, slots=True)
class Delivery:
    """The prefix is on this access link: forward packets for it there, admit packets from it."""

    prefix: IPv6Network
    link: str
    link_local: IPv6Address


@dataclass(frozen=True, slots=True)
class BindingRoute:
    """Packets for the prefix, tunnelled ones included, are encapsulated to `endpoint`."""

    prefix: IPv6Network
    endpoint: IPv6Address


@dataclass(frozen=True, slots=True)
class CacheRoute:
    """Packets for the prefix that arrive plain are encapsulated to `endpoint`.

    Never applied to packets that were tunnelled here: two caches that point at each other
    cannot make a loop.
    """

    prefix: IPv6Network
    endpoint: IPv6Address


@dataclass(frozen=True, slots=True)
class RefusingRoute:
    """Packets for the prefix that arrive plain are answered with ICMPv6 destination unreachable."""

    prefix: IPv6Network


@dataclass(frozen=True, slots=True)
class PassingRoute:
    """Packets for the prefix that arrive plain are not held: plain routing takes them."""

    prefix: IPv6Network


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """The prefix is no longer the node's on this access link: its sessions are to notice.

    Packets from it that come up the link are answered: TCP by a reset, others by ICMPv6 destination
    unreachable with code 5, source address failed ingress policy (RFC 4443, 3.1). Says nothing of
    packets *to* the prefix, which may be another node's by now.
    """

    prefix: IPv6Network
    link: str
    link_local: IPv6Address


@dataclass(frozen=True, slots=True)
class VisitorRoute:
    """Packets *from* a visiting prefix go by its home MR, unless a better way is known."""

    prefix: IPv6Network
    """The visiting home network prefix (a source prefix), or a mobile node's own home address."""
    endpoint: IPv6Address
    """Tunnel endpoint of the home network's MR."""
    source: IPv6Address | None = None
    """The other one, where it is not this host's address: a mobile node's care-of address."""


@dataclass(frozen=True, slots=True)
class VisitorShortcut:
    """Packets from any visiting prefix to this destination are encapsulated to `endpoint`."""

    prefix: IPv6Network
    """A destination prefix in another network: fixed addresses, or a mobile node at home."""
    endpoint: IPv6Address


@dataclass(frozen=True, slots=True)
class NodeTunnel:
    """A mobile node at `endpoint` may tunnel packets here whose source is in the prefix.

    Nothing else is taken from it (RFC 6275, 10.4.5).
    """

    prefix: IPv6Network
    """Its home address, or the prefix of a network that moves with it."""
    endpoint: IPv6Address
    """Its care-of address."""


@dataclass(frozen=True, slots=True)
class InsideRoute:
    """At a mobile router: the prefix behind it holds, and is advertised inside while it does.

    Leads nowhere; what speaks to the hosts inside waits for it.
    """

    prefix: IPv6Network


Route = (
    Delivery
    | BindingRoute
    | CacheRoute
    | RefusingRoute
    | PassingRoute
    | Withdrawal
    | VisitorRoute
    | VisitorShortcut
    | NodeTunnel
    | InsideRoute
)
"""Forwarding state. Its identity is its type and its prefix."""


@dataclass(frozen=True, slots=True)
class Install:
    """Put a route into the data plane, replacing the one of the same type and prefix."""

    route: Route


@dataclass(frozen=True, slots=True)
class Remove:
    """Take a route out of the data plane; one that is not there is ignored."""

    route: Route


@dataclass(frozen=True, slots=True)
class Release:
    """Send the packets for the prefix that were held, in the order in which they came."""

    prefix: IPv6Network


@dataclass(frozen=True, slots=True)
class AdvertisedPrefix:
    """One Prefix Information option (RFC 4861, 4.6.2), on-link clear, autonomous set."""

    prefix: IPv6Network
    preferred_s: int
    valid_s: int


@dataclass(frozen=True, slots=True)
class Advertise:
    """Send one router advertisement (RFC 4861, 4.2; addresses of RFC 6543) to a mobile node."""

    link: str
    link_local: IPv6Address
    prefixes: tuple[AdvertisedPrefix, ...]
    router_lifetime_s: int


@dataclass(frozen=True, slots=True)
class Probe:
    """Ask the mobile node on a link whether it is still there (neighbour solicitation).

    Sent to all nodes (ff02::1) it is an MLD general query (RFC 3810, 5.1), whose report shows who
    is on a link that nobody is known to be on.
    """

    link: str
    link_local: IPv6Address


@dataclass(frozen=True, slots=True)
class KeepAddress:
    """On a mobile node: one of its addresses stays for so long, deprecated (RFC 4862, 5.5.4).

    Router advertisements, which say so elsewhere, are heard only where the address is from.
    """

    link: str
    address: IPv6Address
    valid_s: float


@dataclass(frozen=True, slots=True)
class DropAddress:
    """On a mobile node: one of its addresses is of no use any more, take it away."""

    link: str
    address: IPv6Address


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell the other functions on this host something; it arrives before any outside event."""

    note: Note


@dataclass(frozen=True, slots=True)
class Record:
    """Write one structured event to the log and to `dmmctl events`, and count it."""

    name: str
    fields: dict[str, Any] = field(default_factory=dict)
    warning: bool = False
    """Whether somebody should look after it."""


@dataclass(frozen=True, slots=True)
class Remember:
    """Keep a row on disk, in place of the one with the same owner, table and key, if any.

    Nothing that leaves the host because of the same event, or a later one, leaves before the row is
    there. The function named `owner` gets it back as `Restored` when the agent starts again.
    """

    owner: str
    table: str
    key: str
    fields: Mapping[str, Any]
    """Whatever JSON can say; the function alone knows what it means."""


@dataclass(frozen=True, slots=True)
class Forget:
    """Take a row that was remembered off the disk; one that is not there is ignored."""

    owner: str
    table: str
    key: str


Effect = (
    Send
    | SendOnLink
    | SetTimer
    | CancelTimer
    | Install
    | Remove
    | Release
    | Advertise
    | Probe
    | KeepAddress
    | DropAddress
    | Tell
    | Record
    | Remember
    | Forget
)
