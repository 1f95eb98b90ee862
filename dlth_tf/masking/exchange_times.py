"""ExchangeTimes: the steps at which dynamic sparse training exchanges weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ExchangeTimes:
    """Optimizer steps that exchange weights: `every`, 2 * `every`, ... `events` * `every` after `start`."""

    every: int
    events: int
    start: int = 0

    def event(self, optimizer: Any) -> Any:
        """Returns the number of the exchange at the optimizer's present step, from 0; valid only where one is due."""
        return (optimizer.iterations - self.start) // self.every - 1

    def due(self, optimizer: Any) -> Any:
        """Returns whether the optimizer's present step exchanges weights."""
        event = self.event(optimizer)
        return ((optimizer.iterations - self.start) % self.every == 0) & (event >= 0) & (event < self.events)
