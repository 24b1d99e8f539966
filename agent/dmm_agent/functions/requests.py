"""Requests that wait for an answer: sent again with growing pauses, given up after a bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmm_agent.functions.effects import CancelTimer, Effect, Send, SendOnLink, SetTimer

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator
    from ipaddress import IPv6Address

    from dmm_agent.wire import Message

INITIAL_BINDACK_TIMEOUT_S = 1.0
"""RFC 6275, section 12."""
MAX_BINDACK_TIMEOUT_S = 32.0
"""RFC 6275, section 12."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how long to ask."""

    attempts: int | None
    """None: for as long as the answer is wanted."""
    first_wait_s: float = INITIAL_BINDACK_TIMEOUT_S
    longest_wait_s: float = MAX_BINDACK_TIMEOUT_S


@dataclass(slots=True)
class _Request:
    destination: IPv6Address
    make: Callable[[int, float], Message]
    patience: Patience
    attempt: int
    wait_s: float
    sent_at: float
    """When the last copy went out."""
    source: IPv6Address | None
    home_source: IPv6Address | None
    link: str | None


class Requests:
    """The unanswered requests of one function, by a key the function chooses.

    Its timers have the key ``("request", key)``; the function hands them to `again`.
    """

    def __init__(self, owner: str, limit: int = 10_000) -> None:
        self._owner = owner
        self._limit = limit
        self._open: dict[Hashable, _Request] = {}

    def __contains__(self, key: Hashable) -> bool:
        return key in self._open

    def start(
        self,
        key: Hashable,
        destination: IPv6Address,
        make: Callable[[int, float], Message],
        patience: Patience,
        now: float,
        *,
        source: IPv6Address | None = None,
        home_source: IPv6Address | None = None,
        link: str | None = None,
    ) -> Iterator[Effect]:
        """Send the first copy; `make(attempt, now)` builds each copy, `attempt` counting from 0.

        Args:
            key: A request with the same key is replaced.
            destination: Whom to ask.
            make: Builds a copy.
            patience: How often and how long to ask. Above the limit of requests the oldest one is
                forgotten.
            now: Seconds since 1970.
            source: As in `Send`.
            home_source: As in `Send`.
            link: Where the destination is a neighbour, if it is one.
        """
        if key not in self._open and len(self._open) >= self._limit:
            yield from self.finish(next(iter(self._open)))
        self._open[key] = request = _Request(
            destination,
            make,
            patience,
            0,
            patience.first_wait_s,
            now,
            source,
            home_source,
            link,
        )
        yield from self._send(key, request, now)

    def finish(self, key: Hashable) -> Iterator[Effect]:
        """The answer came, or nobody wants it any more."""
        if self._open.pop(key, None) is not None:
            yield CancelTimer(self._owner, ("request", key))

    def again(self, key: Hashable, now: float) -> Iterator[Effect]:
        """The pause is over: send another copy, or forget the request when attempts are used up."""
        request = self._open.get(key)
        if request is None:
            return
        request.attempt += 1
        attempts = request.patience.attempts
        if attempts is not None and request.attempt >= attempts:
            del self._open[key]
            return
        request.wait_s = min(2 * request.wait_s, request.patience.longest_wait_s)
        yield from self._send(key, request, now)

    def sent_at(self, key: Hashable) -> float | None:
        """When the last copy of a request went out; None if it is not open."""
        request = self._open.get(key)
        return None if request is None else request.sent_at

    def repeat(self, key: Hashable, now: float) -> Iterator[Effect]:
        """The last copy was no good, and another will be: send it now."""
        request = self._open.get(key)
        if request is not None:
            yield from self._send(key, request, now)

    def hurry(self, key: Hashable, now: float) -> Iterator[Effect]:
        """There is fresh reason to ask: if the pause has grown, send now and start over with it."""
        request = self._open.get(key)
        if request is not None and request.wait_s > request.patience.first_wait_s:
            request.wait_s = request.patience.first_wait_s
            yield from self._send(key, request, now)

    def _send(self, key: Hashable, request: _Request, now: float) -> Iterator[Effect]:
        request.sent_at = now
        message = request.make(request.attempt, now)
        if request.link is None:
            yield Send(request.destination, message, request.source, request.home_source)
        else:
            yield SendOnLink(request.link, request.destination, message)
        yield SetTimer(self._owner, ("request", key), now + request.wait_s)
