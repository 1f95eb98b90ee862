"""RSTPenalty: Random Sparse Network Transformation inside `fit`."""

from __future__ import annotations

import math
from typing import Any

import tf_keras

from dlth_tf import masking
from dlth_tf.callbacks.exact_steps import ExactSteps, largest_divisor
from dlth_tf.core import staircase
from dlth_tf.errors import BadInput


class RSTPenalty(ExactSteps):
    """Transforms a chosen ticket: a growing L2 penalty on the weights that will be removed, then their removal.

    Adds lambda * w to the gradient of exactly those weights, before momentum; lambda grows as `core.staircase` says, is
    held, and after `steps` optimizer steps training ends and the weights are removed (Bai et al., ICLR 2022). The
    schedule is a function of `optimizer.iterations`, so compile the model anew before each transformation.

    Args:
      schedule: "x", "x^2" or "x^3".
      step: growth of the penalty's counter.
      every: optimizer steps between two growths.
      limit: the penalty stops growing above it.
      hold_steps: optimizer steps that the last value is held.
      block_loss_grad: official option: the loss trains only what is not prunable (biases, batch norm).
      remove_at_end: whether the weights are removed at the end (False between cycles that do not delete).
      shorten_last_execution: with `steps_per_execution` above 1, end by a shorter last execution instead of refusing
        a number of steps that does not divide.
      resume: whether this `fit` goes on with an interrupted transformation, so that the optimizer's steps count; the
        ticket is in the model already then, so leave RandomMask out.

    Raises:
      BadInput: at construction for a value out of range; at the start of `fit`, before anything changes, when the model
        is not wrapped or compiled, has no ticket, or the epochs are too few for the schedule; before the first step, when
        a callback after this one in the list chose another ticket or took the penalty off.
      RuntimeError: at the end of `fit`, if something else ended it early: nothing is removed then.
    """

    def __init__(
        self,
        schedule: str = "x",
        *,
        step: float = 1e-4,
        every: int = 5,
        limit: float = 1.0,
        hold_steps: int = 40_000,
        block_loss_grad: bool = False,
        remove_at_end: bool = True,
        shorten_last_execution: bool = False,
        resume: bool = False,
    ) -> None:
        self._arguments: dict[str, Any] = {
            "schedule": schedule,
            "step": step,
            "every": every,
            "limit": limit,
            "hold_steps": hold_steps,
        }
        self.staircase = staircase(**self._arguments, dtype=tf_keras.backend.floatx())
        super().__init__(self.staircase.steps)
        self.block_loss_grad, self.remove_at_end = block_loss_grad, remove_at_end
        self.shorten_last_execution, self.resume = shorten_last_execution, resume

    def epochs(self, steps_per_epoch: int) -> int:
        """The `epochs` that `fit` needs: the smallest number whose steps hold the whole schedule."""
        return math.ceil(self.steps / steps_per_epoch)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Checks that the transformation can run to its end, then installs the penalty."""
        entries = masking.prunable_weights(self.model).values()
        pruned = [entry for entry in entries if not entry.chosen().all()]
        if not pruned:
            raise BadInput(
                "model",
                self.model.name,
                "has no ticket yet: put callbacks.RandomMask before RSTPenalty, or call apply_ticket first",
            )
        self.staircase = staircase(**self._arguments, dtype=pruned[0].weight.dtype.base_dtype.name)
        self.steps = self.staircase.steps
        done = int(masking.inner_optimizer(self.model).iterations.numpy())
        if done and not self.resume:
            raise BadInput(
                "optimizer",
                f"{done} steps old",
                "RSTPenalty starts from a fresh optimizer: compile again, or pass resume=True to go on",
            )
        super().on_train_begin(logs)
        self._check_length(done)
        self._hook = masking.install(self.model, self.staircase, block_loss_grad=self.block_loss_grad)
        self._ticket = masking.chosen_ticket(self.model)

    def _check_length(self, done: int) -> None:
        per_epoch, epochs = self.params.get("steps"), self.params.get("epochs")
        if per_epoch is None:
            return  # a data set of unknown length: on_train_end checks
        left = self.steps - done
        if epochs * per_epoch < left:
            needed = math.ceil(left / per_epoch)
            raise BadInput(
                "epochs",
                epochs,
                f"are too few: {left} steps of transformation need {needed} epochs of {per_epoch} steps",
            )
        last, execution = left % per_epoch, self.steps_per_execution()
        if last % execution and not self.shorten_last_execution:
            raise BadInput(
                "steps_per_execution",
                execution,
                f"does not divide the {last} of {self.steps} steps that fall into the last epoch: "
                f"use {largest_divisor(last, execution)}, or shorten_last_execution=True",
            )

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Refuses to go on when a later callback chose another ticket or took the penalty off."""
        super().on_epoch_begin(epoch, logs)
        if masking.installed(self.model) is not self._hook or masking.chosen_ticket(self.model) != self._ticket:
            masking.uninstall(self.model)
            raise BadInput("callbacks", "RSTPenalty", "must come after RandomMask and KeepMask in the list")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Reports lambda of the last step as `penalty`."""
        super().on_epoch_end(epoch, logs)
        if logs is not None:
            logs["penalty"] = float(self.staircase.at(max(0, int(self.iterations()) - 1)))

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Takes the penalty off and removes the weights."""
        super().on_train_end(logs)
        masking.uninstall(self.model)
        if self.iterations() < self.steps:
            raise RuntimeError(
                f"the transformation was ended after {self.iterations()} of {self.steps} steps: nothing was removed"
            )
        if self.remove_at_end:
            masking.remove(self.model)
