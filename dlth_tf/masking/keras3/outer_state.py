"""Files of an optimizer around others (LossScaleOptimizer, MultiOptimizer), which writes their variables too."""

from __future__ import annotations

from typing import Any


class OuterState:
    """Has an outer optimizer save and load the variables that it has now, not those that hooks add to the inner ones.

    Args:
      optimizer: The outer optimizer, before hooks are put on the inner ones; None for one that is not around others.
    """

    def __init__(self, optimizer: Any) -> None:
        self.optimizer = optimizer
        if optimizer is not None:
            self.variables = list(optimizer.variables)
            self._load = optimizer.load_own_variables
            optimizer.save_own_variables = self.save
            optimizer.load_own_variables = self.load

    @classmethod
    def of(cls, optimizer: Any) -> OuterState:
        """Returns the state of a model's optimizer, empty if it is not around others."""
        around = hasattr(optimizer, "inner_optimizer") or hasattr(optimizer, "optimizers")
        return cls(optimizer if around else None)

    def save(self, store: Any) -> None:
        """Writes the variables without those of hooks."""
        for number, variable in enumerate(self.variables):
            store[str(number)] = variable.numpy()

    def load(self, store: Any) -> None:
        """Reads them; a file of another optimizer is refused by Keras' own rule and words."""
        if len(store.keys()) != len(self.variables):
            self._load(store)
            return
        for number, variable in enumerate(self.variables):
            variable.assign(store[str(number)])

    def end(self) -> None:
        """Gives the optimizer its own methods back."""
        if self.optimizer is not None:
            del self.optimizer.save_own_variables, self.optimizer.load_own_variables
