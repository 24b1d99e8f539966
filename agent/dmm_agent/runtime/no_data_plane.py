"""A host whose functions have no routes installed: its kernel is left as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dmm_agent.dataplane.forwarding import Failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dmm_agent.functions.effects import Install, Remove


class NoDataPlane:
    """Refuses routes, and has none."""

    def apply(self, effects: Sequence[Install | Remove]) -> list[Failure]:
        """Fail: whoever asks has said that it would not (`Function.steers`)."""
        return [Failure(effect, "no function of this host steers packets") for effect in effects]

    def stale(self) -> list[Remove]:
        """Nothing is left of an earlier agent."""
        return []

    def rows(self) -> list[dict[str, Any]]:
        """No routes."""
        return []
