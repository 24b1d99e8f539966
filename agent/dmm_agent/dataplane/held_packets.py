"""Packets that wait to be released: bounded in number, size and time. No I/O."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipaddress import IPv6Network

    from dmm_agent.functions.base import HoldLimits

ORPHANED_AFTER_S = 1.0
"""How long after its time a packet goes that nobody has released."""


@dataclass(slots=True)
class _Queue:
    """What waits for one destination."""

    since: float
    """When its first packet came."""
    packets: deque[bytes] = field(default_factory=deque)


class HeldPackets:
    """The packets of one host, by destination prefix."""

    def __init__(self, limits: HoldLimits) -> None:
        self._limits = limits
        self._queues: OrderedDict[IPv6Network, _Queue] = OrderedDict()
        """The one that began first comes first."""
        self._packets = 0
        self._octets = 0

    def __len__(self) -> int:
        return self._packets

    def keep(self, prefix: IPv6Network, packet: bytes, now: float) -> bool:
        """Add a packet, if there is room for it."""
        if self._packets >= self._limits.packets:
            return False
        if self._octets + len(packet) > self._limits.octets:
            return False
        queue = self._queues.setdefault(prefix, _Queue(now))
        queue.packets.append(packet)
        self._packets += 1
        self._octets += len(packet)
        return True

    def __contains__(self, prefix: IPv6Network) -> bool:
        return prefix in self._queues

    def take(self, prefix: IPv6Network) -> deque[bytes]:
        """All that waits for a prefix, in the order in which it came."""
        queue = self._queues.pop(prefix, None)
        if queue is None:
            return deque()
        self._packets -= len(queue.packets)
        self._octets -= sum(map(len, queue.packets))
        return queue.packets

    def expire(self, now: float) -> int:
        """Drop what nobody has released in time; says how many packets that were."""
        oldest = now - self._limits.time_s - ORPHANED_AFTER_S
        dropped = 0
        while self._queues:
            prefix, queue = next(iter(self._queues.items()))
            if queue.since > oldest:
                break
            dropped += len(self.take(prefix))
        return dropped
