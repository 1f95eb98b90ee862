"""The penalty of Random Sparse Network Transformation: a staircase that grows, then holds.

The penalty is (lambda / 2) * w^2 on every weight that will be removed, so its gradient is lambda * w (Bai et al., ICLR
2022, section 3.3; the official code adds the same term before momentum). tests/golden compares every value with it.
"""

from __future__ import annotations

import functools
import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dlth_tf.errors import BadInput
from dlth_tf.plain_numbers import ABOVE_0, real_number, store, whole_number

SCHEDULES = {"x": 1, "x^2": 2, "x^3": 3}
MOST_STAIRS = 10_000_000
HELD = 40_000 / 89_996  # share of the published transformation in which lambda is held
MOST_STAIRS_OF_LENGTH = 2_500  # so few that rounding, in any dtype, moves no stair across the limit


@dataclass(frozen=True)
class PenaltySchedule:
    """lambda as a function of the optimizer step.

    A counter grows by `step` every `every` optimizer steps until its power exceeds `limit`; then lambda is held.

    The counter is accumulated in the weights' dtype as in the official code, so that the number of stairs is the
    official one: 10,000 in float32 and 10,001 in float64 at the default values.

    Attributes:
      schedule: "x", "x^2" or "x^3": the power of the counter that lambda is.
      step: Growth of the counter, above 0.
      every: Optimizer steps between two growths, at least 1.
      limit: lambda stops growing once it is strictly above this value; above 0.
      hold_steps: Optimizer steps for which the reached value is held, at least 0.
      dtype: Dtype of the weights.

    Raises:
      BadInput: If a value is out of its range, or the step is too small to ever reach the limit, or so large that
        lambda overflows.

    >>> stairs = PenaltySchedule("x", step=.25, every=3, limit=1.0, hold_steps=7)
    >>> stairs.values.tolist(), stairs.steps
    ([0.25, 0.5, 0.75, 1.0, 1.25], 20)
    """

    schedule: str = "x"
    step: float = 1e-4
    every: int = 5
    limit: float = 1.0
    hold_steps: int = 40_000
    dtype: str = "float32"

    @classmethod
    def of_length(cls, steps: int, schedule: str = "x", limit: float = 1.0, dtype: str = "float32") -> PenaltySchedule:
        """Returns the published staircase over another length: lambda grows over five ninths of it, then is held.

        The stairs are one step wide, or as wide as 2,500 of them require.

        Args:
          steps: Length of the whole transformation in optimizer steps, at least 1.
          schedule: "x", "x^2" or "x^3".
          limit: lambda stops growing once it is strictly above this value; above 0.
          dtype: Dtype of the weights.

        Raises:
          BadInput: If a value is out of its range.

        >>> stairs = PenaltySchedule.of_length(9)
        >>> stairs.steps, stairs.hold_steps, [f"{value:.2f}" for value in stairs.at([0, 3, 4, 8])]
        (9, 4, ['0.22', '0.89', '1.11', '1.11'])
        """
        steps = whole_number("steps", steps, least=1)
        if schedule not in SCHEDULES:
            raise BadInput("schedule", schedule, f"must be one of {', '.join(SCHEDULES)}")
        limit = real_number("limit", limit, ABOVE_0)
        growing = steps - 1 - round(HELD * steps)
        every = max(1, math.ceil(growing / MOST_STAIRS_OF_LENGTH))
        stairs = growing // every + 1
        # The limit lies in the middle between the last two stairs.
        step = limit ** (1 / SCHEDULES[schedule]) / (stairs - 0.5)
        return cls(schedule, step, every, limit, steps - 1 - (stairs - 1) * every, dtype)

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise BadInput("schedule", self.schedule, f"must be one of {', '.join(SCHEDULES)}")
        store(
            self,
            step=real_number("step", self.step, ABOVE_0),
            every=whole_number("every", self.every, least=1),
            limit=real_number("limit", self.limit, ABOVE_0),
            hold_steps=whole_number("hold_steps", self.hold_steps, least=0),
        )
        _ = self.values

    @functools.cached_property
    def values(self) -> np.ndarray:
        """lambda after its 1st, 2nd, ... growth, in `dtype`; the last one is the first above the limit. Read-only."""
        return _stairs(self.schedule, float(self.step), float(self.limit), self.dtype)

    @property
    def steps(self) -> int:
        """Length of the whole transformation in optimizer steps: (K - 1) * every + hold_steps + 1."""
        return (len(self.values) - 1) * self.every + self.hold_steps + 1

    @property
    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of `callbacks.RSTPenalty`, which takes the dtype from the model."""
        return {name: value for name, value in asdict(self).items() if name != "dtype"}

    def at(self, step: int | np.ndarray) -> np.ndarray:
        """lambda in the gradient of optimizer step `step` (0-based); the first step already has the first value."""
        return self.values[np.minimum(np.asarray(step) // self.every, len(self.values) - 1)]


@functools.lru_cache(maxsize=8)
def _stairs(schedule: str, step: float, limit: float, dtype: str) -> np.ndarray:
    power = SCHEDULES[schedule]
    growths = limit ** (1 / power) / step
    if growths > MOST_STAIRS:
        raise BadInput("step", step, f"is too small: reaching the limit {limit} would take {growths:.2g} growths")
    with np.errstate(over="ignore"):
        # Rounding shortens a growth by a third at most (1.5 ulp to 1 ulp), unless it swallows the growth entirely.
        counter = np.add.accumulate(np.full(int(growths * 1.5) + 16, step, dtype))
        values = counter
        for _ in range(power - 1):  # as the official code: NumPy's `**` differs from it in the last bit on some CPUs
            values = values * counter
        above = np.flatnonzero(values > np.asarray(limit, dtype))
    if not len(above):
        raise BadInput("step", step, f"is too small for {dtype} weights: lambda would never exceed {limit}")
    if not np.isfinite(values[above[0]]):
        raise BadInput("step", step, f"is too large for {dtype} weights: lambda would be infinite")
    values = values[: above[0] + 1].copy()
    values.setflags(write=False)
    return values
