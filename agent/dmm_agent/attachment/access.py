"""The access links of a router: what is heard there becomes events, advertisements go out."""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dmm_agent.attachment import icmpv6, mobility_header, packet_filter
from dmm_agent.functions.events import Attached, Detached, HeardOnLink, ProbeAnswered
from dmm_agent.wire import EncodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from ipaddress import IPv6Address

    from dmm_agent.attachment.links import Link
    from dmm_agent.functions.effects import Advertise, Probe, SendOnLink

log = logging.getLogger(__name__)

ETH_P_IPV6 = 0x86DD
SOL_PACKET = 263
PACKET_ADD_MEMBERSHIP = 1
PACKET_MR_ALLMULTI = 2

LARGEST_FRAME = 2048
READ_AT_ONCE = 64
"""Most packets taken in one go, so that a flood leaves the agent time for the rest."""

NODES_PER_LINK = 16
"""Link-local addresses remembered a link; a node has one, a fault may bring more."""
QUESTIONS = 10
"""How often a link that came to life is asked who is there, unless somebody speaks before."""
QUESTION_PAUSE_S = 0.1

REPEAT_SOLICITED_S = 0.05
REPEAT_UNSOLICITED_S = 1.0
"""The same sign of the same node is passed on once in this time."""


@dataclass(slots=True)
class _AccessLink:
    index: int = 0
    live: bool | None = None
    """None while nothing is known of it."""
    losses: int = 0
    questions_left: int = 0
    link_layers: OrderedDict[IPv6Address, str] = field(default_factory=OrderedDict)
    """MAC addresses by link-local address, most recently heard last."""
    passed_on: dict[tuple[str, IPv6Address, bool], float] = field(default_factory=dict)

    def learn(self, link_local: IPv6Address, link_layer: str) -> None:
        self.link_layers[link_local] = link_layer
        self.link_layers.move_to_end(link_local)
        if len(self.link_layers) > NODES_PER_LINK:
            self.link_layers.popitem(last=False)

    def link_local_of(self, link_layer: str) -> IPv6Address | None:
        known = (a for a, mac in reversed(self.link_layers.items()) if mac == link_layer)
        return next(known, None)


