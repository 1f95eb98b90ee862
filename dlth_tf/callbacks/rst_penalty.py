"""RSTPenalty: Random Sparse Network Transformation inside `fit`."""

from __future__ import annotations

import dataclasses
import html
import math
from typing import Any

import numpy as np

from dlth_tf import masking
from dlth_tf.callbacks.exact_steps import ExactSteps
from dlth_tf.callbacks.executions import Executions
from dlth_tf.callbacks.part_of_fit import PartOfFit
from dlth_tf.core import PenaltySchedule
from dlth_tf.errors import BadInput
from dlth_tf.masking.prunable import PrunableWeight
from dlth_tf.plain_numbers import whole_number

COLLECTIONS = (str, bytes, list, tuple, dict, set, frozenset)
RESTORES = "EarlyStopping(restore_best_weights=True) does so"


def steps_in(data: Any, batch_size: int | None) -> int:
    """Returns the optimizer steps of an epoch: `data` itself, its length, or as many batches as hold its examples."""
    if batch_size is None:
        return whole_number("steps_per_epoch", _length(data) if _is_batches(data) else data, least=1)
    sized = hasattr(data, "__len__") and getattr(data, "ndim", None) != 0 and not isinstance(data, str | bytes)
    examples = whole_number("steps_per_epoch", _length(data) if sized else data, least=1)
    return math.ceil(examples / whole_number("batch_size", batch_size, least=1))


def _is_batches(data: Any) -> bool:
    """Returns whether `data` yields batches: it has a length, and is neither an array nor a collection of Python's."""
    return hasattr(data, "__len__") and not hasattr(data, "shape") and not isinstance(data, COLLECTIONS)


def _length(data: Any) -> int:
    try:
        return len(data)
    except TypeError:  # of a tf.data.Dataset
        allowed = "has no known length: give the number of steps per epoch"
        raise BadInput("steps_per_epoch", type(data).__name__, allowed) from None


