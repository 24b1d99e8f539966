"""What was answered must hold: leases and bindings, watched from outside the functions."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dmm_agent.functions.proxy_messages import ANY_PREFIX, node_of, prefixes_of
from dmm_agent.wire import BindingAcknowledgement, Timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv6Network

    from dmm_agent.simulator.world import Rows, Sent, World

ROUNDING_S = 0.002
"""Rows give remaining times in milliseconds."""


@dataclass(frozen=True, slots=True)
class _Promise:
    mn_id: str
    until: float


@dataclass(frozen=True, slots=True)
class _Held:
    """A row of a table, without what changes by itself."""

    table: str
    hnp: str
    mn_id: str
    location: str | None
    leaving: bool
    until: float
    """By the router's own clock."""


@dataclass(slots=True)
class Promises:
    """Watches answers, deaths and starts.

    - No prefix is leased to two nodes at once.
    - No lease that was answered is lost before its time.
    - What was on the disk of an agent that died, the next one holds, for not a moment longer.
    """

    world: World
    _leases: dict[IPv6Network, _Promise] = field(default_factory=dict)
    _on_disk: dict[str, list[_Held]] = field(default_factory=dict)

    def __call__(self, sent: Sent) -> None:
        """Take note of one message: an accepted registration leases anew, or renews.

        Raises:
            AssertionError: another node has the lease.
        """
        answer = sent.message
        if not isinstance(answer, BindingAcknowledgement) or answer.status >= 128:
            return
        for hnp in prefixes_of(answer):
            home = self.world.plan.directory.home_of(hnp)
            if hnp == ANY_PREFIX or home is None or home.lm != sent.source:
                continue
            mn_id, before = node_of(answer), self._leases.get(hnp)
            if before is not None and before.mn_id != mn_id and before.until > self.world.now:
                raise AssertionError(f"{hnp} is leased to {mn_id}, and still to {before.mn_id}")
            if answer.lifetime_s:
                self._leases[hnp] = _Promise(mn_id, self._until(sent))

    def _until(self, sent: Sent) -> float:
        """For as long as whoever registered counts on: from when it asked."""
        lm = self.world.plan.by_address[sent.source].name
        asked = sent.message.first(Timestamp)
        ago_s = 0.0 if asked is None else max(0.0, self.world.time_of(lm) - asked.seconds)
        return self.world.now - ago_s + self.world.lease_lifetime_s(lm)

    def inspect(self) -> None:
        """Look at what is held now.

        Raises:
            AssertionError: a lease is not there.
        """
        for violation in self._lost_leases():
            raise AssertionError(violation)

    def _lost_leases(self) -> Iterator[str]:
        now = self.world.now
        self._leases = {h: p for h, p in self._leases.items() if p.until > now + ROUNDING_S}
        rows_of = functools.cache(self.world.rows)
        for hnp, promise in self._leases.items():
            home = self.world.plan.directory.home_of(hnp)
            assert home is not None, "only mobile prefixes are leased"
            name = self.world.plan.by_address[home.lm].name
            if not self.world.nodes[name].functions:
                continue  # its agent is down
            rows = rows_of(name)["leases"]
            left_s = [
                r["remaining_s"]
                for r in rows
                if (r["hnp"], r["mn_id"]) == (str(hnp), promise.mn_id)
            ]
            if not left_s or left_s[0] < promise.until - now - ROUNDING_S:
                yield f"{name} leased {hnp} by {promise}, and has {left_s} at {now}"

    def died(self, router: str, rows: Rows) -> None:
        """An agent died with this on its disk."""
        self._on_disk[router] = self._held(rows, self.world.time_of(router))

    def started(self, router: str) -> None:
        """The next agent has what was there, but for what has ended meanwhile.

        Raises:
            AssertionError: it has not, or it has more.
        """
        self.inspect()
        before = set(self._on_disk.pop(router, []))
        now = self.world.time_of(router)
        after = self._held(self.world.rows(router), now)
        lost = [h for h in before if h.until > now + ROUNDING_S and not _same(h, after)]
        more = [h for h in after if not _same(h, before)]
        if lost or more:
            raise AssertionError(f"{router} has lost {lost} and has got {more}")

    @staticmethod
    def _held(rows: Rows, now: float) -> list[_Held]:
        return [
            _Held(
                table,
                row["hnp"],
                row["mn_id"],
                row.get("location"),
                row.get("leaving", False),
                now + row["remaining_s"],
            )
            for table in ("leases", "bindings")
            for row in rows.get(table, [])
        ]


def _same(one: _Held, others: list[_Held] | set[_Held]) -> bool:
    """Whether a row is among others, with the same end."""
    return any(
        abs(one.until - other.until) <= 2 * ROUNDING_S
        and (one.table, one.hnp, one.mn_id, one.location, one.leaving)
        == (other.table, other.hnp, other.mn_id, other.location, other.leaving)
        for other in others
    )
