"""Resolution: what an MR asks of which LM, and which answers it believes (draft, 7: RS2.query)."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmm_agent.functions.admission import is_infrastructure
from dmm_agent.functions.cache import IN_USE_S
from dmm_agent.functions.effects import Effect, Record
from dmm_agent.functions.requests import Patience, Requests
from dmm_agent.wire import (
    AnswerStatus,
    HomeNetworkPrefix,
    LmaAddress,
    LocationQuery,
    MagAddress,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from ipaddress import IPv6Address, IPv6Network

    from dmm_agent.config import NetworkEntry
    from dmm_agent.functions.base import Context
    from dmm_agent.functions.routing_options import RoutingOptions
    from dmm_agent.wire import LocationAnswer

QUERY_PATIENCE = Patience(attempts=4, first_wait_s=0.5, longest_wait_s=2.0)
MAX_PENDING = 1024


@dataclass(frozen=True, slots=True)
class _Question:
    """A query without an answer yet."""

    sequence: int
    lm: IPv6Address
    """Who was asked."""
    asked_at: float
    """When its first copy was sent."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """An answer that is believed."""

    prefix: IPv6Network
    status: AnswerStatus
    endpoint: IPv6Address | None
    expires_at: float


class Resolver:
    """The open questions of one MR."""

    def __init__(self, owner: str, context: Context, options: RoutingOptions) -> None:
        self._context = context
        self._options = options
        self._requests = Requests(owner, MAX_PENDING)
        self._questions: dict[IPv6Network, _Question] = {}
        self._noticed: OrderedDict[IPv6Network, tuple[float, float]] = OrderedDict()
        """Destinations in use that were not asked for yet: first and last sampled packet."""
        self._sequence = context.random.randrange(0x10000)

    def __contains__(self, prefix: IPv6Network) -> bool:
        return prefix in self._questions

    def notice(self, prefix: IPv6Network, owner: NetworkEntry, now: float) -> Iterator[Effect]:
        """A packet for the prefix passed: ask, if it has been in use for long enough."""
        if self._in_use_for_s(prefix, now) >= self._options.resolve_after_s:
            self._noticed.pop(prefix, None)
            yield from self._ask(prefix, self._first_asked(owner), now)

    def _first_asked(self, owner: NetworkEntry) -> IPv6Address:
        """The LM that knows, or one that refers to it; not one beside us, with our directory."""
        own_lm = self._context.directory.named(self._context.network).lm
        if self._options.ask_first == "home-lm" or own_lm == self._context.address:
            return owner.lm
        return own_lm

    def _in_use_for_s(self, prefix: IPv6Network, now: float) -> float:
        """For how long packets to a destination have been seen without a long pause."""
        first, last = self._noticed.pop(prefix, (now, now))
        if now - last > IN_USE_S:
            first = now
        self._noticed[prefix] = (first, now)
        if len(self._noticed) > MAX_PENDING:
            self._noticed.popitem(last=False)
        return now - first

    def ask_home(self, prefix: IPv6Network, owner: NetworkEntry, now: float) -> Iterator[Effect]:
        """Ask the LM that serves the prefix, again if it was asked already."""
        yield from self._ask(prefix, owner.lm, now)

    def _ask(self, prefix: IPv6Network, lm: IPv6Address, now: float) -> Iterator[Effect]:
        if prefix not in self._questions and len(self._questions) >= MAX_PENDING:
            return
        self._sequence = (self._sequence + 1) % 0x10000
        self._questions[prefix] = _Question(self._sequence, lm, now)
        query = LocationQuery(sequence=self._sequence, options=(HomeNetworkPrefix(prefix),))

        def make(_attempt: int, _now: float) -> LocationQuery:
            return query

        yield Record("query", {"prefix": str(prefix), "lm": str(lm)})
        yield from self._requests.start(prefix, lm, make, QUERY_PATIENCE, now)

    def again(self, prefix: IPv6Network, now: float) -> Iterator[Effect]:
        """No answer came in time: send another copy, or give up."""
        yield from self._requests.again(prefix, now)
        if prefix not in self._requests:
            self._questions.pop(prefix, None)

    def forget(self, prefix: IPv6Network) -> Iterator[Effect]:
        """Nobody wants the answer any more."""
        if self._questions.pop(prefix, None) is not None:
            yield from self._requests.finish(prefix)

    def answered(
        self, source: IPv6Address, answer: LocationAnswer, now: float
    ) -> Generator[Effect, None, Resolved | None]:
        """Take an answer from who was asked; follow a referral to who knows.

        Returns:
            What it says, if it is the last word and to be believed.
        """
        prefix = self._asked(source, answer)
        owner = None if prefix is None else self._context.directory.owner_of(prefix)
        if prefix is None or owner is None:
            return None
        if owner.lm != source:
            yield from self._referred(prefix, owner, answer, now)
            return None
        location = answer.first(MagAddress)
        endpoint = None if location is None else location.address
        if endpoint is not None and not is_infrastructure(self._context.directory, endpoint):
            yield Record("answer_refused", {"prefix": str(prefix), "location": str(endpoint)})
            return None
        question = self._questions.pop(prefix)
        yield from self._requests.finish(prefix)
        yield Record(
            "answer",
            {
                "prefix": str(prefix),
                "status": answer.status.name,
                "location": None if endpoint is None else str(endpoint),
            },
        )
        # What the LM granted began to run out when it was asked, at the earliest.
        return Resolved(prefix, answer.status, endpoint, question.asked_at + answer.lifetime_s)

    def _asked(self, source: IPv6Address, answer: LocationAnswer) -> IPv6Network | None:
        """The prefix that an answer is about, if this very LM was asked for it."""
        named = answer.first(HomeNetworkPrefix)
        question = None if named is None else self._questions.get(named.prefix)
        if named is None or question is None:
            return None
        fits = (question.sequence, question.lm) == (answer.sequence, source)
        return named.prefix if fits else None

    def _referred(
        self, prefix: IPv6Network, owner: NetworkEntry, answer: LocationAnswer, now: float
    ) -> Iterator[Effect]:
        """An LM that does not serve the prefix says who does; the directory must agree."""
        referral = answer.first(LmaAddress)
        if answer.status == AnswerStatus.NOT_SERVED and referral == LmaAddress(owner.lm):
            yield from self._ask(prefix, owner.lm, now)
            return
        named = None if referral is None else str(referral.address)
        yield Record("referral_refused", {"prefix": str(prefix), "lm": named})
