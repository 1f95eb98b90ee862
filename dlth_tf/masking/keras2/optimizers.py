"""SGD with the published update (that of torch.optim.SGD), and access to the variables of any Keras optimizer."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras

from dlth_tf.masking.published_sgd import PublishedSgd


@tf_keras.utils.register_keras_serializable("dlth_tf")
class SGD(tf_keras.optimizers.Optimizer):
    """Momentum SGD with coupled L2 and the learning rate outside the velocity.

        d = g + weight_decay * w;  v = momentum * v + d;  w -= learning_rate * v
        (Nesterov: w -= learning_rate * (d + momentum * v))

    Keras' own SGD has the learning rate inside the velocity, which differs after every change of the learning rate, and
    its `weight_decay` is decoupled from the gradient. Weight decay here acts on all trainable variables, biases and
    batch-norm gamma and beta too, as in the official code, except those that `exclude_from_weight_decay` names.
    tests/golden compares the update with it.

    Args:
      learning_rate: A number, at least 0; a `LearningRateSchedule`; or a callable without arguments that returns it (as
        a tensor, if it is to change within `fit`).
      momentum: mu, at least 0 and below 1.
      nesterov: Whether to use Nesterov's form, which needs momentum.
      weight_decay: Coupled L2, at least 0.
      name: Name of the optimizer.
      **kwargs: Gradient clipping and the other arguments of `tf_keras.optimizers.Optimizer`.

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
        super().__init__(name=name, weight_decay=None, **kwargs)
        # Keras would call a plain callable once, as a variable's initial value.
        plain = callable(learning_rate) and not isinstance(
            learning_rate, tf_keras.optimizers.schedules.LearningRateSchedule
        )
        self._learning_rate = learning_rate if plain else self._build_learning_rate(given.learning_rate)
        self.momentum = given.momentum
        self.nesterov = given.nesterov
        self.l2 = given.l2

    def build(self, var_list: list[tf.Variable]) -> None:
        """Creates one velocity, zeros, for each variable."""
        super().build(var_list)
        if getattr(self, "_built", False):
            return
        self.velocities = (
            [self.add_variable_from_reference(model_variable=var, variable_name="v") for var in var_list]
            if self.momentum
            else []
        )
        self._built = True

    def update_step(self, gradient: Any, variable: tf.Variable) -> None:
        """Updates one variable."""
        rate = self.learning_rate
        rate = tf.cast(rate() if callable(rate) else rate, variable.dtype)
        gradient = tf.convert_to_tensor(gradient)  # an embedding's sparse gradient too: weight decay reaches every row
        if self.l2 and self._use_weight_decay(variable):
            gradient += tf.constant(self.l2, variable.dtype.base_dtype) * variable
        if not self.momentum:
            variable.assign_sub(rate * gradient)
            return
        velocity = self.velocities[self._index_dict[self._var_key(variable)]]
        # One fused kernel: accum = momentum * accum + grad; var -= lr * accum (or the Nesterov form).
        tf.raw_ops.ResourceApplyMomentum(
            var=variable.handle,
            accum=velocity.handle,
            lr=rate,
            grad=gradient,
            momentum=tf.constant(self.momentum, variable.dtype.base_dtype),
            use_nesterov=self.nesterov,
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        rate = self._serialize_hyperparameter(self._learning_rate)
        return {
            **super().get_config(),
            "learning_rate": rate,
            "momentum": self.momentum,
            "nesterov": self.nesterov,
            "weight_decay": self.l2,
        }


def slots_of(optimizer: Any, variable: tf.Variable) -> list[tf.Variable]:
    """Returns the optimizer's own variables for one weight: velocities, moments."""
    index = optimizer._index_dict[optimizer._var_key(variable)]
    number = len(optimizer._index_dict)
    own = {
        id(slot) for slot in optimizer.variables
    }  # the model's variables, which an optimizer may list too, are no slots
    lists = [value for value in vars(optimizer).values() if isinstance(value, list | tuple) and len(value) == number]
    return [value[index] for value in lists if id(value[index]) in own and value[index].shape == variable.shape]


def state_of(optimizer: Any) -> list[tf.Variable]:
    """Returns all variables of a built optimizer except its step count and its learning rate."""
    excluded = {id(optimizer.iterations), id(getattr(optimizer, "_learning_rate", None))}
    return [variable for variable in optimizer.variables if id(variable) not in excluded]


def decayed(optimizer: Any, variable: tf.Variable, value: tf.Tensor) -> tf.Tensor:
    """Returns a value of the variable after Keras' decoupled weight decay, where the optimizer applies one to it."""
    if optimizer.weight_decay is None or not optimizer._use_weight_decay(variable):
        return value
    rate = tf.cast(optimizer.learning_rate, value.dtype)
    return value * (1 - rate * tf.cast(optimizer.weight_decay, value.dtype))
