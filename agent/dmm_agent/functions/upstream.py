"""Registrations of a visited network's LM with home LMs: to them it behaves like the mobile node.

The proxy between LM and MN of the draft's sections 2.2 and 5; on the wire RFC 5213 once more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmm_agent.functions.clock_offsets import ClockOffsets
from dmm_agent.functions.effects import Effect, Send
from dmm_agent.functions.lease_lifetimes import leases_of
from dmm_agent.functions.proxy_messages import (
    LONGEST_LIFETIME_S,
    acknowledge,
    handoff_of,
    node_of,
    prefixes_of,
    proxy_binding_update,
)
from dmm_agent.wire import BindingStatus, Timestamp

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from ipaddress import IPv6Address, IPv6Network

    from dmm_agent.functions.base import Context
    from dmm_agent.functions.registration import Registration
    from dmm_agent.wire import BindingAcknowledgement, BindingUpdate

MAX_WAITING = 4096
"""Most questions that wait for home LMs; above it the oldest is forgotten, to be asked again."""


@dataclass(slots=True)
class _Question:
    home_lm: IPv6Address
    mn_id: str
    hnps: tuple[IPv6Network, ...]
    update: BindingUpdate
    registration: Registration | None
    """None for a refresh, which nobody waits for."""
    asked_at: float


@dataclass(slots=True)
class _End:
    """An access router's word that sessions have ended, on its way to home LMs."""

    requester: IPv6Address
    update: BindingUpdate
    hnps: dict[IPv6Address, list[IPv6Network]]
    """By home LM."""
    unheard: dict[IPv6Address, float]
    """The home LMs that have yet to answer, and when each was told last."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A home LM's answer, matched to what was asked."""

    home_lm: IPv6Address
    update: BindingUpdate
    """The access router's update that was passed on."""
    registration: Registration | None
    accepted: tuple[IPv6Network, ...]
    refused: tuple[IPv6Network, ...]
    status: int
    lifetime_s: int
    leased_until: dict[IPv6Network, float]
    """When leases of accepted prefixes end at the earliest, as if the answer took no time."""
    asked_at: float

    @property
    def expires_at(self) -> float:
        """Until when the home LM points here for certain: as if its answer took no time."""
        return self.asked_at + self.lifetime_s


