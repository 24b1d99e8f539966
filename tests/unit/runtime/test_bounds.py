"""Whatever peers send, what the agent keeps of it is bounded."""

from __future__ import annotations

import asyncio

from dmm_agent.runtime import counters, journal
from dmm_agent.runtime.counters import OTHERS, Counters
from dmm_agent.runtime.journal import Journal
from dmm_agent.runtime.signalling import RateLimit


def test_counters_of_ever_new_peers_are_counted_together() -> None:
    counts = Counters()
    for peer in range(counters.KEYS_PER_GROUP + 50):
        counts.count("malformed", f"peer {peer}")

    rows = counts.rows()
    assert len(rows) == counters.KEYS_PER_GROUP + 1
    assert next(row["count"] for row in rows if row["key"] == OTHERS) == 50


def test_the_journal_keeps_the_newest_events() -> None:
    kept = Journal(kept=3)
    for number in range(5):
        kept.record(float(number), "tick", {"number": number})

    assert [row["number"] for row in kept.rows()] == [2, 3, 4]
    assert [row["sequence"] for row in kept.rows()] == [3, 4, 5]


def test_a_follower_that_does_not_read_is_cut_off() -> None:
    async def follow() -> list[object]:
        events = Journal()
        with events.followed() as queue:
            for number in range(journal.FOLLOWER_BACKLOG + 10):
                events.record(0.0, "tick", {"number": number})
            return [queue.get_nowait() for _ in range(queue.qsize())]

    got = asyncio.run(follow())
    assert len(got) == journal.FOLLOWER_BACKLOG + 1
    assert got[-1] is None


def test_errors_are_answered_in_a_burst_and_then_at_a_rate() -> None:
    now = 0.0
    limit = RateLimit(per_second=10, burst=5, clock=lambda: now)

    assert [limit.allows() for _ in range(7)] == [True] * 5 + [False] * 2
    now = 0.25
    assert [limit.allows() for _ in range(4)] == [True, True, False, False]
    now = 100.0
    assert sum(limit.allows() for _ in range(100)) == 5
