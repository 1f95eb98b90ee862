"""EarlyBird: draws a ticket early in training, once successive masks hardly differ."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tf_keras

from dlth_tf import masking, scores
from dlth_tf.callbacks.mask_updating import positive
from dlth_tf.core import Ticket, has_settled
from dlth_tf.core.settled_masks import WINDOW
from dlth_tf.errors import BadInput
from dlth_tf.masking.changing import SignPenalty

SCALE_PENALTY = 1e-4  # of the published code: L1 on batch norm's gamma while the ticket is searched


class EarlyBird(tf_keras.callbacks.Callback):
    """Draws an early-bird ticket inside one `fit` (You et al., Drawing Early-Bird Tickets, ICLR 2020, arXiv:1909.11957).

    At the start of every epoch the masks that would be drawn are compared with those of the epochs before. Once the newest
    is at most `threshold` away from each of the `window` - 1 before it, or at `last_epoch`, the ticket is drawn, what it
    does not keep is removed, and training goes on from there.

    - With granularity "filter" a filter's score is |gamma| of the batch norm that follows its convolution, and gammas get an
      L1 penalty until the ticket is drawn: the published form (there with one threshold for all layers: allocation "global").
      Where a layer has no batch norm after it, the mean |w| of its filters counts instead, and a log line says so.
    - With any other granularity |w| counts: our own form, made to be compared with RST.

    Args:
      sparsity: fraction removed, at least 0 and below 1.
      last_epoch: number (from 1) of the epoch before which the ticket is drawn at the latest; None: when half of the
        epochs are over.
      window: how many masks are compared, at least 2.
      threshold: largest distance, the fraction of places that differ.
      scale_penalty: of gammas, at least 0.
      allocation: as in `dlth_tf.random_ticket`.
      granularity: as in `dlth_tf.random_ticket`.
      dense_layers: as in `dlth_tf.random_ticket`.
      remove: called instead of `dlth_tf.masking.remove` when the ticket has been chosen.

    Raises:
      BadInput: at construction for a value out of range; at the start of `fit` for what does not fit the model.
    """

    def __init__(
        self,
        sparsity: float,
        *,
        last_epoch: int | None = None,
        window: int = WINDOW,
        threshold: float = 0.1,
        scale_penalty: float = SCALE_PENALTY,
        allocation: str = "uniform",
        granularity: str = "weight",
        dense_layers: str | Sequence[str] = "auto",
        remove: Callable[[tf_keras.Model], None] = masking.remove,
    ) -> None:
        super().__init__()
        if type(window) is not int or window < 2:
            raise BadInput("window", window, "must be a whole number of masks, at least 2")
        if not 0 <= threshold <= 1:
            raise BadInput("threshold", threshold, "must be between 0 and 1")
        if not 0 <= scale_penalty < float("inf"):
            raise BadInput("scale_penalty", scale_penalty, "must be a finite number, at least 0")
        self.sparsity, self.window, self.threshold, self.scale_penalty = sparsity, window, threshold, scale_penalty
        self.last_epoch = last_epoch if last_epoch is None else positive("last_epoch", last_epoch)
        self.options: dict[str, Any] = {
            "allocation": allocation,
            "granularity": granularity,
            "dense_layers": dense_layers,
        }
        self.remove = remove
        self.ticket: Ticket | None = None
        self.drawn_at: int | None = None  # number of the first epoch that trained the ticket
        self._masks: deque[Mapping[str, np.ndarray]] = deque(maxlen=window)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Finds the batch norms whose gammas count, and installs their penalty."""
        entries = masking.prunable_of_ticket(self.model, self.options["dense_layers"], self.options["granularity"])
        by_filter = self.options["granularity"] == "filter"
        self._gammas = {name: masking.batch_norm_gamma(entry) for name, entry in entries.items()} if by_filter else {}
        without = [name for name in entries if by_filter and self._gammas[name] is None]
        if without:
            logging.getLogger("dlth_tf").info(
                "early_bird: no batch norm follows %s, so weight magnitude counts there", ", ".join(without)
            )
        self.ticket = self.drawn_at = None
        self._compared: int | None = None
        self._masks.clear()
        self._draw()  # refuses what does not fit these tensors
        self._last = self.last_epoch or self.params["epochs"] // 2 + 1
        if self._last > self.params["epochs"]:
            raise BadInput("last_epoch", self._last, f"must be at most {self.params['epochs']}, the number of epochs")
        self._install()

    def _install(self) -> None:
        """The hook with the gammas' penalty while the ticket is searched, and with the mask from then on."""
        gammas = (
            {id(gamma): gamma for gamma in self._gammas.values() if gamma is not None} if self.ticket is None else {}
        )
        changes = [SignPenalty(gamma, self.scale_penalty) for gamma in gammas.values() if self.scale_penalty]
        masking.install(self.model, changes=changes)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Compares masks, and draws the ticket when they have settled."""
        if self.ticket is not None or epoch == self._compared:  # again, where an interrupted epoch goes on
            return
        self._compared = epoch
        ticket = self._draw()
        self._masks.append(ticket)
        if has_settled(list(self._masks), self.threshold, self.window) or epoch + 1 >= self._last:
            self.ticket, self.drawn_at = ticket, epoch + 1
            masking.choose(self.model, ticket)
            self.remove(self.model)
            self._install()

    def _draw(self) -> Ticket:
        pick = "early_bird" if any(gamma is not None for gamma in self._gammas.values()) else "magnitude_min"
        return masking.score_ticket(self.model, self.sparsity, self._score, pick, **self.options)

    def _score(self, entries: Mapping[str, masking.PrunableWeight]) -> dict[str, np.ndarray]:
        found = scores.magnitude({name: entry.weight.numpy() for name, entry in entries.items()})
        for name, gamma in self._gammas.items():
            if gamma is not None:
                found[name] = np.broadcast_to(np.abs(gamma.numpy()), found[name].shape)
        return found

    def saved_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The masks that are compared, and when the ticket was drawn (which is in the model then)."""
        arrays = {
            f"{place}/{name}": np.packbits(mask)
            for place, masks in enumerate(self._masks)
            for name, mask in masks.items()
        }
        return {"drawn_at": self.drawn_at, "masks": len(self._masks), "compared": self._compared}, arrays

    def restore_state(self, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Goes on as it was when `saved_state` was called."""
        self._compared = meta["compared"]
        shapes = {name: mask.shape for name, mask in self._draw().items()}
        self._masks.clear()
        for place in range(meta["masks"]):
            bits = {
                name: np.unpackbits(arrays[f"{place}/{name}"], count=math.prod(shape)) for name, shape in shapes.items()
            }
            self._masks.append({name: bits[name].astype(bool).reshape(shape) for name, shape in shapes.items()})
        if meta["drawn_at"] is not None:
            self.ticket, self.drawn_at = masking.chosen_ticket(self.model), meta["drawn_at"]
            self._install()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Takes the hook off and checks that every removed weight is zero."""
        masking.uninstall(self.model)
        masking.check_removed(self.model)
