"""The penalty of Random Sparse Network Transformation: a staircase that grows, then holds.

The penalty is (lambda / 2) * w^2 on every weight that will be removed, so its gradient is lambda * w (Bai et al., ICLR
2022, section 3.3; the official code adds the same term before momentum). tests/golden pins every value against it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dlth_tf.errors import BadInput

SCHEDULES = {"x": 1, "x^2": 2, "x^3": 3}
MOST_STAIRS = 10_000_000


@dataclass(frozen=True, eq=False)  # generated equality cannot compare arrays
class Staircase:
    """lambda as a function of the optimizer step.

    Attributes:
      values: lambda after its 1st, 2nd, ... growth, in the weights' dtype; the last one is the first above the limit.
      every: steps from one growth to the next.
      hold_steps: steps that the last value is held, after the step at which it was reached.
    """

    values: np.ndarray = field(repr=False)
    every: int
    hold_steps: int

    @property
    def steps(self) -> int:
        """Length of the whole transformation in optimizer steps: (K - 1) * every + hold_steps + 1."""
        return (len(self.values) - 1) * self.every + self.hold_steps + 1

    def at(self, step: int | np.ndarray) -> np.ndarray:
        """lambda in the gradient of optimizer step `step` (0-based); the first step already has the first value."""
        return self.values[np.minimum(np.asarray(step) // self.every, len(self.values) - 1)]


def staircase(
    schedule: str = "x",
    *,
    step: float = 1e-4,
    every: int = 5,
    limit: float = 1.0,
    hold_steps: int = 40_000,
    dtype: str = "float32",
) -> Staircase:
    """The published schedule: a counter grows by `step` every `every` steps until its power is above `limit`.

    The counter is accumulated in the weights' dtype as the official code does it, so that the number of stairs is the
    official one: 10,000 in float32 and 10,001 in float64 at the default values.

    Args:
      schedule: "x", "x^2" or "x^3": the power of the counter that lambda is.
      step: growth of the counter, above 0.
      every: optimizer steps between two growths, at least 1.
      limit: lambda stops growing once it is strictly above this value; above 0.
      hold_steps: optimizer steps that the reached value is held, at least 0.
      dtype: of the weights.

    Raises:
      BadInput: a value out of its range, or a step too small to ever reach the limit, or so large that lambda overflows.

    >>> stairs = staircase("x", step=.25, every=3, limit=1.0, hold_steps=7)
    >>> stairs.values.tolist(), stairs.steps
    ([0.25, 0.5, 0.75, 1.0, 1.25], 20)
    """
    if schedule not in SCHEDULES:
        raise BadInput("penalty_schedule", schedule, f"must be one of {', '.join(SCHEDULES)}")
    if not (np.isfinite(step) and step > 0):
        raise BadInput("penalty_step", step, "must be a finite number above 0")
    if not (np.isfinite(limit) and limit > 0):
        raise BadInput("penalty_limit", limit, "must be a finite number above 0")
    if every < 1:
        raise BadInput("penalty_every", every, "must be at least 1 step")
    if hold_steps < 0:
        raise BadInput("hold_steps", hold_steps, "must be at least 0 steps")
    power = SCHEDULES[schedule]
    stairs = limit ** (1 / power) / step
    if stairs > MOST_STAIRS:
        raise BadInput(
            "penalty_step", step, f"is too small: reaching the limit {limit} would take {stairs:.2g} growths"
        )
    with np.errstate(over="ignore"):
        # Rounding shortens a growth by a third at most (1.5 ulp to 1 ulp), unless it swallows the growth for good.
        values = np.add.accumulate(np.full(int(stairs * 1.5) + 16, step, dtype)) ** power
        above = np.flatnonzero(values > np.asarray(limit, dtype))
    if not len(above):
        raise BadInput("penalty_step", step, f"is too small for {dtype} weights: lambda would never get above {limit}")
    if not np.isfinite(values[above[0]]):
        raise BadInput("penalty_step", step, f"is too large for {dtype} weights: lambda would be infinite")
    values.setflags(write=False)
    return Staircase(values[: above[0] + 1], every, hold_steps)
