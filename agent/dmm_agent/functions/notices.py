"""What an LM tells others without being asked.

Revocations, "the location that you hold is no longer true", and where packets could go straight.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmm_agent.functions.requests import Patience, Requests
from dmm_agent.wire import (
    BindingRefreshAdvice,
    BindingRevocationIndication,
    HomeNetworkPrefix,
    MagAddress,
    MobileNodeIdentifier,
    RevocationFlag,
    RevocationTrigger,
    Timestamp,
    UpdateNotification,
    UpdateNotificationFlag,
    UpdateReason,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Hashable, Iterator
    from ipaddress import IPv6Address, IPv6Network

    from dmm_agent.functions.base import Context
    from dmm_agent.functions.bindings import Binding
    from dmm_agent.functions.effects import Effect
    from dmm_agent.wire import Option

REVOCATION_PATIENCE = Patience(attempts=4, first_wait_s=1.0, longest_wait_s=2.0)
"""RFC 5846, section 9; two tries more than its default, because a lost one strands packets."""
NOTIFICATION_PATIENCE = Patience(attempts=6, first_wait_s=1.0, longest_wait_s=1.0)
"""RFC 7077, section 7: five retransmissions, the most it allows, a second apart."""
MAX_ASKERS = 256
"""Most MRs that are remembered for one prefix; above it the oldest must ask again."""

PUSHED_AGAIN_AFTER_S = 2.0
"""Packets that come home this long after their MR was told: it has forgotten."""
MAX_PUSHES = 4096
"""Most pushes that are remembered; above it the oldest may be repeated sooner."""


@dataclass(frozen=True, slots=True)
class _Push:
    key: Hashable
    """Of the request, for as long as it is not acknowledged."""
    again_at: float


class Notices:
    """Sends notices reliably and remembers who holds an answer that may become untrue."""

    def __init__(self, context: Context, requests: Requests) -> None:
        self._context = context
        self._requests = requests
        self._askers: dict[IPv6Network, dict[IPv6Address, float]] = {}
        self._pushed: OrderedDict[tuple[IPv6Address, IPv6Network], _Push] = OrderedDict()

    def remember(self, hnp: IPv6Network, asker: IPv6Address, until: float, now: float) -> None:
        """The asker holds an answer about this prefix until then."""
        known = self._askers.get(hnp, {})
        askers = {a: t for a, t in known.items() if t > now and a != asker}
        self._askers[hnp] = askers
        if len(askers) >= MAX_ASKERS:
            askers.pop(next(iter(askers)))
        askers[asker] = until

    def forget(self, hnp: IPv6Network) -> None:
        """The prefix is nobody's any more."""
        self._askers.pop(hnp, None)

    def push(
        self, asker: IPv6Address, binding: Binding, lifetime_s: int, now: float
    ) -> Iterator[Effect]:
        """Tell an MR that has not asked where a prefix is (draft, 7: RS2.push; RFC 7077, 5.1).

        It hears of the next change. Who was told a moment ago is not told again: packets that still
        come were on their way, or the notice is.
        """
        last = self._pushed.get((asker, binding.hnp))
        if last is not None and (last.key in self._requests or now < last.again_at):
            return
        self.remember(binding.hnp, asker, now + lifetime_s, now)
        where = (MagAddress(binding.location), BindingRefreshAdvice(lifetime_s))
        reason = UpdateReason.UPDATE_SESSION_PARAMETERS
        key = yield from self._notify(asker, binding.hnp, binding.mn_id, now, reason, where)
        self._pushed[asker, binding.hnp] = _Push(key, now + PUSHED_AGAIN_AFTER_S)
        self._pushed.move_to_end((asker, binding.hnp))
        if len(self._pushed) > MAX_PUSHES:
            self._pushed.popitem(last=False)

    def holders(self, now: float) -> int:
        """How many answers given out are still alive."""
        return sum(until > now for askers in self._askers.values() for until in askers.values())

    def answer_changed(
        self,
        hnp: IPv6Network,
        mn_id: str,
        serving: IPv6Address | None,
        revoked: IPv6Address | None,
        now: float,
    ) -> Iterator[Effect]:
        """Tell all who hold an answer about the prefix to ask again (RFC 7077, 5.1).

        Args:
            hnp: What the answer is about.
            mn_id: Whose prefix it is.
            serving: Who serves it now and need not be told; it must hear of the next change.
            revoked: Who was told already, by a revocation.
            now: Seconds since 1970.
        """
        for asker, until in self._askers.pop(hnp, {}).items():
            push = self._pushed.pop((asker, hnp), None)
            if push is not None:
                yield from self._requests.finish(push.key)
            if asker == serving:
                self.remember(hnp, asker, until, now)
            elif until > now and asker not in (self._context.address, revoked):
                yield from self._notify(asker, hnp, mn_id, now, UpdateReason.FORCE_REREGISTRATION)

    def _notify(
        self,
        asker: IPv6Address,
        hnp: IPv6Network,
        mn_id: str,
        now: float,
        reason: UpdateReason,
        where: tuple[Option, ...] = (),
    ) -> Generator[Effect, None, Hashable]:
        """Send a notice until it is acknowledged; its time says which of two is the newer.

        Returns:
            The key of the request.
        """
        time = Timestamp.at(now)
        sequence = self._context.random.randrange(0x10000)

        def make(attempt: int, _now: float) -> UpdateNotification:
            flags = UpdateNotificationFlag.ACKNOWLEDGE
            if attempt:
                flags |= UpdateNotificationFlag.RETRANSMISSION
            return UpdateNotification(
                sequence=sequence,
                reason=reason,
                flags=flags,
                options=(MobileNodeIdentifier.nai(mn_id), HomeNetworkPrefix(hnp), time, *where),
            )

        key = ("notice", asker, sequence)
        yield from self._requests.start(key, asker, make, NOTIFICATION_PATIENCE, now)
        return key

    def notified(self, peer: IPv6Address, sequence: int) -> Iterator[Effect]:
        """The notice was acknowledged."""
        yield from self._requests.finish(("notice", peer, sequence))

    def revoke(
        self,
        peer: IPv6Address,
        hnp: IPv6Network,
        mn_id: str,
        time: Timestamp,
        now: float,
    ) -> Iterator[Effect]:
        """Tell a node that it no longer serves the prefix (RFC 5846, 3).

        The timestamp is that of the registration that took its place, so that a late copy cannot
        end a newer one.
        """
        sequence = self._context.random.randrange(0x10000)
        indication = BindingRevocationIndication(
            trigger=RevocationTrigger.INTER_MAG_HANDOVER_SAME_ACCESS_TYPE,
            sequence=sequence,
            flags=RevocationFlag.PROXY,
            options=(MobileNodeIdentifier.nai(mn_id), HomeNetworkPrefix(hnp), time),
        )

        def make(_attempt: int, _now: float) -> BindingRevocationIndication:
            return indication

        key: Hashable = ("revocation", peer, sequence)
        yield from self._requests.start(key, peer, make, REVOCATION_PATIENCE, now)

    def is_revoking(self, peer: IPv6Address, sequence: int) -> bool:
        """Whether such a revocation waits for its acknowledgement."""
        return ("revocation", peer, sequence) in self._requests

    def revoked(self, peer: IPv6Address, sequence: int) -> Iterator[Effect]:
        """The revocation was acknowledged."""
        yield from self._requests.finish(("revocation", peer, sequence))
