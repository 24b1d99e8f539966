"""Home address allocation: home network prefixes are leased to mobile nodes (draft, 3 and 5)."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from dmm_agent.functions.base import Context, Function, Options
from dmm_agent.functions.effects import Effect, Forget, Record, Remember, SetTimer, Tell
from dmm_agent.functions.events import Event, LeaseEnded, Restored, TimerFired

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
    """How long a prefix stays leased to a node that is not heard of (draft, 5)."""
    max_leases: int = Field(100_000, ge=1)
    """Most leases, and most freed prefixes of which it is remembered when they became free."""


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

    The functions beside it call `lease`, `keep` and `holder`; leases end by themselves. Leases are
    promises, so they are remembered, and so is in which order prefixes became free.
    """

    name: ClassVar[str] = "allocator"
    options_class: ClassVar[type[Options]] = AllocatorOptions
    remembers: ClassVar[bool] = True

    def __init__(self, context: Context, options: AllocatorOptions) -> None:
        super().__init__(context, options)
        self._leases: dict[IPv6Network, Lease] = {}
        self._by_node: dict[str, Lease] = {}
        self._blocks = {block.access_router: block.prefix for block in options.blocks}
        self._fresh: dict[IPv6Address, Iterator[IPv6Network]] = {
            router: prefix.subnets(new_prefix=64) for router, prefix in self._blocks.items()
        }
        """The prefixes of each block that no lease has been looked for among yet."""
        self._freed: dict[IPv6Address, OrderedDict[IPv6Network, None]] = {
            router: OrderedDict() for router in self._blocks
        }
        """Prefixes that were leased once, the one that has been free for longest first."""

    def lease(self, mn_id: str, access_router: IPv6Address, now: float) -> Lease | None:
        """Renew the node's lease or make one in the access router's block; None if none is free.

        The caller passes on what `keep` returns for it before it tells anybody.
        """
        lease = self._by_node.get(mn_id)
        if lease is None:
            full = len(self._leases) >= self.options.max_leases
            hnp = None if full else self._free_prefix(access_router)
            if hnp is None:
                return None
            lease = self._add(Lease(hnp, mn_id, access_router, 0.0))
        lease.expires_at = now + self.options.lease_lifetime_s
        return lease

    def claim(self, address: IPv6Network, mn_id: str, now: float) -> Lease | None:
        """Lease a home address that a node made for itself, or renew that; None if it cannot be.

        An address is taken for a prefix of 128 bits. It is another node's, or nothing is left.
        """
        lease = self._leases.get(address)
        if lease is None and len(self._leases) < self.options.max_leases:
            lease = self._add(Lease(address, mn_id, None, 0.0))
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

    def keep(self, lease: Lease) -> Iterator[Effect]:
        """The effects that make a lease last, and let it end in time."""
        fields = {"mn_id": lease.mn_id, "expires_at_s": lease.expires_at}
        yield Remember(self.name, "prefixes", str(lease.hnp), fields)
        yield SetTimer(self.name, lease.hnp, lease.expires_at)

    def _add(self, lease: Lease) -> Lease:
        self._leases[lease.hnp] = lease
        if lease.access_router is not None:
            self._by_node[lease.mn_id] = lease
        return lease

    def _free_prefix(self, access_router: IPv6Address) -> IPv6Network | None:
        """A prefix that never was leased, or else the one that has been free for longest.

        So a node that still uses an old address collides as late as can be.
        """
        if access_router not in self._blocks:
            return None
        freed = self._freed[access_router]
        if sum(map(len, self._freed.values())) < self.options.max_leases:
            fresh = self._fresh[access_router]
            unused = next((p for p in fresh if p not in freed and p not in self._leases), None)
            if unused is not None:
                return unused
        return freed.popitem(last=False)[0] if freed else None

    def _block_of(self, hnp: IPv6Network) -> IPv6Address | None:
        """The access router whose block a prefix is from."""
        return next((r for r, block in self._blocks.items() if hnp.subnet_of(block)), None)

    def handle(self, event: Event, now: float) -> Iterable[Effect]:
        """End the lease whose time is up; go on with those of an earlier run."""
        match event:
            case Restored():
                yield from self._restore(event, now)
            case TimerFired(_, IPv6Network() as hnp):
                lease = self._leases.get(hnp)
                if lease is None:
                    return
                if lease.expires_at > now:
                    yield SetTimer(self.name, hnp, lease.expires_at)
                    return
                yield from self._end(lease)
            case _:
                return

    def _end(self, lease: Lease) -> Iterator[Effect]:
        del self._leases[lease.hnp]
        if lease.access_router is None:
            yield Forget(self.name, "prefixes", str(lease.hnp))
        else:
            del self._by_node[lease.mn_id]
            self._freed[lease.access_router][lease.hnp] = None
            fields = {"free_since_s": lease.expires_at}
            yield Remember(self.name, "prefixes", str(lease.hnp), fields)
        yield from self._say_ended(lease.hnp, lease.mn_id)

    @staticmethod
    def _say_ended(hnp: IPv6Network, mn_id: str) -> Iterator[Effect]:
        yield Record("lease_ended", {"hnp": str(hnp), "mn_id": mn_id})
        yield Tell(LeaseEnded(hnp))

    def _restore(self, memory: Restored, now: float) -> Iterator[Effect]:
        """Take the leases of an earlier run back; end those whose time ran out meanwhile.

        A prefix that plain routing no longer brings to an access router here is nobody's.
        """
        free, leased = [], []
        for key, fields in memory.of(self.name, "prefixes"):
            hnp = IPv6Network(key)
            router = self._block_of(hnp)
            made_by_node = hnp.prefixlen == hnp.max_prefixlen
            if router is None and not made_by_node:
                yield Forget(self.name, "prefixes", key)
                if "mn_id" in fields:
                    yield from self._say_ended(hnp, fields["mn_id"])
            elif "mn_id" in fields:
                home = None if made_by_node else router
                leased.append(Lease(hnp, fields["mn_id"], home, fields["expires_at_s"]))
            elif router is not None:
                free.append((fields["free_since_s"], hnp, router))
        for _, hnp, router in sorted(free):
            self._freed[router][hnp] = None
        for lease in sorted(leased, key=lambda lease: lease.expires_at):
            self._add(lease)
            if lease.expires_at > now:
                yield SetTimer(self.name, lease.hnp, lease.expires_at)
            else:
                yield from self._end(lease)

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
