"""CheckpointInterval: when the next checkpoint is due. Does not import TensorFlow."""

from __future__ import annotations

import re
import time

from dlth_tf.errors import BadInput


class CheckpointInterval:
    """Decides when the next checkpoint is due.

    Args:
      count: Number of `unit`, at least 1.
      unit: "it" (optimizer steps of a phase), "ep" (epochs of a phase) or "min" (minutes).
    """

    def __init__(self, count: int, unit: str) -> None:
        self.count = count
        self.unit = unit
        self.last = time.monotonic()

    @classmethod
    def parse(cls, text: object) -> CheckpointInterval:
        """Parses a value of --checkpoint_every.

        Raises:
          BadInput: If it is not a positive number of steps, epochs or minutes.
        """
        match = re.fullmatch(r"\s*([1-9]\d{0,8})\s*(it|ep|min)\s*", str(text))
        if match is None:
            raise BadInput(
                "checkpoint_every", text, "must be a number of steps (500it), epochs (1ep) or minutes (5min)"
            )
        return cls(int(match[1]), match[2])

    def due(self, steps: int, steps_per_epoch: int) -> bool:
        """Returns whether a checkpoint is due `steps` steps after the last one in the same phase."""
        if self.unit == "min":
            return self.due_between_phases()
        return steps >= self.count * (steps_per_epoch if self.unit == "ep" else 1)

    def due_between_phases(self) -> bool:
        """Returns whether a checkpoint is due between two phases, where only minutes count."""
        return self.unit == "min" and time.monotonic() - self.last >= 60 * self.count

    def saved(self) -> None:
        """Notes that a checkpoint was just written."""
        self.last = time.monotonic()
