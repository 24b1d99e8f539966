"""What an LM tells others without being asked.

Revocations, "the location that you hold is no longer true", and where packets could go straight.
The first two are said until they are acknowledged, also over a restart.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmm_agent.functions.askers import Askers
from dmm_agent.functions.effects import Forget
from dmm_agent.functions.requests import Patience, Requests
from dmm_agent.functions.unheard import Unheard, Word, words_of
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
    from collections.abc import Hashable, Iterator
    from ipaddress import IPv6Address, IPv6Network

    from dmm_agent.functions.base import Context
    from dmm_agent.functions.bindings import Binding
    from dmm_agent.functions.effects import Effect
    from dmm_agent.functions.events import Restored
    from dmm_agent.wire import Option

REVOCATION_PATIENCE = Patience(attempts=4, first_wait_s=1.0, longest_wait_s=2.0)
"""RFC 5846, section 9; two tries more than its default, because a lost one strands packets."""
NOTIFICATION_PATIENCE = Patience(attempts=6, first_wait_s=1.0, longest_wait_s=1.0)
"""RFC 7077, section 7: five retransmissions, the most it allows, a second apart."""
REVOCATIONS, NOTICES = "revocations", "notices"
"""Tables of the store, of what is not acknowledged yet."""

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

    def __init__(self, owner: str, context: Context, requests: Requests) -> None:
        self._owner = owner
        self._context = context
        self._requests = requests
        self._askers = Askers(owner)
        self._unheard = Unheard(owner, requests)
        self._pushed: OrderedDict[tuple[IPv6Address, IPv6Network], _Push] = OrderedDict()

    def restore(self, memory: Restored, now: float) -> Iterator[Effect]:
        """Go on from what an earlier run remembered; say again what nobody has acknowledged."""
        yield from self._askers.restore(memory, now)
        for table, say in ((REVOCATIONS, self._revoke), (NOTICES, self._void)):
            for word in words_of(memory, self._owner, table):
                if word.until > now:
                    yield from say(word, now)
                else:
                    yield Forget(self._owner, *word.row)

    def again(self, request: Hashable, now: float) -> Iterator[Effect]:
        """An acknowledgement is overdue."""
        yield from self._unheard.again(request, now)

    def remember(
        self, hnp: IPv6Network, asker: IPv6Address, until: float, now: float
    ) -> Iterator[Effect]:
        """The asker holds an answer about this prefix until then."""
        yield from self._askers.add(hnp, asker, until, now)

    def forget(self, hnp: IPv6Network) -> Iterator[Effect]:
        """The prefix is nobody's any more, and no answer about it holds."""
        yield from self._askers.take(hnp)

    def push(
        self, asker: IPv6Address, binding: Binding, lifetime_s: int, now: float
    ) -> Iterator[Effect]:
        """Tell an MR that has not asked where a prefix is (draft, 7: RS2.push; RFC 7077, 5.1).

        It hears of the next change. Who was told a moment ago is not told again: packets that still
        come were on their way, or the notice is. After a restart those packets bring it about anew.
        """
        last = self._pushed.get((asker, binding.hnp))
        if last is not None and (last.key in self._requests or now < last.again_at):
            return
        yield from self.remember(binding.hnp, asker, now + lifetime_s, now)
        where = (MagAddress(binding.location), BindingRefreshAdvice(lifetime_s))
        reason = UpdateReason.UPDATE_SESSION_PARAMETERS
        key = self._new_key("notice", asker)
        yield from self._notify(key, binding.hnp, binding.mn_id, now, reason, where)
        self._pushed[asker, binding.hnp] = _Push(key, now + PUSHED_AGAIN_AFTER_S)
        self._pushed.move_to_end((asker, binding.hnp))
        if len(self._pushed) > MAX_PUSHES:
            self._pushed.popitem(last=False)

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
        for asker, until in (yield from self._askers.take(hnp)).items():
            push = self._pushed.pop((asker, hnp), None)
            if push is not None:
                yield from self._requests.finish(push.key)
            if asker == serving:
                yield from self.remember(hnp, asker, until, now)
            elif until > now and asker not in (self._context.address, revoked):
                word = Word(NOTICES, asker, hnp, mn_id, Timestamp.at(now), until)
                yield from self._void(word, now)

    def _void(self, word: Word, now: float) -> Iterator[Effect]:
        """Say that an answer no longer holds; also after a restart, with the time of saying it."""
        key = self._new_key("notice", word.peer)
        yield from self._unheard.add(key, word)
        reason = UpdateReason.FORCE_REREGISTRATION
        yield from self._notify(key, word.hnp, word.mn_id, now, reason)

    def _new_key(self, kind: str, peer: IPv6Address) -> tuple[str, IPv6Address, int]:
        """Of a request, with its sequence number."""
        while (key := (kind, peer, self._context.random.randrange(0x10000))) in self._requests:
            pass
        return key

    def _notify(
        self,
        key: tuple[str, IPv6Address, int],
        hnp: IPv6Network,
        mn_id: str,
        now: float,
        reason: UpdateReason,
        where: tuple[Option, ...] = (),
    ) -> Iterator[Effect]:
        """Send a notice until it is acknowledged; its time says which of two is the newer."""
        _, asker, sequence = key
        time = Timestamp.at(now)

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

        yield from self._requests.start(key, asker, make, NOTIFICATION_PATIENCE, now)

    def notified(self, peer: IPv6Address, sequence: int) -> Iterator[Effect]:
        """The notice was acknowledged."""
        yield from self._unheard.heard(("notice", peer, sequence))

    def revoke(
        self,
        peer: IPv6Address,
        hnp: IPv6Network,
        mn_id: str,
        time: Timestamp,
        until: float,
        now: float,
    ) -> Iterator[Effect]:
        """Tell a node that it no longer serves the prefix (RFC 5846, 3).

        Args:
            peer: Whom to tell.
            hnp: What it served.
            mn_id: Whose prefix it is.
            time: Of the registration that took its place, so that a late copy cannot end a newer
                one.
            until: When the peer would have stopped by itself.
            now: Seconds since 1970.
        """
        yield from self._revoke(Word(REVOCATIONS, peer, hnp, mn_id, time, until), now)

    def _revoke(self, word: Word, now: float) -> Iterator[Effect]:
        key = self._new_key("revocation", word.peer)
        indication = BindingRevocationIndication(
            trigger=RevocationTrigger.INTER_MAG_HANDOVER_SAME_ACCESS_TYPE,
            sequence=key[2],
            flags=RevocationFlag.PROXY,
            options=(MobileNodeIdentifier.nai(word.mn_id), HomeNetworkPrefix(word.hnp), word.time),
        )

        def make(_attempt: int, _now: float) -> BindingRevocationIndication:
            return indication

        yield from self._unheard.add(key, word)
        yield from self._requests.start(key, word.peer, make, REVOCATION_PATIENCE, now)

    def is_revoking(self, peer: IPv6Address, sequence: int) -> bool:
        """Whether such a revocation waits for its acknowledgement."""
        return ("revocation", peer, sequence) in self._requests

    def revoked(self, peer: IPv6Address, sequence: int) -> Iterator[Effect]:
        """The revocation was acknowledged."""
        yield from self._unheard.heard(("revocation", peer, sequence))
