"""SGD with the published update on every backend, and access to the variables of any optimizer of Keras 3."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from dlth_tf.masking.published_sgd import PublishedSgd


@keras.saving.register_keras_serializable("dlth_tf")
class SGD(keras.optimizers.Optimizer):
    """Momentum SGD with coupled L2 and the learning rate outside the velocity.

        d = g + weight_decay * w;  v = momentum * v + d;  w -= learning_rate * v
        (Nesterov: w -= learning_rate * (d + momentum * v))

    The update of torch.optim.SGD, and so of the official code, in float64 too. Keras' own SGD has the learning rate
    inside the velocity, and its `weight_decay` is decoupled from the gradient.

    Args:
      learning_rate: A number, at least 0; a `LearningRateSchedule`; or a callable without arguments that returns it.
      momentum: mu, at least 0 and below 1.
      nesterov: Whether to use Nesterov's form, which needs momentum.
      weight_decay: Coupled L2, at least 0, on all trainable variables but those of `exclude_from_weight_decay`.
      name: Name of the optimizer.
      **kwargs: Gradient clipping and the other arguments of `keras.optimizers.Optimizer`.

    Raises:
      BadInput: If a value is out of its range.
    """

    def __init__(
        self,
        learning_rate: Any = 0.1,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        name: str = "SGD",
        **kwargs: Any,
    ) -> None:
        given = PublishedSgd.checked(learning_rate, momentum, nesterov, weight_decay)
        # Not passed to the base class, whose weight decay is the decoupled one.
        super().__init__(learning_rate=given.learning_rate, name=name, weight_decay=None, **kwargs)
        self.momentum = given.momentum
        self.nesterov = given.nesterov
        self.l2 = given.l2

    def build(self, variables: list[Any]) -> None:
        """Creates one velocity, zeros, for each variable."""
        if self.built:
            return
        super().build(variables)
        self.velocities = self.add_optimizer_variables(variables, "velocity") if self.momentum else []

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one variable."""
        # Python numbers take the dtype of a tensor; `ops.cast(.9, "float64")` would round to float32 on TensorFlow.
        rate = ops.cast(learning_rate, variable.dtype)
        gradient = ops.convert_to_tensor(gradient)  # an embedding's sparse gradient too
        if self.l2 and self._use_weight_decay(variable):
            gradient = gradient + self.l2 * ops.convert_to_tensor(variable)
        if not self.momentum:
            self.assign_sub(variable, rate * gradient)
            return
        velocity = self.velocities[self._get_variable_index(variable)]
        new = self.momentum * ops.convert_to_tensor(velocity) + gradient
        self.assign(velocity, new)
        self.assign_sub(variable, rate * (gradient + self.momentum * new if self.nesterov else new))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        own = {"momentum": self.momentum, "nesterov": self.nesterov, "weight_decay": self.l2}
        return {**super().get_config(), **own}


def slots_of(optimizer: Any, variable: Any) -> list[Any]:
    """Returns the optimizer's own variables for one weight: velocities, moments."""
    index = optimizer._get_variable_index(variable)
    number = len(optimizer._trainable_variables_indices)
    own = {id(slot) for slot in optimizer.variables}
    lists = [value for value in vars(optimizer).values() if isinstance(value, list | tuple) and len(value) == number]
    slots = [value[index] for value in lists if id(value[index]) in own]
    return [slot for slot in slots if tuple(slot.shape) == tuple(variable.shape)]


def copies_of(optimizer: Any) -> list[tuple[Any, Any]]:
    """Returns the variables of an unused optimizer that begin as the weights, each with its weight.

    These are moving averages, whose values begin with the first step, and slots whose first values are the weights,
    such as those that ScheduleFreeAdamW moves in their place.
    """
    weights = optimizer._trainable_variables
    averages = optimizer._model_variables_moving_average if optimizer.use_ema else ()
    pairs = [(average, weight) for average, weight in zip(averages, weights, strict=False) if average is not None]
    values = [ops.convert_to_numpy(weight) for weight in weights]
    if not any(value.any() for value in values):
        return pairs
    for kind in zip(*(slots_of(optimizer, weight) for weight in weights), strict=False):
        if all(np.array_equal(ops.convert_to_numpy(slot), value) for slot, value in zip(kind, values, strict=True)):
            pairs += zip(kind, weights, strict=True)
    return pairs


def state_of(optimizer: Any) -> list[Any]:
    """Returns all variables of a built optimizer except its step count and its learning rate."""
    excluded = {id(optimizer._iterations), id(optimizer._learning_rate)}
    return [variable for variable in optimizer.variables if id(variable) not in excluded]


def decayed(optimizer: Any, variable: Any, value: Any) -> Any:
    """Returns a value of the variable after Keras' decoupled weight decay, where the optimizer applies one to it."""
    if optimizer.weight_decay is None or not optimizer._use_weight_decay(variable):
        return value
    rate = ops.cast(optimizer.learning_rate, value.dtype)
    return value * (1 - rate * optimizer.weight_decay)
