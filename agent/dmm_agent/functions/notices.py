"""What an LM tells others without being asked: revocations and "your answer no longer holds"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmm_agent.functions.requests import Patience, Requests
from dmm_agent.wire import (
    BindingRevocationIndication,
    HomeNetworkPrefix,
    MobileNodeIdentifier,
    RevocationFlag,
    RevocationTrigger,
    Timestamp,
    UpdateNotification,
    UpdateNotificationFlag,
    UpdateReason,
)

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator
    from ipaddress import IPv6Address, IPv6Network

    from dmm_agent.functions.base import Context
    from dmm_agent.functions.effects import Effect

REVOCATION_PATIENCE = Patience(attempts=4, first_wait_s=1.0, longest_wait_s=2.0)
"""RFC 5846, section 9; two tries more than its default, because a lost one strands packets."""
NOTIFICATION_PATIENCE = Patience(attempts=6, first_wait_s=1.0, longest_wait_s=1.0)
"""RFC 7077, section 7: five retransmissions, the most it allows, a second apart."""
MAX_ASKERS = 256
"""Most MRs that are remembered for one prefix; above it the oldest must ask again."""


class Notices:
    """Sends notices reliably and remembers who holds an answer that may become untrue."""

    def __init__(self, context: Context, requests: Requests) -> None:
        self._context = context
        self._requests = requests
        self._askers: dict[IPv6Network, dict[IPv6Address, float]] = {}

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
            if asker == serving:
                self.remember(hnp, asker, until, now)
            elif until > now and asker not in (self._context.address, revoked):
                yield from self._notify(asker, hnp, mn_id, now)

    def _notify(
        self, asker: IPv6Address, hnp: IPv6Network, mn_id: str, now: float
    ) -> Iterator[Effect]:
        sequence = self._context.random.randrange(0x10000)

        def make(attempt: int, _now: float) -> UpdateNotification:
            flags = UpdateNotificationFlag.ACKNOWLEDGE
            if attempt:
                flags |= UpdateNotificationFlag.RETRANSMISSION
            return UpdateNotification(
                sequence=sequence,
                reason=UpdateReason.FORCE_REREGISTRATION,
                flags=flags,
                options=(MobileNodeIdentifier.nai(mn_id), HomeNetworkPrefix(hnp)),
            )

        key = ("notice", asker, sequence)
        yield from self._requests.start(key, asker, make, NOTIFICATION_PATIENCE, now)

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