class RSTPenalty(ExactSteps, PartOfFit):
    """Transforms a chosen ticket: a growing L2 penalty on the weights that will be removed, then their removal.

    Adds lambda * w to the gradient of exactly those weights, before momentum; lambda grows as in
    `core.PenaltySchedule`, is held, and after `steps` optimizer steps training ends and the weights are removed (Bai et
    al., ICLR 2022). The schedule is a function of `optimizer.iterations`, so compile the model again before each
    transformation.

    Args:
      schedule: "x", "x^2" or "x^3": the power of the counter that lambda is.
      step: Growth of the penalty's counter, above 0.
      every: Optimizer steps between two growths, at least 1.
      limit: The penalty stops growing above it; above 0.
      hold_steps: Optimizer steps for which the last value is held, at least 0.
      block_loss_grad: Official option: the loss trains only what is not prunable (biases, batch norm).
      remove_at_end: Whether the weights are removed at the end (False between cycles that do not delete).
      shorten_last_execution: With `steps_per_execution` above 1, whether to end with a shorter last execution instead
        of refusing a number of steps that it does not divide.
      resume: Whether this `fit` resumes an interrupted transformation, so that the steps the optimizer has made count;
        the ticket is in the model already then, so leave RandomMask out. BackupAndRestore needs neither.

    Raises:
      BadInput: At construction for an invalid value; at the start of `fit`, before anything changes, if the model is
        not wrapped or compiled, has no ticket or one of frozen layers, or the epochs are too few for the schedule;
        before the first step, if a callback after this one in the list chose another ticket or removed the penalty.
      RuntimeError: At the end of `fit`, if something else ended it early or restored earlier weights: nothing is
        removed then. After the first step, if no optimizer of the model updates a weight that is to be squeezed.
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
        self.penalty = PenaltySchedule(schedule, step, every, limit, hold_steps)
        super().__init__(self.penalty.steps)
        self.block_loss_grad = block_loss_grad
        self.remove_at_end = remove_at_end
        self.shorten_last_execution = shorten_last_execution
        self.resume = resume
        self._squeezed: dict[str, float] = {}

    @classmethod
    def for_epochs(
        cls, epochs: int, steps_per_epoch: int, *, schedule: str = "x", limit: float = 1.0, **options: bool
    ) -> RSTPenalty:
        """Returns a transformation that takes exactly `epochs` epochs: the published staircase over that length.

        Args:
          epochs: Epochs of `fit`, at least 1.
          steps_per_epoch: Optimizer steps per epoch, at least 1.
          schedule: "x", "x^2" or "x^3": the power of the counter that lambda is.
          limit: The penalty stops growing above it; above 0.
          **options: `block_loss_grad`, `remove_at_end`, `shorten_last_execution` and `resume`.

        Raises:
          BadInput: If a value is out of its range, or `step`, `every` or `hold_steps` is given, which `epochs`
            decides.

        Example:
          ```python
          transform = RSTPenalty.for_epochs(20, steps_per_epoch=18)
          model.fit(x, y, batch_size=64, epochs=20, callbacks=[RandomMask(.98), transform])
          ```
        """
        steps = whole_number("epochs", epochs, least=1) * whole_number("steps_per_epoch", steps_per_epoch, least=1)
        arguments: dict[str, Any] = PenaltySchedule.of_length(steps, schedule, limit).arguments
        for name in (name for name in arguments if name in options):
            allowed = "cannot be given with for_epochs, whose length decides it: construct RSTPenalty itself"
            raise BadInput(name, options[name], allowed)
        return cls(**arguments | options)

    def __repr__(self) -> str:
        schedule = ", ".join(f"{name}={value!r}" for name, value in self.penalty.arguments.items())
        return f"RSTPenalty({schedule}): {self.steps:,} steps"

    def _repr_html_(self) -> str:
        """Returns the schedule as a table, for notebooks."""
        rows = {**self.penalty.arguments, "steps": f"{self.steps:,}"}
        cells = "".join(f"<tr><td>{name}</td><td>{html.escape(str(value))}</td></tr>" for name, value in rows.items())
        return f"<table><tr><th colspan=2>RSTPenalty</th></tr>{cells}</table>"

    def epochs(self, steps_per_epoch: Any, *, batch_size: int | None = None) -> int:
        """Returns the `epochs` that `fit` needs: the smallest number whose steps hold the whole schedule.

        Args:
          steps_per_epoch: Optimizer steps per epoch, at least 1; or the batches that `fit` gets, such as a
            tf.data.Dataset of known length; or, with `batch_size`, the examples (an array, a list) or their number.
          batch_size: Examples per step, at least 1; None if `steps_per_epoch` counts steps or batches.

        Raises:
          BadInput: If a number is out of its range, or the length of the batches is unknown or infinite.

        Example:
          ```python
          model.fit(x, y, batch_size=64, epochs=transform.epochs(x, batch_size=64), callbacks=[..., transform])
          ```
        """
        return math.ceil(self.steps / steps_in(steps_per_epoch, batch_size))

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Checks that the transformation can run to its end, then installs the penalty."""
        pruned = self._to_remove()
        self.penalty = dataclasses.replace(self.penalty, dtype=pruned[0].dtype)
        self.steps = self.penalty.steps
        super().on_train_begin(logs)
        done = self.iterations()
        if done and not (self.resume or self.restored):
            allowed = "RSTPenalty starts from a fresh optimizer: compile again, or pass resume=True"
            raise BadInput("optimizer", f"{done} steps old", allowed)
        self._check_length(done, 0)
        self._set_up()

    def _to_remove(self) -> list[PrunableWeight]:
        """The weights of which the ticket removes something."""
        entries = masking.prunable_weights(self.model).values()
        there = {entry.name: bool(np.any(entry.kept() & ~entry.chosen())) for entry in entries}  # not removed before
        pruned = [entry for entry in entries if not entry.chosen().all() and (there[entry.name] or not entry.frozen)]
        if not pruned:
            allowed = "has no ticket yet: put callbacks.RandomMask before RSTPenalty, or call apply_ticket first"
            raise BadInput("model", self.model.name, allowed)
        frozen = [entry.name for entry in pruned if entry.frozen]
        if frozen:
            allowed = f"has a ticket for {', '.join(frozen)}, which no penalty can squeeze, since trainable is False"
            raise BadInput("model", self.model.name, allowed)
        return pruned

    def _set_up(self) -> None:
        self._hook = self.install(self.penalty, block_loss_grad=self.block_loss_grad)
        self._ticket = masking.chosen_ticket(self.model)

    def on_first_epoch(self, epoch: int) -> None:
        """Checks the number of epochs that are left; takes over the ticket of an interrupted `fit`."""
        self._check_length(self.iterations(), epoch)
        if self.restored:
            self._set_up()

    def _check_length(self, done: int, first_epoch: int) -> None:
        per_epoch = self.params.get("steps")
        epochs = self.params.get("epochs", 1) - first_epoch
        executions = Executions.of(self.model, per_epoch)
        left = (self.steps - done) * masking.batches_per_step(self.model)
        if per_epoch is None:  # data of unknown length: on_train_end checks
            if not executions.change:
                executions.check_end_at(left, "{} step{} of the transformation")
            return
        if epochs * per_epoch < left:
            needed = math.ceil(left / per_epoch)
            allowed = f"are too few: {left} steps of transformation need {needed} epochs of {per_epoch} steps"
            if first_epoch:
                allowed += f", and initial_epoch is {first_epoch}"
            raise BadInput("epochs", self.params["epochs"] if first_epoch else epochs, allowed)
        if not (self.shorten_last_execution and executions.change):
            which = "steps that fall into the last epoch" if executions.per_epoch else "steps of the transformation"
            remedy = ", or shorten_last_execution=True" if executions.change else ""
            executions.check_end_at(left, f"{{}} of {self.steps} {which}", remedy)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Raises BadInput if something else chose another ticket or removed the penalty."""
        super().on_epoch_begin(epoch, logs)
        self.check_still_installed(self._hook)
        if masking.chosen_ticket(self.model) != self._ticket:
            masking.end_fit(self.model)
            allowed = "squeezes the ticket that was chosen when it began, and the model has another one now"
            raise BadInput("callbacks", "RSTPenalty", allowed)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Reports lambda of the last step as `penalty`."""
        super().on_epoch_end(epoch, logs)
        if logs is not None:
            logs["penalty"] = float(self.penalty.at(max(0, self.iterations() - 1)))
        if self.iterations() >= self.steps:
            self._squeezed = self._magnitudes()

    def _magnitudes(self) -> dict[str, float]:
        """The sum of |w| of every tensor, by which a change from outside is noticed."""
        entries = masking.prunable_weights(self.model)
        return {name: float(np.abs(entry.weight.numpy()).sum(dtype=np.float64)) for name, entry in entries.items()}

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Removes the penalty, then the weights."""
        masking.uninstall(self.model)
        made = self.iterations()
        fault = ""
        if made < self.steps:
            fault = f"the transformation ended after {made} of {self.steps} steps{self._skipped()}"
        elif self.remove_at_end and self._changed():
            fault = f"another callback changed the weights after the last step ({RESTORES})"
        if fault:
            self._set_execution(self._execution)
            masking.end_fit(self.model)
            raise RuntimeError(f"{fault}: nothing was removed")
        if self.remove_at_end:
            masking.warn_unless_squeezed(self.model)
            masking.remove(self.model)
        super().on_train_end(logs)

    def _skipped(self) -> str:
        """Returns why there may be fewer steps than batches, and the remedy, under a loss scale of Keras 3.

        That of Keras 2 counts the steps that it skips.
        """
        if not hasattr(self.model.optimizer, "dynamic_scale"):
            return ""
        return " (its loss scale skips steps whose gradients are not finite: go on with a fit that has resume=True)"

    def _changed(self) -> bool:
        """Returns whether the weights are others than after the last step, and not for moving averages."""
        return not masking.averages_weights(self.model) and str(self._magnitudes()) != str(self._squeezed)

    def on_fit_end(self) -> None:
        """Checks that what was removed has stayed removed."""
        if not self.remove_at_end:
            return
        if any(np.any(entry.kept() & ~entry.chosen()) for entry in masking.prunable_weights(self.model).values()):
            raise RuntimeError(f"another callback has put weights back that RSTPenalty removed ({RESTORES})")
        masking.check_removed(self.model)
