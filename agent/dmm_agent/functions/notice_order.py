"""Which notices are news: they may overtake each other, and the newest counts (draft, 7)."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from dmm_agent.wire import Timestamp

if TYPE_CHECKING:
    from ipaddress import IPv6Network

    from dmm_agent.wire import UpdateNotification

OLDEST_UNITS = 10 << 16
"""No notice is older when it comes (10 s; it is repeated for 6): a clock was set back."""


class NoticeOrder:
    """When the newest notice of each prefix was made, by its sender's clock."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._newest: OrderedDict[IPv6Network, int] = OrderedDict()
        """In 1/65536 s since 1970."""

    def is_news(self, hnp: IPv6Network, notice: UpdateNotification) -> bool:
        """Whether no newer notice came before it; one of a clock that was set back is new."""
        time = notice.first(Timestamp)
        if time is None:
            return True
        newest = self._newest.pop(hnp, 0)
        newest = 0 if newest - time.units > OLDEST_UNITS else newest
        self._newest[hnp] = max(newest, time.units)
        if len(self._newest) > self._limit:
            self._newest.popitem(last=False)
        return time.units >= newest
