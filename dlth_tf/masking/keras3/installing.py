"""Hooks on the optimizers of a Keras 3 model, and what is to be known about these."""

from __future__ import annotations

import logging
from typing import Any

import keras

from dlth_tf.core import PenaltySchedule
from dlth_tf.errors import BadInput
from dlth_tf.masking.fit_session import begin_fit, in_fit, made_train_function
from dlth_tf.masking.keras3.execution import scope, sync
from dlth_tf.masking.keras3.hook import StepHook
from dlth_tf.masking.keras3.ops import BACKEND
from dlth_tf.masking.keras3.outer_state import OuterState
from dlth_tf.masking.keras3.tickets import prunable_weights

HOOKS = "_dlth_tf_hooks"
log = logging.getLogger("dlth_tf")


class Hooks:
    """The hooks of one model, one for every optimizer that updates its weights.

    Args:
      model: Compiled.
      optimizers: The optimizers; the first is the model's own.
      penalty: As in `StepHook`.
      **options: As in `StepHook`.
    """

    def __init__(self, model: Any, optimizers: list[Any], penalty: PenaltySchedule | None, **options: Any) -> None:
        self.entries = prunable_weights(model)
        # Noted now: during a `fit` on JAX the model does not have its state.
        self._squeezed = {name for name, entry in self.entries.items() if penalty and not entry.chosen().all()}
        self._removed = {name for name, entry in self.entries.items() if not entry.kept().all()}
        self.outer = OuterState.of(model.optimizer)
        with scope(model):
            self.each = [StepHook(self.entries.values(), optimizer, penalty, **options) for optimizer in optimizers]
        vars(model)[HOOKS] = self
        step = _compiled_anew(model)

        def first_step(*args: Any) -> Any:
            result = step(*args)
            if model.train_function is first_step:
                model.train_function = step
            self.check_stepped(model)
            return result

        model.train_function = first_step

    def stepping(self) -> list[Any]:
        """Returns the optimizers that have been seen to update prunable weights."""
        return [hook.optimizer for hook in self.each if hook.stepped & hook.targets.keys()]

    def check_stepped(self, model: Any) -> None:
        """Says so if no optimizer has updated a weight that is to be squeezed or to stay removed.

        Raises:
          RuntimeError: If it is to be squeezed.
        """
        own_step = type(model).train_step is not keras.Model.train_step
        if model.run_eagerly or (BACKEND == "torch" and (own_step or _accumulates(self.each))):
            return  # the first step may collect gradients only, which a compiled one would show all the same
        missed: dict[str, list[str]] = {"squeezed": [], "kept removed": []}
        for name, entry in self.entries.items():
            hooks = [(hook, hook.optimizer._var_key(entry.weight)) for hook in self.each]
            if entry.frozen or any(key in hook.stepped for hook, key in hooks):
                continue
            if name in self._squeezed:
                missed["squeezed"].append(name)
            elif name in self._removed or any(key in hook.updates for hook, key in hooks):
                missed["kept removed"].append(name)
        reason = (
            "no optimizer of the model has updated {names} in the first step, so it cannot be {what}: train with "
            "model.optimizer or an optimizer that is an attribute of the model, and use every layer in the loss"
        )
        for what, names in missed.items():
            if names and what == "squeezed":
                raise RuntimeError(reason.format(names=", ".join(names), what=what))
            if names:
                log.warning(reason.format(names=", ".join(names), what=what))

    def uninstall(self) -> None:
        """Gives all optimizers their own update back."""
        for hook in self.each:
            hook.uninstall()
        self.outer.end()


def _compiled_anew(model: Any) -> Any:
    """Makes the model's training step anew, and returns it.

    JAX finds a step that it has traced by its function, and `model.train_step` is the same function whatever optimizer
    or hook is in it; so there another one is given to it.
    """
    if BACKEND != "jax" or "train_step" in vars(model):
        return made_train_function(model)
    vars(model)["train_step"] = lambda state, data: type(model).train_step(model, state, data)
    try:
        return made_train_function(model)
    finally:
        del vars(model)["train_step"]


def _accumulates(hooks: list[StepHook]) -> bool:
    return any(hook.optimizer.gradient_accumulation_steps for hook in hooks)


