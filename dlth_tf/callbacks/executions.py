"""Executions: the steps after which Keras returns from the backend, where alone a callback can act."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dlth_tf import masking
from dlth_tf.errors import BadInput


@dataclass(frozen=True)
class Executions:
    """The executions of a `fit`: each makes `steps` steps, and the last of an epoch what is left of it.

    Attributes:
      steps: Steps of an execution, `steps_per_execution`.
      per_epoch: Steps of an epoch, after which an execution always ends; None where that is not so, or not known.
      change: Whether an execution can be shortened.
    """

    steps: int
    per_epoch: int | None
    change: bool

    @classmethod
    def of(cls, model: Any, per_epoch: int | None) -> Executions:
        """Returns the executions of the `fit` that calls now.

        Args:
          model: The model that is trained.
          per_epoch: Batches of an epoch, as Keras tells callbacks; None if unknown.
        """
        steps = masking.steps_per_execution(model)
        cut = per_epoch is not None and (per_epoch % steps == 0 or masking.execution_ends_with_epoch(model))
        return cls(steps, per_epoch if cut else None, masking.execution_changes(model))

    def left_over(self, step: int) -> int:
        """Returns how many steps lie between a step and the last epoch that ends before it, 0 if one ends there."""
        return step % self.per_epoch if self.per_epoch else step

    def end_at(self, step: int) -> bool:
        """Returns whether an execution ends after a step, counted from the beginning of an epoch."""
        return self.left_over(step) % self.steps == 0

    def check_end_at(self, step: int, what: str, remedy: str = "") -> None:
        """Checks that an execution ends after a step.

        Args:
          step: The step, counted from the beginning of an epoch.
          what: The steps that are to be divided, in words; "{} step{}" stands for their number and the plural.
          remedy: Another way out, appended to the sentence.

        Raises:
          BadInput: If none does; the sentence has the largest number of steps per execution with which one would.
        """
        if not self.end_at(step):
            steps = self.left_over(step)
            fits = next(divisor for divisor in range(min(steps, self.steps), 0, -1) if steps % divisor == 0)
            allowed = f"does not divide the {what.format(steps, 's' * (steps != 1))}: use {fits}{remedy}"
            raise BadInput("steps_per_execution", self.steps, allowed)
