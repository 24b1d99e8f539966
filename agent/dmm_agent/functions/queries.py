"""How an LM answers "where is this prefix?" (draft, sections 4.5, 6 and 7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmm_agent.functions.prefix import hnp_of
from dmm_agent.wire import (
    AnswerStatus,
    HomeNetworkPrefix,
    LmaAddress,
    LocationAnswer,
    MagAddress,
)

if TYPE_CHECKING:
    from ipaddress import IPv6Address, IPv6Network

    from dmm_agent.config import NetworkEntry
    from dmm_agent.functions.allocator import Allocator
    from dmm_agent.functions.base import Context
    from dmm_agent.functions.bindings import BindingTable
    from dmm_agent.wire import LocationQuery

NEGATIVE_LIFETIME_S = 5
"""How long an asker may remember that nobody has a prefix."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, and whether its prefix can move so that the asker must hear of it."""

    hnp: IPv6Network
    mobile: bool
    message: LocationAnswer


def answer_query(
    context: Context,
    bindings: BindingTable,
    allocator: Allocator,
    query: LocationQuery,
    now: float,
    lifetime_s: int,
) -> Answer | None:
    """Answer from this LM's own data; None when the query names no prefix.

    No answer about a mobile prefix holds for longer than its lease.
    """
    asked = query.first(HomeNetworkPrefix)
    if asked is None:
        return None
    owner = context.directory.owner_of(asked.prefix)
    if owner is None or owner.lm != context.address:
        # Who serves it (draft, 4.5 and 6: each server has its own data, none another's).
        referral = LmaAddress(owner.lm) if owner else None
        return _answer(query, AnswerStatus.NOT_SERVED, asked.prefix, referral, NEGATIVE_LIFETIME_S)
    first = asked.prefix.network_address
    if first not in owner.mobile_pool:
        fixed = fixed_part(owner, first)
        return _answer(query, AnswerStatus.FIXED, fixed, MagAddress(owner.mr), lifetime_s)
    hnp = hnp_of(first)
    lease = allocator.holder(hnp)
    leased_s = 0 if lease is None else int(lease.expires_at - now)
    if leased_s < 1:
        return _answer(query, AnswerStatus.UNKNOWN, hnp, None, NEGATIVE_LIFETIME_S)
    binding = bindings.get(hnp)
    place = None if binding is None else context.directory.owner_of(binding.location)
    if binding is not None and place is not None and place.network != context.network:
        remaining_s = max(1, min(lifetime_s, int(binding.expires_at - now)))
        return _answer(query, AnswerStatus.AWAY, hnp, MagAddress(binding.location), remaining_s)
    return _answer(query, AnswerStatus.HOME, hnp, MagAddress(owner.mr), min(lifetime_s, leased_s))


def fixed_part(owner: NetworkEntry, address: IPv6Address) -> IPv6Network:
    """The largest prefix of a network around an address that holds no mobile prefix."""
    return next(part for part in owner.fixed_parts if address in part)


def _answer(
    query: LocationQuery,
    status: AnswerStatus,
    prefix: IPv6Network,
    where: MagAddress | LmaAddress | None,
    lifetime_s: int,
) -> Answer:
    options = (HomeNetworkPrefix(prefix), where) if where else (HomeNetworkPrefix(prefix),)
    message = LocationAnswer(
        status=status, sequence=query.sequence, lifetime_s=lifetime_s, options=options
    )
    mobile = status in (AnswerStatus.AWAY, AnswerStatus.HOME)
    return Answer(prefix, mobile, message)
