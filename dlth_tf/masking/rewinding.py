"""Going back: weights to what they were, and an optimizer to its beginning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tf_keras

from dlth_tf.masking.keras2.hook import inner_optimizer
from dlth_tf.masking.keras2.weights import named_weights
from dlth_tf.masking.tickets import remove


def rewind(model: tf_keras.Model, weights: Mapping[str, np.ndarray]) -> None:
    """Puts every weight and running statistic back, and removes what the chosen ticket does not keep.

    Args:
      model: wrapped and built.
      weights: name -> value, as in `named_weights`, of all of them.
    """
    for name, variable in named_weights(model).items():
        variable.assign(weights[name])
    remove(model)


class FreshOptimizer:
    """The state of a compiled model's optimizer before its first step, to be put back for each round.

    Args:
      model: compiled, its optimizer not used yet.
    """

    def __init__(self, model: tf_keras.Model) -> None:
        self.optimizer = inner_optimizer(model)
        with model.distribute_strategy.scope():
            self.optimizer.build(model.trainable_variables)
        apart = {id(self.optimizer.iterations), id(getattr(self.optimizer, "_learning_rate", None))}
        self._slots: list[tuple[Any, np.ndarray]] = [
            (slot, slot.numpy()) for slot in self.optimizer.variables if id(slot) not in apart
        ]

    def restore(self, step: int = 0) -> None:
        """Empties the slots, and has schedules go on at `step`; a learning rate that is a plain number stays what it is."""
        for slot, value in self._slots:
            slot.assign(value)
        self.optimizer.iterations.assign(step)
