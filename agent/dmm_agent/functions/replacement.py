"""How long deprecated addresses are kept for sockets that can do without (RFC 8653, 3.2)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from ipaddress import IPv6Address


class Replacement:
    """Since when each of a node's addresses is deprecated, and which are kept nevertheless."""

    def __init__(self, graceful_s: float) -> None:
        self._graceful_s = graceful_s
        self._preferred_until: Mapping[IPv6Address, float] = {}
        self._deprecated_since: dict[IPv6Address, float] = {}

    def addressed(self, preferred_until: Mapping[IPv6Address, float], now: float) -> None:
        """These are the node's addresses now; routers repeat that one is deprecated."""
        before = self._deprecated_since
        self._preferred_until = preferred_until
        self._deprecated_since = {
            address: before.get(address, min(until, now))
            for address, until in preferred_until.items()
            if until <= now
        }

    def kept(self, addresses: Iterable[IPv6Address], now: float) -> frozenset[IPv6Address]:
        """Those that are still to be used; the others' time is over."""
        return frozenset(address for address in addresses if self._ends_at(address) > now)

    def next_end_at(self, addresses: Iterable[IPv6Address], now: float) -> float | None:
        """When the next of them stops being kept, if any does."""
        ends = [at for at in map(self._ends_at, addresses) if now < at < math.inf]
        return min(ends, default=None)

    def _ends_at(self, address: IPv6Address) -> float:
        deprecated_at = self._deprecated_since.get(address) or self._preferred_until.get(address)
        return math.inf if deprecated_at is None else deprecated_at + self._graceful_s
