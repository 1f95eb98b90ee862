"""IMP: iterative magnitude pruning with rewinding inside one `fit`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike

from dlth_tf import masking
from dlth_tf.callbacks.executions import Executions
from dlth_tf.callbacks.part_of_fit import PartOfFit
from dlth_tf.callbacks.shortfall import kept_counts, sparsity_of, warn_if_short
from dlth_tf.callbacks.snapshot_at import SnapshotAt
from dlth_tf.callbacks.step_counting import StepCounting
from dlth_tf.core import PruningSpec, Round, Ticket
from dlth_tf.errors import BadInput
from dlth_tf.plain_numbers import whole_number


class IMP(PartOfFit, StepCounting):
    """Finds a winning ticket in rounds (Frankle and Carbin, ICLR 2019; rewinding: Frankle et al., ICML 2020).

    `rounds` times: trains for `epochs_per_round` epochs, removes the smallest magnitudes up to the sparsity 1 - (1 -
    sparsity)^(round / rounds), and rewinds all weights and running statistics to `rewind_step`. The remaining epochs
    train the ticket. The optimizer starts each round with empty slots, and its step count, and with it a learning-rate
    schedule, at `rewind_step`. Schedules that are callbacks count epochs and so do not follow the rounds. Weights that
    are removed when `fit` begins stay removed: the first rounds remove nothing until their sparsity is above that.

    Args:
      sparsity: Fraction removed at the end, at least 0 and below 1.
      rounds: Number of times that weights are removed.
      epochs_per_round: Length of each round.
      rewind_step: Optimizer step of the first round that is rewound to; 0: the weights at the start of `fit`.
      allocation: Distribution of the sparsity over tensors, as in `dlth_tf.random_ticket`.
      granularity: Groups that are removed as one piece, as in `dlth_tf.random_ticket`.
      dense_layers: Layers that are kept whole, as in `dlth_tf.random_ticket`.

    Raises:
      BadInput: At construction for an invalid value; at the start of `fit`, before anything changes, if the epochs do
        not hold all rounds and one more epoch, `rewind_step` is not in the first round, or the optimizer is not fresh.

    Example:
      ```python
      imp = IMP(sparsity=.9, rounds=5, epochs_per_round=10)
      model.fit(data, epochs=imp.epochs(finetune=10), callbacks=[imp])
      ```
    """

    def __init__(
        self,
        sparsity: float,
        rounds: int = 5,
        epochs_per_round: int = 1,
        rewind_step: int = 0,
        *,
        allocation: str = "uniform",
        granularity: str = "weight",
        dense_layers: str | Sequence[str] = "auto",
    ) -> None:
        super().__init__()
        self.spec = PruningSpec.parse(sparsity, allocation, granularity, dense_layers)
        self.rewind_step = whole_number("rewind_step", rewind_step, least=0)
        self.rounds = whole_number("rounds", rounds, least=1)
        self.epochs_per_round = whole_number("epochs_per_round", epochs_per_round, least=1)
        self.tickets: list[Ticket] = []
        self._snapshot: SnapshotAt | None = None
        self._optimizer: Any = None
        self._kept: dict[str, int] = {}  # weights that the last ticket keeps

    def epochs(self, finetune: int | None = None) -> int:
        """Returns the `epochs` that `fit` needs: all rounds, then `finetune` (default: the length of a round)."""
        after = self.epochs_per_round if finetune is None else whole_number("finetune", finetune, least=1)
        return self.rounds * self.epochs_per_round + after

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Checks that all rounds fit, and keeps the initial weights."""
        masking.check_fits(self.model, self.spec)
        self._check_length(0)
        super().on_train_begin(logs)
        if not self.restored:
            masking.check_fits(self.model, self.spec, self._round(self.rounds))  # also inside an earlier ticket
        if self.iterations() and not self.restored:
            raise BadInput("optimizer", "used before", "IMP starts from a fresh optimizer: compile again")
        self.tickets = []
        self._optimizer = masking.FreshOptimizer(self.model, used=self.restored)
        self._set_up()

    def state_values(self) -> Mapping[str, ArrayLike]:
        """Returns the first epoch, the number of finished rounds, and the weights that are rewound to."""
        weights = {f"rewound/{name}": value for name, value in masking.weight_arrays(self.model).items()}
        numbers = {"first_epoch": np.int64(0), "rounds": np.int64(0), "taken": np.int64(self.rewind_step == 0)}
        return {**numbers, **weights}

    def _check_length(self, first_epoch: int) -> None:
        epochs = self.params["epochs"] - first_epoch
        per_epoch = self.params.get("steps")
        executions = Executions.of(self.model, per_epoch)
        if epochs < self.epochs(finetune=1):
            rounds = f"{self.rounds} rounds of {self.epochs_per_round} and a finetune need {self.epochs(1)} or more"
            left = f", and initial_epoch={first_epoch} leaves {epochs}" if first_epoch else ""
            raise BadInput("epochs", self.params["epochs"], f"are too few: {rounds}{left}")
        batches = masking.batches_per_step(self.model)
        if per_epoch is not None and self.rewind_step >= per_epoch * self.epochs_per_round // batches:
            allowed = f"must be below {per_epoch * self.epochs_per_round // batches}, the steps of a round"
            raise BadInput("rewind_step", self.rewind_step, allowed)
        if not executions.change:
            which = (
                f"{{}} step{{}}{' of an epoch' if executions.per_epoch else ''} before rewind_step={self.rewind_step}"
            )
            executions.check_end_at(self.rewind_step * batches, which)

    def _set_up(self) -> None:
        self.install(always_mask=True)
        self._snapshot = SnapshotAt(self.rewind_step, self._take) if not self._state["taken"] else None
        if self._snapshot:
            self._snapshot.set_model(self.model)
            self._snapshot.on_train_begin()

    def on_first_epoch(self, epoch: int) -> None:
        """Starts the rounds at this epoch, or goes on with those of an interrupted `fit`."""
        if not self.restored:
            self._check_length(epoch)
            self._state["first_epoch"] = epoch
        else:
            self._kept = kept_counts(self.model)
            self._set_up()

    @property
    def _state(self) -> masking.FitState:
        return cast(masking.FitState, self.state)

    def _round(self, number: int) -> Round:
        return Round(number, self.rounds, masking.chosen_ticket(self.model))

    def _draw(self, round: Round) -> Ticket:
        """Draws the ticket of a round; one that is to keep more than an earlier ticket has left is that ticket."""
        try:
            masking.check_fits(self.model, self.spec, round)
        except BadInput:  # the last round fits, which was checked at the start
            return masking.chosen_ticket(self.model)
        return masking.pick_ticket(self.model, self.spec, "magnitude_min", round=round)

    def _take(self) -> None:
        for name, value in masking.weight_arrays(self.model).items():
            self._state[f"rewound/{name}"] = value
        self._state["taken"] = 1

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Ends a round that is over, and aims at the rewind step."""
        super().on_epoch_begin(epoch, logs)
        finished = int(self._state["rounds"])
        if finished < min(self.rounds, (epoch - int(self._state["first_epoch"])) // self.epochs_per_round):
            self._end_round(finished + 1)
        if self._snapshot and not self._state["rounds"]:
            self._snapshot.on_epoch_begin(epoch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Keeps the weights of the rewind step."""
        super().on_train_batch_end(batch, logs)
        if self._snapshot and not self._state["taken"]:
            self._snapshot.on_train_batch_end(batch, logs)

    def _end_round(self, number: int) -> None:
        """Removes weights, rewinds, and resets the optimizer.

        This happens when the next epoch begins, so that a checkpoint between two epochs is always one from before it,
        whatever the order of the callbacks.
        """
        if not self._state["taken"]:
            made = f"step {self.rewind_step} of the optimizer is in the first round, which made {self.iterations()}"
            raise RuntimeError(f"IMP cannot rewind: rewind_step={self.rewind_step} must mean a step of it, but {made}")
        self.tickets.append(self._draw(self._round(number)))
        masking.choose(self.model, self.tickets[-1])
        names = masking.weight_arrays(self.model)
        masking.rewind(self.model, {name: self._state[f"rewound/{name}"] for name in names})
        self._kept = kept_counts(self.model)
        self._optimizer.restore(self.rewind_step)
        self._state["rounds"] = number

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Removes the hook."""
        masking.uninstall(self.model)
        super().on_train_end(logs)

    def on_fit_end(self) -> None:
        """Checks that every removed weight is zero, and that all rounds were made."""
        masking.accept_restored(self.model)
        masking.check_removed(self.model)
        entries = masking.prunable_of_ticket(self.model, self.spec)
        share = float(self.spec.sparsity)
        finished = int(self._state["rounds"])
        if finished < self.rounds:
            logging.getLogger("dlth_tf").warning(
                "IMP: asked for a sparsity of %.4g, reached %.4g: training ended with %d of %d rounds made: train on, "
                "or let EarlyStopping start after the rounds (start_from_epoch)",
                share,
                sparsity_of(self.model, entries, kept_counts(self.model)),
                finished,
                self.rounds,
            )
        else:
            warn_if_short(self, {name: self._kept[name] for name in entries})