class AccessLinks:
    """Listens and speaks on all access links through one packet socket.

    One socket for all of them keeps working when an interface is deleted and made anew.
    """

    def __init__(
        self,
        names: Sequence[str],
        clock: Callable[[], float],
        look_up: Callable[[int], Link | None],
        mtu: int | None = None,
    ) -> None:
        """Open the socket.

        Args:
            names: The access interfaces.
            clock: A steady time in seconds.
            look_up: Gives the state of an interface by its index.
            mtu: What to advertise as link MTU, if packets must leave room for a tunnel.

        Raises:
            OSError: no permission (NET_RAW) or no packet sockets.
        """
        self.malformed: Counter[str] = Counter()
        self._links = {name: _AccessLink() for name in names}
        self._clock = clock
        self._look_up = look_up
        self._mtu = mtu
        self._socket = socket.socket(
            socket.AF_PACKET,
            socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
            socket.htons(ETH_P_IPV6),
        )
        packet_filter.attach(self._socket)
        self._discard_unfiltered()

    def fileno(self) -> int:
        """For the event loop."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _discard_unfiltered(self) -> None:
        """Drop what came in before the filter was on."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(1)

    def link_changed(self, link: Link) -> Iterator[Detached]:
        """Follow an interface; ask who is there when it has come to life.

        One that has no carrier when it is first heard of may have had one for an earlier run.
        """
        access = self._links.get(link.name)
        if access is None:
            return
        if link.index != access.index:
            access.index, access.losses = link.index, link.losses
            self._hear_all_groups(link)
        was_live, was_lost = access.live, link.losses != access.losses
        access.live, access.losses = link.live, link.losses
        if not link.live:
            access.questions_left = 0
        elif was_lost or not was_live:
            access.questions_left = QUESTIONS
            self._ask(link.name, access)
        if was_live is not False and (was_lost or not link.live):
            access.passed_on.clear()
            yield Detached(link.name)

    def states(self) -> dict[str, str]:
        """Of each access link whether it is missing, down or live."""
        return {
            name: "live" if link.live else "down" if link.index else "missing"
            for name, link in self._links.items()
        }

    def look(self, name: str) -> Iterator[Detached]:
        """Find out whether an access link lost its carrier unnoticed: call it on any sign of life.

        A node that leaves and returns within a second may not be announced by the kernel.
        """
        access = self._links.get(name)
        link = None if access is None else self._look_up(access.index)
        if link is not None and link.name == name:
            yield from self.link_changed(link)

    def ask_again(self) -> bool:
        """Ask on links that came to life and stayed silent; returns whether any has not answered.

        The first question often gets lost: the far end has a carrier before it is ready.
        """
        waiting = [(name, link) for name, link in self._links.items() if link.questions_left]
        for name, access in waiting:
            self._ask(name, access)
        return any(access.questions_left for _, access in waiting)

    def _ask(self, name: str, access: _AccessLink) -> None:
        access.questions_left -= 1
        self._send(name, icmpv6.listener_query(), icmpv6.ALL_NODES)

    def _hear_all_groups(self, link: Link) -> None:
        """Without it a real network card keeps other nodes' solicited-node groups from us."""
        request = struct.pack("=iHH8s", link.index, PACKET_MR_ALLMULTI, 0, b"")
        try:
            self._socket.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, request)
        except OSError as error:
            log.warning("cannot hear all groups", extra={"fields": _fields(link.name, error)})

    def read(self) -> Iterator[Attached | Detached | ProbeAnswered | HeardOnLink]:
        """What was heard since; malformed packets are counted by link."""
        for _ in range(READ_AT_ONCE):
            try:
                packet, sender = self._socket.recvfrom(LARGEST_FRAME)
            except BlockingIOError:
                return
            except OSError as error:
                log.warning("cannot listen", extra={"fields": {"reason": str(error)}})
                return
            name, link_layer = sender[0], sender[4].hex(":")
            if name in self._links:
                yield from self.look(name)
                if mobility_header.is_mobility_header(packet):
                    yield from self._told(name, link_layer, packet)
                else:
                    yield from self._heard(name, link_layer, packet)

    def _heard(
        self, name: str, link_layer: str, packet: bytes
    ) -> Iterator[Attached | ProbeAnswered]:
        try:
            heard = icmpv6.parse(packet)
        except icmpv6.MalformedError:
            self.malformed[name] += 1
            return
        if heard is None or heard.link_local == icmpv6.ROUTER_LINK_LOCAL:
            return
        access = self._links[name]
        link_local = heard.link_local
        if link_local is None:
            link_local = access.link_local_of(link_layer)
        else:
            access.learn(link_local, link_layer)
        if heard.kind == icmpv6.NEIGHBOR_ADVERTISEMENT and heard.solicited:
            yield ProbeAnswered(name, link_layer)
        elif link_local is not None:
            solicited = heard.kind == icmpv6.ROUTER_SOLICITATION
            access.questions_left = 0
            if self._is_news(access, link_layer, link_local, solicited=solicited):
                yield Attached(name, link_layer, link_local, solicited)

    def _told(self, name: str, link_layer: str, packet: bytes) -> Iterator[Attached | HeardOnLink]:
        """Whoever says something is there: that comes first."""
        try:
            source, message = mobility_header.parse(packet)
        except icmpv6.MalformedError:
            self.malformed[name] += 1
            return
        access = self._links[name]
        access.learn(source, link_layer)
        access.questions_left = 0
        if self._is_news(access, link_layer, source, solicited=False):
            yield Attached(name, link_layer, source, solicited=False)
        yield HeardOnLink(name, link_layer, source, message)

    def _is_news(
        self, access: _AccessLink, link_layer: str, link_local: IPv6Address, *, solicited: bool
    ) -> bool:
        now = self._clock()
        sign = (link_layer, link_local, solicited)
        pause_s = REPEAT_SOLICITED_S if solicited else REPEAT_UNSOLICITED_S
        before = access.passed_on.get(sign)
        if before is not None and now - before < pause_s:
            return False
        if len(access.passed_on) >= NODES_PER_LINK:
            access.passed_on.clear()
        access.passed_on[sign] = now
        return True

    def advertise(self, effect: Advertise) -> str | None:
        """Send a router advertisement; returns why it did not go out, if it did not."""
        packet = icmpv6.router_advertisement(
            effect.link_local, effect.prefixes, effect.router_lifetime_s, self._mtu
        )
        return self._send(effect.link, packet, effect.link_local)

    def probe(self, effect: Probe) -> str | None:
        """Ask a node, or with the all-nodes address everybody, for a sign of life."""
        if effect.link_local == icmpv6.ALL_NODES:
            return self._send(effect.link, icmpv6.listener_query(), effect.link_local)
        packet = icmpv6.neighbor_solicitation(effect.link_local)
        return self._send(effect.link, packet, effect.link_local)

    def send_on_link(self, effect: SendOnLink) -> str | None:
        """Send a message to a node; returns why it did not go out, if it did not."""
        try:
            packet = mobility_header.packet_to(effect.link_local, effect.message)
        except EncodeError as error:
            return str(error)
        return self._send(effect.link, packet, effect.link_local)

    def _send(self, name: str, packet: bytes, destination: IPv6Address) -> str | None:
        access = self._links.get(name)
        if access is None:
            return f"{name} is not an access link of this host"
        link_layer = access.link_layers.get(destination)
        frame_to = (
            bytes.fromhex(link_layer.replace(":", "")) if link_layer else _group_of(destination)
        )
        try:
            self._socket.sendto(packet, (name, ETH_P_IPV6, 0, 0, frame_to))
        except OSError as error:
            return f"{name}: {error}"
        return None


def _group_of(destination: IPv6Address) -> bytes:
    """Where a frame goes for a group, or for a node whose MAC address is not known yet."""
    group = destination if destination.is_multicast else icmpv6.solicited_node(destination)
    return b"\x33\x33" + group.packed[12:]


def _fields(link: str, error: OSError) -> dict[str, str]:
    return {"link": link, "reason": str(error)}
