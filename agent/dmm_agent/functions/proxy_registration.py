"""What an access router tells its LM, again until it is answered (RFC 5213, 6.9).

A node is there with these prefixes; it has left; or it is there, but needs a prefix no longer.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from dmm_agent.functions.clock_offsets import ClockOffsets
from dmm_agent.functions.proxy_messages import (
    ANY_PREFIX,
    LONGEST_LIFETIME_S,
    node_of,
    proxy_binding_update,
)
from dmm_agent.functions.requests import Patience, Requests
from dmm_agent.wire import BindingStatus, BindingUpdate, Handoff, Timestamp

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence
    from ipaddress import IPv6Address, IPv6Network

    from dmm_agent.functions.attachments import Attachment
    from dmm_agent.functions.base import Context
    from dmm_agent.functions.effects import Effect
    from dmm_agent.wire import BindingAcknowledgement

REGISTRATION_PATIENCE = Patience(attempts=None, longest_wait_s=4.0)
"""For as long as the node is attached (RFC 5213, 6.9.4).

The pauses stop growing earlier than they must: a node without a prefix has no network, and one
update in four seconds is far below MAX_UPDATE_RATE.
"""
DEREGISTRATION_PATIENCE = Patience(attempts=4)
ASK_AGAIN = (
    BindingStatus.TIMESTAMP_MISMATCH,
    BindingStatus.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED,
)
"""Refusals of one copy of an update; the next copy has a new timestamp (RFC 5213, 6.9.1.2)."""


class Registrations:
    """What an access router has asked its LM for, or told it, and waits to have answered."""

    def __init__(self, owner: str, context: Context) -> None:
        self._requests = Requests(owner)
        self._sequence = context.random.randrange(0x10000)
        self._lm = context.directory.named(context.network).lm
        self._clocks = ClockOffsets()
        self._leaving: dict[str, int] = {}
        """Sequence numbers of de-registrations that may be unanswered, by node."""
        self._ended: dict[tuple[str, IPv6Network], int] = {}
        """The same of single prefixes, whose node has stayed."""

    def register(
        self, here: Attachment, hnps: tuple[IPv6Network, ...], handoff: int, now: float
    ) -> Iterator[Effect]:
        """Ask for prefixes of a node, until the LM answers or the node has gone."""
        sequence = self._next_sequence()
        here.asked[sequence] = hnps
        for mn_id, hnp in list(self._ended):
            if mn_id == here.mn_id and (hnp in hnps or ANY_PREFIX in hnps):
                # A copy from now on would have a newer time than what it takes back.
                yield from self._end_heard(mn_id, hnp)
        make = partial(self._update, sequence, here.mn_id, hnps, handoff, LONGEST_LIFETIME_S)
        yield from self._requests.start(
            ("register", sequence), self._lm, make, REGISTRATION_PATIENCE, now
        )

    def hurry(self, here: Attachment, hnp: IPv6Network, now: float) -> Iterator[Effect]:
        """The node shows that it needs a registration which is still unanswered."""
        for sequence, hnps in here.asked.items():
            if hnp in hnps:
                yield from self._requests.hurry(("register", sequence), now)

    def give_up(self, here: Attachment) -> Iterator[Effect]:
        """Ask for nothing more on behalf of a node."""
        for sequence in here.asked:
            yield from self._requests.finish(("register", sequence))

    def tidy(self, here: Attachment) -> None:
        """Forget what is asked for no longer."""
        here.asked = {s: h for s, h in here.asked.items() if ("register", s) in self._requests}

    def deregister(self, mn_id: str, hnps: Sequence[IPv6Network], now: float) -> Iterator[Effect]:
        """Tell the LM that a node has left with these prefixes (RFC 5213, 6.9.1.4)."""
        for hnp in hnps:
            yield from self._end_heard(mn_id, hnp)
        self._leaving[mn_id] = sequence = self._next_sequence()
        make = partial(self._update, sequence, mn_id, tuple(hnps), Handoff.UNKNOWN, 0)
        key = ("deregister", mn_id)
        yield from self._requests.start(key, self._lm, make, DEREGISTRATION_PATIENCE, now)

    def deregistered(self, mn_id: str, sequence: int | None = None) -> Iterator[Effect]:
        """Say no more that a node has left: it was heard, or the node is back."""
        if sequence in (None, self._leaving.get(mn_id)):
            self._leaving.pop(mn_id, None)
            yield from self._requests.finish(("deregister", mn_id))
        for of, hnp in [e for e, asked in self._ended.items() if asked == sequence]:
            if of == mn_id:
                yield from self._end_heard(of, hnp)

    def end(self, mn_id: str, hnp: IPv6Network, now: float) -> Iterator[Effect]:
        """Tell the LM that a node needs a prefix no longer, although it is still here.

        The handoff indicator says so: unlike after a node has left, there is nothing to wait for.
        """
        self._ended[mn_id, hnp] = sequence = self._next_sequence()
        make = partial(self._update, sequence, mn_id, (hnp,), Handoff.UNCHANGED, 0)
        key = ("end", mn_id, hnp)
        yield from self._requests.start(key, self._lm, make, DEREGISTRATION_PATIENCE, now)

    def not_known_to_have_ended(self, mn_id: str) -> list[IPv6Network]:
        """The prefixes of which the LM may not have heard yet that a node needs them no longer."""
        return [hnp for of, hnp in self._ended if of == mn_id]

    def _end_heard(self, mn_id: str, hnp: IPv6Network) -> Iterator[Effect]:
        self._ended.pop((mn_id, hnp), None)
        yield from self._requests.finish(("end", mn_id, hnp))

    def again(self, key: Hashable, now: float) -> Iterator[Effect]:
        """An answer is overdue."""
        yield from self._requests.again(key, now)
        if key not in self._requests:
            self._ended = {e: s for e, s in self._ended.items() if ("end", *e) != key}

    def settles(self, source: IPv6Address, answer: BindingAcknowledgement) -> bool:
        """Whether an acknowledgement is the LM's last word on an update."""
        return source == self._lm and answer.status not in ASK_AGAIN

    def ask_again(
        self, source: IPv6Address, answer: BindingAcknowledgement, now: float
    ) -> Iterator[Effect]:
        """A copy was refused for its time; if that was for our clock, the next goes at once."""
        if source != self._lm:
            return
        mn_id, sequence = node_of(answer), answer.sequence
        keys: list[Hashable] = [("register", sequence)]
        keys += [("deregister", mn_id)] if self._leaving.get(mn_id) == sequence else []
        keys += [("end", *end) for end, asked in self._ended.items() if asked == sequence]
        for key in keys:
            sent_at = self._requests.sent_at(key)
            if sent_at is None:
                continue
            better = yield from self._clocks.learn(source, answer, sent_at, now)
            if better:
                yield from self._requests.repeat(key, now)

    def in_own_time(self, answer: BindingAcknowledgement) -> BindingAcknowledgement:
        """An answer of the LM with its times as this host's clock shows them."""
        if self._clocks.ahead_s(self._lm) == 0.0:
            return answer
        options = (
            self._clocks.here(self._lm, option) if isinstance(option, Timestamp) else option
            for option in answer.options
        )
        return replace(answer, options=tuple(options))

    def answered(self, here: Attachment, answer: BindingAcknowledgement) -> Iterator[Effect]:
        """The LM has decided on an update for a node."""
        del here.asked[answer.sequence]
        yield from self._requests.finish(("register", answer.sequence))

    def _next_sequence(self) -> int:
        self._sequence = (self._sequence + 1) % 0x10000
        return self._sequence

    def _update(
        self,
        sequence: int,
        mn_id: str,
        hnps: tuple[IPv6Network, ...],
        handoff: int,
        lifetime_s: int,
        _attempt: int,
        now: float,
    ) -> BindingUpdate:
        return proxy_binding_update(
            sequence=sequence,
            mn_id=mn_id,
            hnps=hnps,
            handoff=handoff,
            time=self._clocks.there(self._lm, Timestamp.at(now)),
            lifetime_s=lifetime_s,
        )
