"""Hooks on the optimizers of a Keras 2 model, and what is to be known about these."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import tf_keras

from dlth_tf.core import PenaltySchedule
from dlth_tf.errors import BadInput
from dlth_tf.masking.fit_session import made_train_function
from dlth_tf.masking.hook_installer import HookInstaller
from dlth_tf.masking.keras2.execution import scope
from dlth_tf.masking.keras2.hook import StepHook
from dlth_tf.masking.keras2.weights import prunable_weights
from dlth_tf.masking.prunable import PrunableWeight


class Keras2Installer(HookInstaller):
    """Hooks into optimizers of tf_keras."""

    made_step = staticmethod(made_train_function)
    prunable_weights = staticmethod(prunable_weights)
    scope = staticmethod(scope)

    def inner_optimizer(self, model: tf_keras.Model) -> Any:
        """Returns the optimizer that updates the weights (the one inside a LossScaleOptimizer).

        Raises:
          BadInput: If the model is not compiled, or the optimizer's update step cannot carry the hook.
        """
        optimizer = getattr(model, "optimizer", None)
        if optimizer is None:
            raise BadInput("model", model.name, "is not compiled: call model.compile(...) after dlth_tf.wrap")
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        if not isinstance(optimizer, tf_keras.optimizers.Optimizer):
            kind = f"{type(optimizer).__module__}.{type(optimizer).__name__}"
            remedy = "use dlth_tf.optimizers.SGD or tf_keras.optimizers (not .legacy)"
            raise BadInput("optimizer", kind, f"has no update step of its own to hook into: {remedy}")
        if optimizer.use_ema:
            reason = "use_ema=True would write averages over removed weights: compile without it"
            raise BadInput("optimizer", type(optimizer).__name__, reason)
        return optimizer

    def updating(self, value: Any) -> list[Any]:
        """Returns the optimizer that a value is, or has inside; one with moving averages cannot carry the hook."""
        if not isinstance(value, tf_keras.optimizers.Optimizer):
            return []
        inner = getattr(value, "inner_optimizer", value)
        return [] if inner.use_ema else [inner]

    def submodels(self, model: tf_keras.Model) -> list[tf_keras.Model]:
        """Returns the models inside a model."""
        return [layer for layer in model._flatten_layers() if isinstance(layer, tf_keras.Model)]

    def holds(self, optimizer: Any, weight: Any) -> bool:
        """Returns whether an optimizer has slots for a weight."""
        return optimizer._var_key(weight) in getattr(optimizer, "_index_dict", {})

    def gradients(self, optimizer: Any) -> int:
        """Returns the number of gradients that an optimizer has been given: each makes a step."""
        return self.iterations(optimizer)

    def set_gradients(self, optimizer: Any, number: int) -> None:
        """Sets the number of gradients that an optimizer has been given."""
        self.set_iterations(optimizer, number)

    def iterations(self, optimizer: Any) -> int:
        """Returns the number of steps that an optimizer has made."""
        return int(optimizer.iterations.numpy())

    def set_iterations(self, optimizer: Any, steps: int) -> None:
        """Sets the number of steps that an optimizer has made."""
        optimizer.iterations.assign(steps)

    def sync(self, model: tf_keras.Model) -> None:
        """Does nothing: variables always have their present values."""

    def prepare(self, model: tf_keras.Model, undo: ExitStack) -> None:
        """Does nothing: hooks add no variables to an optimizer."""

    def hook(
        self, entries: Sequence[PrunableWeight], optimizer: Any, penalty: PenaltySchedule | None, **options: Any
    ) -> StepHook:
        """Puts the hook on one optimizer."""
        return StepHook(list(entries), optimizer, penalty, **options)

    def first_step_shows_all(self, model: tf_keras.Model, hooks: Any) -> bool:
        """Returns False where a step runs eagerly and may only collect gradients, which a graph shows all the same."""
        return not model.run_eagerly


INSTALLER = Keras2Installer()
