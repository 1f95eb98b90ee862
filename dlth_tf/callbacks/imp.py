"""IMP: iterative magnitude pruning with rewinding inside one `fit`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlth_tf import masking
from dlth_tf.callbacks.mask_updating import CountedSteps, positive
from dlth_tf.callbacks.snapshot_at import SnapshotAt
from dlth_tf.core import Ticket
from dlth_tf.errors import BadInput


class IMP(CountedSteps):
    """Finds a winning ticket in rounds (Frankle and Carbin, ICLR 2019; rewinding: Frankle et al., ICML 2020).

    `rounds` times: train for `epochs_per_round` epochs, remove the smallest magnitudes up to the sparsity
    1 - (1 - sparsity)^(round / rounds), rewind all weights and running statistics to `rewind_step`. What is left of the
    epochs trains the ticket. The optimizer starts each round with empty slots, and its steps, so a learning-rate schedule
    too, at `rewind_step`. Schedules that are callbacks count epochs and so know nothing of rounds.

    Args:
      sparsity: fraction removed at the end, at least 0 and below 1.
      rounds: how many times weights are removed.
      epochs_per_round: length of each round.
      rewind_step: the optimizer step of the first round that is rewound to; 0: the weights at the start of `fit`.
      allocation: as in `dlth_tf.random_ticket`.
      granularity: as in `dlth_tf.random_ticket`.
      dense_layers: as in `dlth_tf.random_ticket`.

    Raises:
      BadInput: at construction for a value out of range; at the start of `fit`, before anything changes, when the epochs
        do not hold all rounds and one epoch more, `rewind_step` is not in the first round, or the optimizer is not fresh.

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
        self.sparsity, self.rewind_step = sparsity, rewind_step
        self.rounds, self.epochs_per_round = positive("rounds", rounds), positive("epochs_per_round", epochs_per_round)
        self.options: dict[str, Any] = {
            "allocation": allocation,
            "granularity": granularity,
            "dense_layers": dense_layers,
        }
        self.tickets: list[Ticket] = []
        self._snapshot: SnapshotAt | None = None

    def epochs(self, finetune: int | None = None) -> int:
        """The `epochs` that `fit` needs: all rounds, and then `finetune` (by default as long as a round) for the ticket."""
        return self.rounds * self.epochs_per_round + (finetune or self.epochs_per_round)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Checks that all rounds fit, and keeps the initial weights."""
        masking.random_ticket(self.model, self.sparsity, **self.options)  # refuses what does not fit these tensors
        self._draw(1)  # or what an earlier ticket has left of them
        epochs, per_epoch = self.params["epochs"], self.params.get("steps")
        if epochs < self.epochs(finetune=1):
            raise BadInput(
                "epochs",
                epochs,
                f"are too few: {self.rounds} rounds of {self.epochs_per_round} and a finetune need {self.epochs(1)} or more",
            )
        if per_epoch is not None and self.rewind_step >= per_epoch * self.epochs_per_round:
            raise BadInput(
                "rewind_step",
                self.rewind_step,
                f"must be below {per_epoch * self.epochs_per_round}, the steps of a round",
            )
        if int(masking.inner_optimizer(self.model).iterations.numpy()):
            raise BadInput("optimizer", "used before", "IMP starts from a fresh optimizer: compile again")
        self.tickets = []
        self._take()
        self._optimizer = masking.FreshOptimizer(self.model)
        masking.install(self.model, always_mask=True)
        self._snapshot = SnapshotAt(self.rewind_step, self._take) if self.rewind_step else None
        if self._snapshot:
            self._snapshot.set_model(self.model)
            self._snapshot.on_train_begin(logs)

    def _draw(self, cycle: int) -> Ticket:
        within = masking.chosen_ticket(self.model)
        return masking.magnitude_ticket(
            self.model, self.sparsity, cycle=(cycle, self.rounds), within=within, **self.options
        )

    def _take(self) -> None:
        self._rewound_to = {name: variable.numpy() for name, variable in masking.named_weights(self.model).items()}

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Aims at the rewind step."""
        super().on_epoch_begin(epoch, logs)
        if self._snapshot and not self.tickets:
            self._snapshot.on_epoch_begin(epoch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Keeps the weights of the rewind step when it has come."""
        super().on_train_batch_end(batch, logs)
        if self._snapshot and not self.tickets:
            self._snapshot.on_train_batch_end(batch, logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Ends a round: removes, rewinds, and starts the optimizer anew."""
        super().on_epoch_end(epoch, logs)
        done, more = divmod(epoch + 1, self.epochs_per_round)
        if more or done > self.rounds:
            return
        self.tickets.append(self._draw(done))
        masking.choose(self.model, self.tickets[-1])
        masking.rewind(self.model, self._rewound_to)
        self._optimizer.restore(self.rewind_step)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Takes the hook off and checks that every removed weight is zero."""
        masking.uninstall(self.model)
        masking.check_removed(self.model)
