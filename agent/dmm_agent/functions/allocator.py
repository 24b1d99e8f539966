"""Home address allocation: home network prefixes are leased to mobile nodes (draft, 3 and 5)."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from dmm_agent.functions.base import Context, Function, Options
from dmm_agent.functions.effects import Effect, Record, SetTimer, Tell
from dmm_agent.functions.events import Event, LeaseEnded, TimerFired

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class Block(BaseModel):
    """Prefixes that plain routing brings to one access router."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    access_router: IPv6Address
    prefix: IPv6Network


class AllocatorOptions(Options):
    """Options of `allocator`."""

    blocks: tuple[Block, ...] = ()
    """A node that attaches at an access router gets a prefix out of that router's block."""
    lease_lifetime_s: int = Field(86400, ge=4, le=262140)
    max_leases: int = Field(100_000, ge=1)


@dataclass(slots=True)
class Lease:
    """A home network prefix, or home address, promised to one mobile node until `expires_at`."""

    hnp: IPv6Network
    mn_id: str
    access_router: IPv6Address | None
    """The access router whose block it is from: the node is at home there. None: it made a home
    address of its own, which is at home on the link that has its prefix."""
    expires_at: float


class Allocator(Function[AllocatorOptions]):
    """Leases one /64 to each mobile node that comes to this network.

    The functions beside it call `lease` and `holder`; leases end by themselves.
    """

    name: ClassVar[str] = "allocator"
    options_class: ClassVar[type[Options]] = AllocatorOptions

    def __init__(self, context: Context, options: AllocatorOptions) -> None:
        super().__init__(context, options)
        self._leases: dict[IPv6Network, Lease] = {}
        self._by_node: dict[str, Lease] = {}
        self._blocks = {block.access_router: block.prefix for block in options.blocks}
        self._fresh: dict[IPv6Address, Iterator[IPv6Network]] = {
            router: prefix.subnets(new_prefix=64) for router, prefix in self._blocks.items()
        }
        self._freed: dict[IPv6Address, OrderedDict[IPv6Network, None]] = {
            router: OrderedDict() for router in self._blocks
        }

    def lease(self, mn_id: str, access_router: IPv6Address, now: float) -> Lease | None:
        """Renew the node's lease or make one in the access router's block; None if none is free."""
        lease = self._by_node.get(mn_id)
        if lease is None:
            full = len(self._leases) >= self.options.max_leases
            hnp = None if full else self._free_prefix(access_router)
            if hnp is None:
                return None
            lease = Lease(hnp, mn_id, access_router, 0.0)
            self._leases[hnp] = self._by_node[mn_id] = lease
        lease.expires_at = now + self.options.lease_lifetime_s
        return lease

    def claim(self, address: IPv6Network, mn_id: str, now: float) -> Lease | None:
        """Lease a home address that a node made for itself, or renew that; None if it cannot be.

        An address is taken for a prefix of 128 bits. It is another node's, or nothing is left.
        """
        lease = self._leases.get(address)
        if lease is None and len(self._leases) < self.options.max_leases:
            lease = self._leases[address] = Lease(address, mn_id, None, 0.0)
        if lease is None or lease.mn_id != mn_id:
            return None
        lease.expires_at = now + self.options.lease_lifetime_s
        return lease

    def holder(self, hnp: IPv6Network) -> Lease | None:
        """The standing lease of a prefix."""
        return self._leases.get(hnp)

    def lease_of(self, mn_id: str) -> Lease | None:
        """The standing lease of a node."""
        return self._by_node.get(mn_id)

    def timer(self, lease: Lease) -> SetTimer:
        """The effect that lets a lease end in time; the caller of `lease` passes it on."""
        return SetTimer(self.name, lease.hnp, lease.expires_at)

    def _free_prefix(self, access_router: IPv6Address) -> IPv6Network | None:
        if access_router not in self._blocks:
            return None
        unused = next(self._fresh[access_router], None)
        if unused is not None:
            return unused
        freed = self._freed[access_router]
        return freed.popitem(last=False)[0] if freed else None

    def handle(self, event: Event, now: float) -> Iterable[Effect]:
        """End the lease whose time is up."""
        match event:
            case TimerFired(_, IPv6Network() as hnp):
                lease = self._leases.get(hnp)
                if lease is None:
                    return
                if lease.expires_at > now:
                    yield self.timer(lease)
                    return
                del self._leases[hnp]
                if lease.access_router is not None:
                    del self._by_node[lease.mn_id]
                    self._freed[lease.access_router][hnp] = None
                yield Record("lease_ended", {"hnp": str(hnp), "mn_id": lease.mn_id})
                yield Tell(LeaseEnded(hnp))
            case _:
                return

    def snapshot(self, now: float) -> Mapping[str, list[dict[str, Any]]]:
        """The standing leases."""
        return {
            "leases": [
                {
                    "hnp": str(lease.hnp),
                    "mn_id": lease.mn_id,
                    "access_router": None
                    if lease.access_router is None
                    else str(lease.access_router),
                    "remaining_s": round(lease.expires_at - now, 3),
                }
                for lease in self._leases.values()
            ]
        }