def _inner(optimizer: Any) -> list[Any]:
    """The optimizers that really update weights: those inside a LossScaleOptimizer or a MultiOptimizer."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    return list(getattr(optimizer, "optimizers", [optimizer]))


def inner_optimizer(model: Any) -> Any:
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
    return _inner(optimizer)[0]


def optimizers_of(model: Any) -> list[Any]:
    """Returns the model's optimizer, and those that it or a nested model holds in other attributes, each once.

    Raises:
      BadInput: As `inner_optimizer`.
    """
    inner_optimizer(model)
    found = _inner(model.optimizer)

    def collect(value: Any) -> None:
        if isinstance(value, list | tuple):
            for item in value:
                collect(item)
        elif isinstance(value, dict):
            collect(list(value.values()))
        elif isinstance(value, keras.optimizers.Optimizer):
            found.extend(each for each in _inner(value) if not any(each is other for other in found))

    for holder in [model, *(layer for layer in model._flatten_layers() if isinstance(layer, keras.Model))]:
        for value in list(vars(holder).values()):
            collect(value)
    return found


def batches_per_step(model: Any) -> int:
    """Returns how many batches one step of the model's optimizer takes."""
    return inner_optimizer(model).gradient_accumulation_steps or 1


def averages_weights(model: Any) -> bool:
    """Returns whether an optimizer replaces the weights by moving averages at the end of `fit`."""
    return any(optimizer.use_ema for optimizer in optimizers_of(model))


def steps_made(model: Any) -> int:
    """Returns the steps of the optimizer that updates the prunable weights; of several, those of the slowest."""
    sync(model)
    return _iterations(_counting(model))


def _iterations(optimizer: Any) -> int:
    return int(optimizer._iterations.numpy()) // (optimizer.gradient_accumulation_steps or 1)


def set_iterations(optimizer: Any, steps: int) -> None:
    """Sets the number of steps that an optimizer has made."""
    optimizer._iterations.assign(steps * (optimizer.gradient_accumulation_steps or 1))


def uncount_steps(model: Any, steps: int) -> None:
    """Takes steps without an update off the count of the optimizer that `steps_made` counts."""
    optimizer = _counting(model)
    set_iterations(optimizer, steps_made(model) - steps)


def _counting(model: Any) -> Any:
    """The slowest optimizer that updates prunable weights; before the first step the furthest that holds one."""
    hooks = vars(model).get(HOOKS)
    if used := hooks.stepping() if hooks else []:
        return min(used, key=_iterations)
    first, *others = optimizers_of(model)
    if not others:
        return first
    weights = [entry.weight for entry in prunable_weights(model).values()]
    ready = [o for o in (first, *others) if any(o._var_key(each) in o._trainable_variables_indices for each in weights)]
    return max(ready or [first], key=_iterations)


def installed(model: Any) -> StepHook | None:
    """Returns the hook on the model's optimizer, or None."""
    hooks = vars(model).get(HOOKS)
    optimizer = getattr(model, "optimizer", None)
    if hooks is None or optimizer is None:
        return None
    hook = hooks.each[0]
    return hook if hook.optimizer is _inner(optimizer)[0] else None


def install(model: Any, penalty: PenaltySchedule | None = None, **options: Any) -> StepHook:
    """Puts the hook on the model's optimizers, replacing any other, and has the train function compiled again.

    Masks and tickets are read now: install again after either changes, unless `updates` or `always_mask` of `StepHook`
    are given and only masks change. A hook that a callback installs ends with its `fit`; otherwise `uninstall` ends it.
    """
    sync(model)
    optimizers = optimizers_of(model)
    prunable_weights(model)  # raises before anything changes
    uninstall(model)
    hooks = Hooks(model, optimizers, penalty, **options)
    if in_fit(model):
        begin_fit(model).callback(uninstall, model)
    return hooks.each[0]


def uninstall(model: Any) -> None:
    """Removes the hooks from the model's optimizers, if there are any; the next `fit` is compiled without them."""
    sync(model)
    hooks = vars(model).pop(HOOKS, None)
    if hooks is not None:
        hooks.uninstall()
        model.train_function = None
