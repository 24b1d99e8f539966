"""The edge of an agent at a mobile node: its radio, the router on its link, its own sockets."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from dmm_agent.attachment.radio import Radio
from dmm_agent.attachment.router_advertisements import RouterAdvertisements
from dmm_agent.dataplane.netlink import NetlinkError
from dmm_agent.functions.events import LinkUp, SocketsInUse
from dmm_agent.runtime.link_signalling import LinkSignalling
from dmm_agent.sockets.continuity import InUse
from dmm_agent.sockets.monitor import SocketMonitor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dmm_agent.config import Flow
    from dmm_agent.dataplane.netlink import Netlink
    from dmm_agent.functions.events import Addressed, Event
    from dmm_agent.runtime.clock import Clock
    from dmm_agent.runtime.counters import Counters

log = logging.getLogger(__name__)


class MobileNode:
    """What an agent hears at a mobile node, as events."""

    def __init__(
        self,
        radio: str,
        declined: Sequence[Flow],
        netlink: Netlink,
        clock: Clock,
        counters: Counters,
    ) -> None:
        """Open everything.

        Args:
            radio: The interface by which the node attaches.
            declined: Sessions for which no address is kept.
            netlink: For listing addresses.
            clock: For when addresses end.
            counters: Counts messages on the link.

        Raises:
            OSError: no permission (NET_RAW), or a kernel without sock_diag.
        """
        self._counters = counters
        self._in_use = InUse()
        with ExitStack() as opened:
            self.radio = Radio(radio, netlink, clock.now)
            opened.callback(self.radio.close)
            self.routers = RouterAdvertisements(radio)
            opened.callback(self.routers.close)
            self.neighbour = LinkSignalling(radio, counters)
            opened.callback(self.neighbour.close)
            self.sockets = SocketMonitor(declined, time.monotonic)
            opened.callback(self.sockets.close)
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Close everything."""
        self._opened.close()

    def states(self) -> dict[str, str]:
        """Whether the radio is missing, down or live."""
        return self.radio.states()

    def begin(self) -> Iterator[Event]:
        """How things stand when the agent starts."""
        yield from self.sockets_looked_at()
        yield from self._radio_events(self.radio.look)

    def radio_changed(self) -> Iterator[Event]:
        """What the kernel has announced of the radio."""
        yield from self._radio_events(self.radio.read)

    def sockets_ended(self) -> Iterator[SocketsInUse]:
        """The kernel has announced the end of sockets."""
        yield from self._socket_events(self.sockets.read)

    def sockets_looked_at(self) -> Iterator[SocketsInUse]:
        """What sockets use now; the kernel does not announce new ones."""
        yield from self._socket_events(self.sockets.look)

    def _radio_events(self, listen: Callable[[], Iterator[LinkUp | Addressed]]) -> Iterator[Event]:
        try:
            for event in listen():
                if isinstance(event, LinkUp):
                    # What is said of sessions at a new place is as they are now.
                    yield from self.sockets_looked_at()
                yield event
        except NetlinkError as error:
            self._failed("radio", error)

    def _socket_events(self, look: Callable[[], InUse | None]) -> Iterator[SocketsInUse]:
        try:
            in_use = look()
        except NetlinkError as error:
            self._failed("sockets", error)
            return
        if in_use is not None and in_use != self._in_use:
            self._in_use = in_use
            yield SocketsInUse(in_use.addresses, in_use.replaceable)

    def _failed(self, what: str, error: NetlinkError) -> None:
        self._counters.count("faults", what)
        log.error("cannot look at %s", what, extra={"fields": {"reason": str(error)}})
