"""How far the clocks of LMs are from this host's, as their refusals show (RFC 5213, 5.5, 6.9.1.2).

The order of updates is that of the time stamps, and an LM takes those that its own clock can be
right about. It is its clock that counts for its prefixes, so whoever sends to it speaks its time.
The RFC would have clocks set right by other means than the LM's word, and this changes no clock: it
is what keeps nodes connected until somebody does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmm_agent.functions.effects import Effect, Record
from dmm_agent.wire import BindingStatus, Timestamp

if TYPE_CHECKING:
    from collections.abc import Generator
    from ipaddress import IPv6Address

    from dmm_agent.wire import BindingAcknowledgement

LEARN_PAUSE_S = 1.0
"""An LM's clock is believed to have changed once in so long, whatever it says."""
LARGEST_UNITS = (1 << 64) - 1


class ClockOffsets:
    """What to add to this host's time for each LM that it sends updates to.

    There are as many as LMs in the directory, since only answers to own updates are looked at.
    """

    def __init__(self) -> None:
        self._ahead_s: dict[IPv6Address, float] = {}
        self._learnt_at: dict[IPv6Address, float] = {}

    def ahead_s(self, lm: IPv6Address) -> float:
        """By how many seconds an LM's clock is ahead of this host's, as far as is known."""
        return self._ahead_s.get(lm, 0.0)

    def there(self, lm: IPv6Address, time: Timestamp) -> Timestamp:
        """A time of this host's as an LM's clock shows it."""
        return _moved(time, self.ahead_s(lm))

    def here(self, lm: IPv6Address, time: Timestamp) -> Timestamp:
        """A time of an LM's as this host's clock shows it."""
        return _moved(time, -self.ahead_s(lm))

    def learn(
        self, lm: IPv6Address, answer: BindingAcknowledgement, sent_at: float, now: float
    ) -> Generator[Effect, None, bool]:
        """Take note of an LM's clock from its refusal of an update that was sent at `sent_at`.

        It showed the time in the answer at some moment between then and now. So the offset changes
        by no more than that tells: an update that was refused because it had been on its way for
        long changes nothing.

        Returns:
            Whether the next copy of the update has a better chance, so that it should go at once.
        """
        shown = answer.first(Timestamp)
        if answer.status != BindingStatus.TIMESTAMP_MISMATCH or shown is None:
            return False
        learnt_at = self._learnt_at.get(lm, -LEARN_PAUSE_S)
        if sent_at < learnt_at:
            return True  # it was made before that
        before = self.ahead_s(lm)
        after = min(max(before, shown.seconds - now), shown.seconds - sent_at)
        if after == before or now < learnt_at + LEARN_PAUSE_S:
            return False
        self._ahead_s[lm], self._learnt_at[lm] = after, now
        yield Record("clock_off", {"lm": str(lm), "ahead_s": round(after, 3)}, warning=True)
        return True


def _moved(time: Timestamp, by_s: float) -> Timestamp:
    """A time so many seconds later; one that cannot be said becomes the nearest that can."""
    if by_s == 0.0:
        return time
    return Timestamp(min(max(0, time.units + round(by_s * 65536)), LARGEST_UNITS))
