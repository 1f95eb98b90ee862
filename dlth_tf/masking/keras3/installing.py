"""Hooks on the optimizers of a Keras 3 model, and what is to be known about these."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import keras

from dlth_tf.core import PenaltySchedule
from dlth_tf.errors import BadInput
from dlth_tf.masking.fit_session import made_train_function
from dlth_tf.masking.hook_installer import HookInstaller
from dlth_tf.masking.keras3.execution import scope, sync
from dlth_tf.masking.keras3.hook import StepHook
from dlth_tf.masking.keras3.ops import BACKEND
from dlth_tf.masking.keras3.outer_state import OuterState
from dlth_tf.masking.keras3.tickets import prunable_weights
from dlth_tf.masking.prunable import PrunableWeight


class Keras3Installer(HookInstaller):
    """Hooks into optimizers of Keras 3."""

    prunable_weights = staticmethod(prunable_weights)
    scope = staticmethod(scope)
    sync = staticmethod(sync)

    def inner_optimizer(self, model: Any) -> Any:
        """Returns the optimizer that updates the weights (the one inside a LossScaleOptimizer).

        Raises:
          BadInput: If the model is not compiled, or its optimizer is not one of Keras 3.
        """
        optimizer = getattr(model, "optimizer", None)
        if optimizer is None:
            raise BadInput("model", model.name, "is not compiled: call model.compile(...) first")
        if not isinstance(optimizer, keras.optimizers.Optimizer):
            kind = f"{type(optimizer).__module__}.{type(optimizer).__name__}"
            remedy = "use dlth_tf.keras3.SGD or keras.optimizers"
            raise BadInput("optimizer", kind, f"has no update step of Keras 3 to hook into: {remedy}")
        if not optimizer.built:
            with scope(model):
                optimizer.build(model.trainable_variables)
        return self.updating(optimizer)[0]

    def updating(self, value: Any) -> list[Any]:
        """Returns the optimizer that a value is, or those inside a LossScaleOptimizer or a MultiOptimizer."""
        if not isinstance(value, keras.optimizers.Optimizer):
            return []
        inner = getattr(value, "inner_optimizer", value)
        return list(getattr(inner, "optimizers", [inner]))

    def submodels(self, model: Any) -> list[Any]:
        """Returns the models inside a model."""
        return [layer for layer in model._flatten_layers() if isinstance(layer, keras.Model)]

    def holds(self, optimizer: Any, weight: Any) -> bool:
        """Returns whether an optimizer has slots for a weight."""
        return optimizer._var_key(weight) in optimizer._trainable_variables_indices

    def gradients(self, optimizer: Any) -> int:
        """Returns the number of gradients that an optimizer has been given."""
        return int(optimizer._iterations.numpy())

    def set_gradients(self, optimizer: Any, number: int) -> None:
        """Sets the number of gradients that an optimizer has been given."""
        optimizer._iterations.assign(number)

    def iterations(self, optimizer: Any) -> int:
        """Returns the number of steps that an optimizer has made."""
        return self.gradients(optimizer) // (optimizer.gradient_accumulation_steps or 1)

    def set_iterations(self, optimizer: Any, steps: int) -> None:
        """Sets the number of steps that an optimizer has made."""
        self.set_gradients(optimizer, steps * (optimizer.gradient_accumulation_steps or 1))

    def uncount_gradients(self, model: Any, number: int) -> None:
        """Takes gradients that were counted but not computed off the count.

        If one of them has completed a step, Keras has emptied what was collected for that step without making it; the
        gradients in it are taken off too, since a step that counted them would be too small.
        """
        optimizer = self._counting(model)
        steps = self.steps_made(model)
        super().uncount_gradients(model, number)
        if (left := self.iterations(optimizer)) < steps:
            self.set_iterations(optimizer, left)

    def prepare(self, model: Any, undo: ExitStack) -> None:
        """Keeps the variables of the hooks out of the files of an optimizer around others."""
        undo.callback(OuterState.of(model.optimizer).end)

    def made_step(self, model: Any) -> Any:
        """Makes the model's training step anew, and returns it.

        JAX finds a step that it has traced by its function, and `model.train_step` is the same function whatever
        optimizer or hook is in it, that of the class or one assigned to the model; so there another one is given to it.
        """
        if BACKEND != "jax":
            return made_train_function(model)
        step, assigned = model.train_step, "train_step" in vars(model)
        vars(model)["train_step"] = lambda state, data: step(state, data)
        try:
            return made_train_function(model)
        finally:
            if assigned:
                vars(model)["train_step"] = step
            else:
                del vars(model)["train_step"]

    def hook(
        self, entries: Sequence[PrunableWeight], optimizer: Any, penalty: PenaltySchedule | None, **options: Any
    ) -> StepHook:
        """Puts the hook on one optimizer."""
        return StepHook(list(entries), optimizer, penalty, **options)

    def first_step_shows_all(self, model: Any, hooks: Any) -> bool:
        """Returns False where the first step may only collect gradients, which a compiled one shows all the same."""
        own_step = type(model).train_step is not keras.Model.train_step
        accumulates = any(hook.optimizer.gradient_accumulation_steps for hook in hooks)
        return not model.run_eagerly and not (BACKEND == "torch" and (own_step or accumulates))


INSTALLER = Keras3Installer()


def batches_per_step(model: Any) -> int:
    """Returns how many batches one step of the model's optimizer takes."""
    return INSTALLER.inner_optimizer(model).gradient_accumulation_steps or 1


def averages_weights(model: Any) -> bool:
    """Returns whether an optimizer replaces the weights by moving averages at the end of `fit`."""
    return any(optimizer.use_ema for optimizer in INSTALLER.optimizers_of(model))
