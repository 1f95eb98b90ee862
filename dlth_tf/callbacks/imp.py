"""IMP: iterative magnitude pruning with rewinding inside one `fit`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlth_tf import masking
from dlth_tf.callbacks.mask_updating import positive
from dlth_tf.callbacks.snapshot_at import SnapshotAt
from dlth_tf.callbacks.step_counting import StepCounting
from dlth_tf.core import PruningSpec, Round, Ticket
from dlth_tf.errors import BadInput


class IMP(StepCounting):
    """Finds a winning ticket in rounds (Frankle and Carbin, ICLR 2019; rewinding: Frankle et al., ICML 2020).

    `rounds` times: trains for `epochs_per_round` epochs, removes the smallest magnitudes up to the sparsity 1 - (1 -
    sparsity)^(round / rounds), and rewinds all weights and running statistics to `rewind_step`. The remaining epochs
    train the ticket. The optimizer starts each round with empty slots, and its step count, and with it a learning-rate
    schedule, at `rewind_step`. Schedules that are callbacks count epochs and so do not follow the rounds.

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
      imp = IMP(sparsity=.9, rounds=5, epochs_per_round=10)
      model.fit(data, epochs=imp.epochs(finetune=10), callbacks=[imp])
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
        if type(rewind_step) is not int or rewind_step < 0:
            raise BadInput("rewind_step", rewind_step, "must be a whole number of steps, at least 0")
        self.spec = PruningSpec.parse(sparsity, allocation, granularity, dense_layers)
        self.rewind_step = rewind_step
        self.rounds = positive("rounds", rounds)
        self.epochs_per_round = positive("epochs_per_round", epochs_per_round)
        self.tickets: list[Ticket] = []
        self._snapshot: SnapshotAt | None = None

    def epochs(self, finetune: int | None = None) -> int:
        """Returns the `epochs` that `fit` needs: all rounds, then `finetune` (default: the length of a round)."""
        return self.rounds * self.epochs_per_round + (finetune or self.epochs_per_round)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Checks that all rounds fit, and keeps the initial weights."""
        masking.check_fits(self.model, self.spec)
        masking.check_fits(self.model, self.spec, self._round(1))  # also inside an earlier ticket
        epochs = self.params["epochs"]
        per_epoch = self.params.get("steps")
        if epochs < self.epochs(finetune=1):
            rounds = f"{self.rounds} rounds of {self.epochs_per_round} and a finetune need {self.epochs(1)} or more"
            raise BadInput("epochs", epochs, f"are too few: {rounds}")
        if per_epoch is not None and self.rewind_step >= per_epoch * self.epochs_per_round:
            allowed = f"must be below {per_epoch * self.epochs_per_round}, the steps of a round"
            raise BadInput("rewind_step", self.rewind_step, allowed)
        if self.iterations():
            raise BadInput("optimizer", "used before", "IMP starts from a fresh optimizer: compile again")
        self.tickets = []
        self._take()
        self._optimizer = masking.FreshOptimizer(self.model)
        masking.install(self.model, always_mask=True)
        self._snapshot = SnapshotAt(self.rewind_step, self._take) if self.rewind_step else None
        if self._snapshot:
            self._snapshot.set_model(self.model)
            self._snapshot.on_train_begin(logs)

    def _round(self, number: int) -> Round:
        return Round(number, self.rounds, masking.chosen_ticket(self.model))

    def _take(self) -> None:
        self._rewound_to = masking.weight_arrays(self.model)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Aims at the rewind step."""
        super().on_epoch_begin(epoch, logs)
        if self._snapshot and not self.tickets:
            self._snapshot.on_epoch_begin(epoch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Keeps the weights of the rewind step."""
        super().on_train_batch_end(batch, logs)
        if self._snapshot and not self.tickets:
            self._snapshot.on_train_batch_end(batch, logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Ends a round: removes weights, rewinds, and resets the optimizer."""
        super().on_epoch_end(epoch, logs)
        done, more = divmod(epoch + 1, self.epochs_per_round)
        if more or done > self.rounds:
            return
        self.tickets.append(masking.pick_ticket(self.model, self.spec, "magnitude_min", round=self._round(done)))
        masking.choose(self.model, self.tickets[-1])
        masking.rewind(self.model, self._rewound_to)
        self._optimizer.restore(self.rewind_step)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Removes the hook and checks that every removed weight is zero."""
        masking.uninstall(self.model)
        masking.check_removed(self.model)
