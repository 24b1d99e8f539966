"""Who may speak for a mobile node to its home agent: whoever has its key (RFC 4285).

An update that no key of the node's stands behind changes nothing, nor does one that is late or
comes a second time: its time is that of this host within a few seconds, and later than the last.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from ipaddress import IPv6Network
from typing import TYPE_CHECKING

from dmm_agent.functions.effects import Effect, Forget, Record, Remember, Send
from dmm_agent.wire import (
    NTP_FRACTION,
    BindingAcknowledgement,
    BindingStatus,
    MessageIdentifier,
    MobilityMessageAuthentication,
    authenticated,
    is_authentic,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dmm_agent.functions.base import Context
    from dmm_agent.functions.events import Restored
    from dmm_agent.functions.home_admission import HomeUpdate
    from dmm_agent.keys import SecurityAssociation

CLOSE_ENOUGH_S = 7.0
"""How far a node's time may be from ours (RFC 4285, 5.1 and 6)."""


class HomeAuthentication:
    """Stands before a home agent: lets updates through that are authentic, and signs answers."""

    def __init__(self, owner: str, context: Context, limit: int) -> None:
        self._owner = owner
        self._context = context
        self._limit = limit
        self._times: OrderedDict[IPv6Network, int] = OrderedDict()
        """The newest of each home address, as NTP has it; while its lease lasts. Older ones are out
        of date anyway after a few seconds."""

    def guard(
        self,
        update: HomeUpdate,
        take: Callable[[HomeUpdate, float], Iterator[Effect]],
        now: float,
    ) -> Iterator[Effect]:
        """Have an update taken if it is authentic and fresh; what is answered is signed.

        Without an authenticator, or from a node that shares no key with us, it is discarded (5 and
        5.1.1).
        """
        association = self._context.keys.between(update.mn_id, self._context.address)
        seal = update.message.first(MobilityMessageAuthentication)
        if association is None or seal is None or seal.spi != association.spi:
            fields = {"mn_id": update.mn_id, "source": str(update.source)}
            yield Record("unauthenticated_update", fields, warning=True)
            return
        status = self._refusal(update, association, now)
        if status is None:
            effects = take(update, now)
        else:
            refused = {"mn_id": update.mn_id, "source": str(update.source), "status": int(status)}
            yield Record("update_not_believed", refused, warning=True)
            effects = iter([update.answer(status)])
        for effect in effects:
            if isinstance(effect, Send) and isinstance(effect.message, BindingAcknowledgement):
                if effect.message.status < BindingStatus.REASON_UNSPECIFIED:
                    yield from self._accepted(update)
                yield replace(
                    effect, message=self._signed(effect.message, update, association, now)
                )
            else:
                yield effect

    def forget(self, binding: IPv6Network) -> Iterator[Effect]:
        """The lease of a home address has ended."""
        if self._times.pop(binding, None) is not None:
            yield Forget(self._owner, "times", str(binding))

    def restore(self, memory: Restored) -> None:
        """Take back what an earlier run knew of the newest updates."""
        for key, fields in memory.of(self._owner, "times"):
            self._times[IPv6Network(key)] = fields["ntp"]

    def _refusal(
        self, update: HomeUpdate, association: SecurityAssociation, now: float
    ) -> BindingStatus | None:
        """Why an update is not believed; None if it is."""
        if not is_authentic(update.octets, association.octets, update.care_of, update.home):
            return BindingStatus.MIPV6_AUTH_FAIL
        time = update.message.first(MessageIdentifier)
        if time is None:
            return BindingStatus.MIPV6_MESG_ID_REQD
        close = abs(time.seconds - now) <= CLOSE_ENOUGH_S
        if not close or time.ntp <= self._times.get(update.binding, 0):
            return BindingStatus.MIPV6_ID_MISMATCH
        return None

    def _accepted(self, update: HomeUpdate) -> Iterator[Effect]:
        time = update.message.first(MessageIdentifier)
        if time is None:
            return
        self._times[update.binding] = time.ntp
        self._times.move_to_end(update.binding)
        yield Remember(self._owner, "times", str(update.binding), {"ntp": time.ntp})
        while len(self._times) > self._limit:
            yield Forget(self._owner, "times", str(self._times.popitem(last=False)[0]))

    def _signed(
        self,
        answer: BindingAcknowledgement,
        update: HomeUpdate,
        association: SecurityAssociation,
        now: float,
    ) -> BindingAcknowledgement:
        """The answer with the update's time in it, or with ours if that was wrong (6)."""
        time = update.message.first(MessageIdentifier)
        if time is not None:
            if answer.status == BindingStatus.MIPV6_ID_MISMATCH:
                ours = MessageIdentifier.at(now).ntp & ~NTP_FRACTION
                time = MessageIdentifier(ours | time.ntp & NTP_FRACTION)
            answer = replace(answer, options=(*answer.options, time))
        key, spi = association.octets, association.spi
        return authenticated(answer, key, spi, update.source, update.home)
