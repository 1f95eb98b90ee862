"""Rewinds weights and resets the optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dlth_tf.masking.tickets import remove_weights
from dlth_tf.masking.world import inner_optimizer, named_weights, scope


def rewind(model: Any, weights: Mapping[str, np.ndarray]) -> None:
    """Restores every weight and running statistic, and removes the weights outside the chosen ticket.

    Args:
      model: Wrapped and built.
      weights: Name -> value of all weights, with the names of `named_weights`.
    """
    for name, variable in named_weights(model).items():
        variable.assign(weights[name])
    remove_weights(model)


class FreshOptimizer:
    """State of a compiled model's optimizer before its first step, which `restore` brings back for each round.

    Args:
      model: Compiled, with an optimizer that has not made a step.
    """

    def __init__(self, model: Any) -> None:
        self.optimizer = inner_optimizer(model)
        with scope(model):
            self.optimizer.build(model.trainable_variables)
        excluded = {id(self.optimizer.iterations), id(getattr(self.optimizer, "_learning_rate", None))}
        self._slots: list[tuple[Any, np.ndarray]] = [
            (slot, slot.numpy()) for slot in self.optimizer.variables if id(slot) not in excluded
        ]

    def restore(self, step: int = 0) -> None:
        """Resets the slots, and lets schedules resume at `step`; a plain-number learning rate does not change."""
        for slot, value in self._slots:
            slot.assign(value)
        self.optimizer.iterations.assign(step)
