"""Rewinds weights and resets the optimizer; puts back what a refused `fit` has changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from dlth_tf.masking.fit_session import begin_fit, end_fit
from dlth_tf.masking.tickets import remove_weights
from dlth_tf.masking.world import named_weights, of, prunable_weights, scope
from dlth_tf.plain_numbers import whole_number

BEFORE = "_dlth_tf_before"  # attribute of a model whose `fit` has made no step yet
Values: TypeAlias = list[tuple[Any, np.ndarray]]  # variables with what they held


def note_before(model: Any) -> None:
    """Notes prunable weights, masks and tickets, once in a `fit`, so that `put_back` restores them if it is refused.

    Args:
      model: Wrapped and built, in a `fit`.
    """
    if noted_before(model) is None:
        entries = prunable_weights(model).values()
        variables = [each for entry in entries for each in (entry.weight, entry.mask, entry.ticket)]
        vars(model)[BEFORE] = [(variable, np.array(variable.numpy())) for variable in variables]
        begin_fit(model).callback(forget_before, model)


def noted_before(model: Any) -> Values | None:
    """Returns what `note_before` noted; None if the present `fit` has noted nothing, or makes its steps."""
    return vars(model).get(BEFORE)


def forget_before(model: Any) -> None:
    """Forgets what `note_before` noted, since a step is made now."""
    vars(model).pop(BEFORE, None)


def put_back(model: Any, before: Values) -> None:
    """Ends a `fit` that is refused before its first step, and restores what was noted before it."""
    end_fit(model)
    for variable, value in before:
        variable.assign(value)


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
    """State of a compiled model's optimizers before their first step, which `restore` brings back for each round.

    Args:
      model: Compiled.
      used: Whether the optimizers have made steps, so that their twins say what a fresh state is.
    """

    def __init__(self, model: Any, used: bool = False) -> None:
        self._adapter = of(model)
        self.optimizers = self._adapter.optimizers_of(model)
        self._state: list[tuple[Any, np.ndarray]] = []
        self._copies: list[tuple[Any, Any]] = []
        for optimizer in self.optimizers:
            fresh = type(optimizer).from_config(optimizer.get_config()) if used else optimizer
            with scope(model):
                for each in (optimizer, fresh):
                    each.build(model.trainable_variables)
            variables = (self._adapter.state_of(each) for each in (optimizer, fresh))
            weights = {id(copy): weight for copy, weight in self._adapter.copies_of(fresh)}
            for mine, start in zip(*variables, strict=True):
                if id(start) in weights:
                    self._copies.append((mine, weights[id(start)]))
                else:
                    self._state.append((mine, start.numpy()))

    def restore(self, step: int = 0) -> None:
        """Resets the slots, and lets schedules resume at `step`; a plain-number learning rate does not change.

        Slots that begin as copies of the weights, such as moving averages, begin at the present weights.
        """
        for variable, value in self._state:
            variable.assign(value)
        for copy, weight in self._copies:
            copy.assign(np.array(weight.numpy()))  # on JAX the variables would share a buffer
        for optimizer in self.optimizers:
            self._adapter.set_iterations(optimizer, whole_number("step", step, least=0))
