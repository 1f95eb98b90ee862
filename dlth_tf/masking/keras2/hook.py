"""The hook inside the optimizer's update step: the penalty before it, the mask after it.

    g += lambda(step) * (1 - ticket) * w;   the optimizer's own update;   w *= mask

So the update is exactly the published one (before momentum), independent of the number of replicas and of
`steps_per_execution`; loss, metrics and `train_step` are untouched, and removed weights are zero after every step.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
import tf_keras

from dlth_tf.core import Staircase
from dlth_tf.errors import BadInput
from dlth_tf.masking.changing import DropAndGrow, MaskUpdate
from dlth_tf.masking.keras2.weights import PrunableWeight, prunable_weights


@dataclass(frozen=True)
class _Target:
    """What happens to one weight: `squeeze` is 1 - ticket, `mask` None while nothing of it is removed."""

    squeeze: tf.Tensor | None
    mask: tf.Variable | None


class StepHook:
    """What an optimizer does around its own update of each prunable weight, until `uninstall`.

    Args:
      entries: the prunable weights.
      optimizer: its `update_step` is replaced on the instance.
      penalty: lambda over the steps of this optimizer (`optimizer.iterations`, from 0), or None.
      block_loss_grad: the official option: the loss does not reach prunable weights, only penalty and weight decay do.
      changes: what happens to some variables instead (`masking.changing`). At a step where a `DropAndGrow` changes a mask,
        nothing else is updated either, as in RigL.
      always_mask: whether masks act that are still whole, because they will change between two steps.
    """

    def __init__(
        self,
        entries: list[PrunableWeight],
        optimizer: Any,
        penalty: Staircase | None = None,
        block_loss_grad: bool = False,
        changes: Iterable[MaskUpdate] = (),
        always_mask: bool = False,
    ) -> None:
        self.penalty: Any = penalty  # Staircase or None; `strength` is called only where there is one
        self.optimizer, self.block_loss_grad, self.always_mask = optimizer, block_loss_grad, always_mask
        self.changes = {optimizer._var_key(change.variable): change for change in changes}
        self._pause = next((change for change in self.changes.values() if isinstance(change, DropAndGrow)), None)
        self.targets = {optimizer._var_key(entry.weight): self._target(entry) for entry in entries}
        self._update_step, self._jit_compile = optimizer.update_step, optimizer.jit_compile
        optimizer.update_step = self.update_step
        # Keras caches the XLA form of update_step by variable, so a hook could neither enter nor leave it.
        optimizer.jit_compile = False

    def _target(self, entry: PrunableWeight) -> _Target:
        chosen, kept = entry.chosen(), entry.kept()
        # A copy per phase rather than `1 - ticket` per step: one pass over the weight less in every update.
        squeeze = (
            tf.Variable(~chosen, dtype=entry.ticket.dtype, trainable=False)
            if self.penalty and not chosen.all()
            else None
        )
        return _Target(squeeze, entry.mask if self.always_mask or not kept.all() else None)

    def update_step(self, gradient: Any, variable: tf.Variable) -> None:
        """One update of one variable: penalty, the optimizer's own step, mask."""
        key = self.optimizer._var_key(variable)
        if key in self.changes:
            self.changes[key].update(self._update_step, gradient, self.optimizer, variable)
        elif self._pause is not None:
            tf.cond(
                self._pause.due(self.optimizer)[0],
                lambda: False,
                lambda: self._masked_step(gradient, variable, self.targets.get(key)),
            )
        else:
            self._masked_step(gradient, variable, self.targets.get(key))

    def _masked_step(self, gradient: Any, variable: tf.Variable, target: _Target | None) -> bool:
        """Returns True, since both branches of a condition must return something."""
        if target is None:
            self._update_step(gradient, variable)
            return True
        if self.block_loss_grad:
            with tf.control_dependencies(
                [gradient]
            ):  # no update without data: Keras runs the step once more to find their end
                gradient = tf.zeros_like(variable)
        if target.squeeze is not None:
            gradient = tf.convert_to_tensor(gradient) + self.strength(variable.dtype) * target.squeeze * variable
        self._update_step(gradient, variable)
        if target.mask is not None:
            variable.assign(variable * target.mask)
        return True

    def strength(self, dtype: Any, step: Any = None) -> tf.Tensor:
        """lambda at `step`, by default the optimizer's present one, as a scalar of `dtype`, in the graph."""
        step = self.optimizer.iterations if step is None else step
        stair = tf.minimum(tf.cast(step, tf.int64) // self.penalty.every, len(self.penalty.values) - 1)
        return tf.cast(tf.gather(tf.constant(self.penalty.values), stair), dtype)

    def uninstall(self) -> None:
        """Gives the optimizer its own update step back."""
        del self.optimizer.update_step
        self.optimizer.jit_compile = self._jit_compile


def inner_optimizer(model: tf_keras.Model) -> Any:
    """The optimizer that really updates the weights (the one inside a LossScaleOptimizer).

    Raises:
      BadInput: not compiled, or an optimizer whose update step cannot carry the hook.
    """
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        raise BadInput("model", model.name, "is not compiled: call model.compile(...) after dlth_tf.wrap")
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if not isinstance(optimizer, tf_keras.optimizers.Optimizer):
        kind = f"{type(optimizer).__module__}.{type(optimizer).__name__}"
        raise BadInput(
            "optimizer",
            kind,
            "has no update step of its own to hook into: use dlth_tf.optimizers.SGD or tf_keras.optimizers (not .legacy)",
        )
    if optimizer.use_ema:
        raise BadInput(
            "optimizer",
            type(optimizer).__name__,
            "use_ema=True would write averages over removed weights: compile without it",
        )
    return optimizer


def installed(model: tf_keras.Model) -> StepHook | None:
    """The hook on the model's optimizer, if there is one."""
    optimizer = getattr(model, "optimizer", None)
    hook = (
        getattr(vars(getattr(optimizer, "inner_optimizer", optimizer)).get("update_step"), "__self__", None)
        if optimizer
        else None
    )
    return hook if isinstance(hook, StepHook) else None


def install(
    model: tf_keras.Model, penalty: Staircase | None = None, *, block_loss_grad: bool = False, **changing: Any
) -> StepHook:
    """Puts the hook on the model's optimizer (in place of one that is there) and has the train function traced anew.

    Masks and tickets are read now: install again after either changes, unless `changes` or `always_mask` of `StepHook`
    are given and only masks change.
    """
    optimizer = inner_optimizer(model)
    entries = list(prunable_weights(model).values())
    uninstall(model)
    with model.distribute_strategy.scope():
        hook = StepHook(entries, optimizer, penalty, block_loss_grad, **changing)
    model.make_train_function(force=True)
    return hook


def uninstall(model: tf_keras.Model) -> None:
    """Takes the hook off the model's optimizer, if there is one; the next fit traces without it."""
    hook = installed(model)
    if hook is not None:
        hook.uninstall()
        model.train_function = None