class Upstream:
    """Registrations of this LM with home LMs.

    Never sends again by itself: the access router, who alone knows that the node is still there,
    repeats its update with a new timestamp, and each copy is passed on. Only when a home LM's clock
    turns out to be another than was thought, the same is said once more at once.

    Times are this LM's here, and a home LM's in messages to and from it.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._sequence = context.random.randrange(0x10000)
        self.clocks = ClockOffsets()
        self._questions: dict[int, _Question] = {}
        self._ends: dict[int, _End] = {}
        """By the sequence number of each message that is part of it."""

    def register(
        self,
        update: BindingUpdate,
        hnps: Iterable[IPv6Network],
        registration: Registration | None,
        now: float,
    ) -> Iterator[Effect]:
        """Ask the home LM of each prefix to point here, with the update's own timestamp."""
        for home_lm, asked in self._by_home(hnps).items():
            sequence = self._next_sequence()
            self._questions.pop(sequence, None)
            self._questions[sequence] = _Question(
                home_lm, node_of(update), tuple(asked), update, registration, now
            )
            if len(self._questions) > MAX_WAITING:
                del self._questions[next(iter(self._questions))]
            yield self._pass_on(home_lm, sequence, asked, update, LONGEST_LIFETIME_S)

    def end(
        self,
        requester: IPv6Address,
        update: BindingUpdate,
        hnps: Iterable[IPv6Network],
        now: float,
    ) -> Iterator[Effect]:
        """Tell home LMs that no session needs these prefixes here, with the update's own time.

        The requester is answered once they have answered; until then it repeats its update.
        """
        by_home = self._by_home(hnps)
        end = _End(requester, update, by_home, dict.fromkeys(by_home, now))
        for home_lm, ended in by_home.items():
            sequence = self._next_sequence()
            self._ends.pop(sequence, None)
            self._ends[sequence] = end
            if len(self._ends) > MAX_WAITING:
                del self._ends[next(iter(self._ends))]
            yield self._pass_on(home_lm, sequence, ended, update, 0)

    def end_answered(
        self, source: IPv6Address, answer: BindingAcknowledgement, now: float
    ) -> Iterator[Effect]:
        """A home LM has heard that sessions ended, or wants to be told again."""
        end = self._ends.get(answer.sequence)
        if end is None or source not in end.unheard or node_of(end.update) != node_of(answer):
            return
        if answer.status >= 128:
            if (yield from self.clocks.learn(source, answer, end.unheard[source], now)):
                end.unheard[source] = now
                hnps = end.hnps[source]
                yield self._pass_on(source, answer.sequence, hnps, end.update, 0)
            else:
                del self._ends[answer.sequence]  # the next copy has another time
            return
        del self._ends[answer.sequence], end.unheard[source]
        if not end.unheard:
            accepted = acknowledge(
                end.update,
                status=BindingStatus.ACCEPTED,
                lifetime_s=0,
                hnps=prefixes_of(end.update),
                now=now,
            )
            yield Send(end.requester, accepted)

    def _by_home(self, hnps: Iterable[IPv6Network]) -> dict[IPv6Address, list[IPv6Network]]:
        """Prefixes by the LM that serves them."""
        by_home: dict[IPv6Address, list[IPv6Network]] = {}
        for hnp in hnps:
            home = self._context.directory.home_of(hnp)
            if home is not None:
                by_home.setdefault(home.lm, []).append(hnp)
        return by_home

    def deregister(
        self, home_lm: IPv6Address, mn_id: str, hnp: IPv6Network, time: Timestamp
    ) -> Iterator[Effect]:
        """Tell the home LM that the node has left; its own timer covers a lost message."""
        yield Send(
            home_lm,
            proxy_binding_update(
                sequence=self._next_sequence(),
                mn_id=mn_id,
                hnps=[hnp],
                handoff=4,
                time=self.clocks.there(home_lm, time),
                lifetime_s=0,
            ),
        )

    def _pass_on(
        self,
        home_lm: IPv6Address,
        sequence: int,
        hnps: list[IPv6Network],
        update: BindingUpdate,
        lifetime_s: int,
    ) -> Send:
        time = update.first(Timestamp)
        assert time is not None, "an update without timestamp was accepted"
        message = proxy_binding_update(
            sequence=sequence,
            mn_id=node_of(update),
            hnps=hnps,
            handoff=handoff_of(update),
            time=self.clocks.there(home_lm, time),
            lifetime_s=lifetime_s,
        )
        return Send(home_lm, message)

    def said_again(
        self, source: IPv6Address, answer: BindingAcknowledgement, now: float
    ) -> Generator[Effect, None, bool]:
        """Whether an acknowledgement was a refusal for the time, after which the same was asked."""
        question = self._questions.get(answer.sequence)
        if question is None or (question.home_lm, question.mn_id) != (source, node_of(answer)):
            return False
        if not (yield from self.clocks.learn(source, answer, question.asked_at, now)):
            return False
        question.asked_at = now
        hnps, update = list(question.hnps), question.update
        yield self._pass_on(source, answer.sequence, hnps, update, LONGEST_LIFETIME_S)
        return True

    def answered(self, source: IPv6Address, answer: BindingAcknowledgement) -> Answered | None:
        """Match an acknowledgement; None when nothing like it was asked."""
        question = self._questions.get(answer.sequence)
        if (
            question is None
            or question.home_lm != source
            or question.mn_id != node_of(answer)
            or (answer.lifetime_s == 0 and answer.status < 128)
        ):
            return None
        del self._questions[answer.sequence]
        granted = set(prefixes_of(answer)) if answer.status < 128 else set()
        accepted = tuple(hnp for hnp in question.hnps if hnp in granted)
        refused = tuple(hnp for hnp in question.hnps if hnp not in granted)
        return Answered(
            source,
            question.update,
            question.registration,
            accepted,
            refused,
            answer.status,
            answer.lifetime_s,
            {hnp: question.asked_at + left_s for hnp, left_s in leases_of(answer).items()},
            question.asked_at,
        )

    def forget(self, mn_id: str, hnps: Iterable[IPv6Network], requester: IPv6Address) -> None:
        """The node left the access router before the home LM answered: its answer is not wanted."""
        gone = set(hnps)
        for sequence, question in list(self._questions.items()):
            registration = question.registration
            if (
                registration is not None
                and registration.requester == requester
                and question.mn_id == mn_id
                and gone.intersection(question.hnps)
            ):
                del self._questions[sequence]

    def _next_sequence(self) -> int:
        self._sequence = (self._sequence + 1) % 0x10000
        return self._sequence
