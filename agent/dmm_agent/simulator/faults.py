"""What the virtual network does to messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random


@dataclass(frozen=True, slots=True)
class Faults:
    """The fault model: probabilities for each message, delays in seconds."""

    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    """Probability of `reorder_delay_s` on top, so that later messages overtake."""
    delay_s: tuple[float, float] = (0.001, 0.005)
    reorder_delay_s: float = 0.1

    def delays(self, random: random.Random) -> list[float]:
        """When the copies of one message arrive, from now; empty when it is lost."""
        if random.random() < self.loss:
            return []
        copies = 2 if random.random() < self.duplicate else 1
        return [self._delay(random) for _ in range(copies)]

    def _delay(self, random: random.Random) -> float:
        late = self.reorder_delay_s if random.random() < self.reorder else 0.0
        return random.uniform(*self.delay_s) + late
