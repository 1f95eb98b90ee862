"""RandomMask: chooses a ticket when training begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tf_keras

from dlth_tf import masking
from dlth_tf.core import Ticket
from dlth_tf.errors import BadInput

PICKS = ("random", "magnitude_min", "magnitude_max")


class RandomMask(tf_keras.callbacks.Callback):
    """Chooses a ticket of the wrapped model at the start of `fit`.

    With `remove=True` the weights are removed at once and kept at zero for this `fit`: training a random ticket
    directly ("scratch"). With `remove=False` they are only chosen, for `RSTPenalty` after it in the list.

    Args:
      sparsity: fraction removed of every pruned tensor, at least 0 and below 1.
      seed: the ticket is a pure function of it and of the tensors' names and shapes.
      remove: whether to remove at once.
      pick: "random"; or "magnitude_min", "magnitude_max": the weights that are removed are those of smallest or
        largest present magnitude, as the official code's `pick_pruned` does.
      allocation: as in `dlth_tf.random_ticket`.
      granularity: as in `dlth_tf.random_ticket`.
      dense_layers: as in `dlth_tf.random_ticket`.

    Raises:
      BadInput: at construction for an unknown pick, at the start of `fit` for everything else.

    Example:
      model.fit(data, callbacks=[RandomMask(sparsity=.98, seed=0), RSTPenalty(...)])
    """

    def __init__(
        self,
        sparsity: float,
        seed: int = 0,
        *,
        remove: bool = False,
        pick: str = "random",
        allocation: str = "uniform",
        granularity: str = "weight",
        dense_layers: str | Sequence[str] = "auto",
    ) -> None:
        super().__init__()
        if pick not in PICKS:
            raise BadInput("pick", pick, f"must be one of {', '.join(PICKS)}")
        self.sparsity, self.seed, self.remove, self.pick = sparsity, seed, remove, pick
        self.options: dict[str, Any] = {
            "allocation": allocation,
            "granularity": granularity,
            "dense_layers": dense_layers,
        }
        self.ticket: Ticket | None = None

    def draw(self, model: tf_keras.Model, **cycle: Any) -> Ticket:
        """The ticket for this model, without writing it anywhere; `cycle` and `within` as in `dlth_tf.random_ticket`."""
        if self.pick == "random":
            return masking.random_ticket(model, self.sparsity, self.seed, **self.options, **cycle)
        remove = "smallest" if self.pick == "magnitude_min" else "largest"
        return masking.magnitude_ticket(model, self.sparsity, remove=remove, **self.options, **cycle)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Draws the ticket and writes it into the model."""
        self.ticket = self.draw(self.model)
        masking.apply_ticket(self.model, self.ticket, remove=self.remove)
        if self.remove:
            masking.install(self.model)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Takes the hook off the optimizer again."""
        if self.remove:
            masking.uninstall(self.model)
