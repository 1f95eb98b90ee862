"""RandomMask: chooses a ticket when training begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlth_tf import masking
from dlth_tf.callbacks.part_of_fit import PartOfFit
from dlth_tf.core import PruningSpec, Ticket
from dlth_tf.errors import BadInput
from dlth_tf.plain_numbers import whole_number


class RandomMask(PartOfFit):
    """Chooses a ticket of the wrapped model at the start of `fit`.

    With `remove=True` the weights are removed at once and kept at zero for this `fit`: training a random ticket
    directly ("scratch"). With `remove=False` they are only chosen, for an `RSTPenalty` after it in the list.

    Args:
      sparsity: Fraction removed of every pruned tensor, at least 0 and below 1.
      seed: The ticket is a pure function of it and of the tensors' names and shapes.
      remove: Whether to remove at once.
      pick: "random"; or "magnitude_min", "magnitude_max": removes the weights of smallest or largest present magnitude,
        as the official code's `pick_pruned` does.
      allocation: Distribution of the sparsity over tensors, as in `dlth_tf.random_ticket`.
      granularity: Groups that are removed as one piece, as in `dlth_tf.random_ticket`.
      dense_layers: Layers that are kept whole, as in `dlth_tf.random_ticket`.

    Raises:
      BadInput: At construction for an invalid value; at the start of `fit` for one that does not fit the model.
      RuntimeError: At the end of `fit` with `remove=True`, if a removed weight is not zero.

    Example:
      ```python
      model.fit(data, callbacks=[RandomMask(sparsity=.98, seed=0), RSTPenalty(...)])
      ```
    """

    exclusive = False

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
        if pick not in masking.PICKS:
            raise BadInput("pick", pick, f"must be one of {', '.join(masking.PICKS)}")
        self.spec = PruningSpec.parse(sparsity, allocation, granularity, dense_layers)
        self.seed = whole_number("seed", seed)
        self.remove = remove
        self.pick = pick
        self.ticket: Ticket | None = None
        self._hook: Any = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Draws the ticket and writes it into the model."""
        super().on_train_begin(logs)
        if self.restored:
            self.ticket = masking.chosen_ticket(self.model)
        else:
            self.ticket = masking.pick_ticket(self.model, self.spec, self.pick, self.seed)
            masking.apply_ticket(self.model, self.ticket, remove=self.remove)
        if self.remove:
            self._hook = self.install()

    def on_first_epoch(self, epoch: int) -> None:
        """Takes over the ticket of an interrupted `fit`.

        Raises:
          BadInput: If the model has none.
        """
        if not self.restored:
            return
        self.ticket = masking.chosen_ticket(self.model)
        if not self.ticket and masking.pick_ticket(self.model, self.spec, "random", self.seed).sparsity:
            allowed = "has no ticket after the checkpoint of an interrupted fit was read: begin anew in an empty folder"
            raise BadInput("model", self.model.name, allowed)
        if self.remove and masking.installed(self.model) is self._hook:
            self._hook = self.install()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Removes the hook from the optimizer again."""
        if self.remove:
            masking.uninstall(self.model)
        super().on_train_end(logs)

    def on_fit_end(self) -> None:
        """Checks that every removed weight is zero."""
        if self.remove:
            masking.check_removed(self.model)
