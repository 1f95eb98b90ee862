"""EarlyBird: draws a ticket early in training, once successive masks hardly differ."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike

from dlth_tf import masking, scores
from dlth_tf.callbacks.part_of_fit import PartOfFit
from dlth_tf.callbacks.shortfall import kept_counts, sparsity_of, warn_if_short
from dlth_tf.core import PruningSpec, Ticket, has_settled
from dlth_tf.core.settled_masks import WINDOW
from dlth_tf.errors import BadInput
from dlth_tf.masking.prunable import PrunableWeight
from dlth_tf.plain_numbers import AT_LEAST_0, FRACTION, real_number, whole_number, whole_or_none

SCALE_PENALTY = 1e-4  # of the published code: L1 on batch norm's gamma until the ticket is drawn


class EarlyBird(PartOfFit):
    """Draws an early-bird ticket in one `fit` (You et al., Drawing Early-Bird Tickets, ICLR 2020, arXiv:1909.11957).

    At the start of every epoch the masks that would be drawn are compared with those of the epochs before. Once the
    newest is at most `threshold` away from each of the `window` - 1 before it, or at `last_epoch`, the ticket is drawn,
    the weights outside it are removed, and training continues from there. Weights that are removed when `fit` begins
    stay removed.

    - With granularity "filter" the score of a filter is |gamma| of the batch norm after its convolution, and gammas get
      an L1 penalty until the ticket is drawn: the published form (which has one threshold for all layers: allocation
      "global"). Where no batch norm follows a layer, the mean |w| of its filters counts instead, and a log line says
      so.
    - With any other granularity |w| counts: a variant of this package, for comparison with RST.

    Args:
      sparsity: Fraction removed, at least 0 and below 1.
      last_epoch: Number (from 1) of the epoch before which the ticket is drawn at the latest; None: after half of the
        epochs.
      window: Number of masks that are compared, at least 2.
      threshold: Largest distance allowed, as the fraction of entries that differ.
      scale_penalty: L1 penalty of gammas, at least 0.
      allocation: Distribution of the sparsity over tensors, as in `dlth_tf.random_ticket`.
      granularity: Groups that are removed as one piece, as in `dlth_tf.random_ticket`.
      dense_layers: Layers that are kept whole, as in `dlth_tf.random_ticket`.
      remove: Called with the model, instead of `dlth_tf.masking.remove`, when the ticket has been chosen.

    Raises:
      BadInput: At construction for an invalid value; at the start of `fit` for one that does not fit the model.
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
        remove: Callable[[Any], None] = masking.remove,
    ) -> None:
        super().__init__()
        self.spec = PruningSpec.parse(sparsity, allocation, granularity, dense_layers)
        self.window = whole_number("window", window, least=2)
        self.threshold = real_number("threshold", threshold, FRACTION)
        self.scale_penalty = real_number("scale_penalty", scale_penalty, AT_LEAST_0)
        self.last_epoch = whole_or_none("last_epoch", last_epoch, least=1)
        self.remove = remove
        self.ticket: Ticket | None = None
        self.drawn_at: int | None = None  # number of the first epoch that trained the ticket
        self._masks: deque[Mapping[str, np.ndarray]] = deque(maxlen=self.window)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Finds the batch norms whose gammas are the scores, and installs their penalty."""
        entries = masking.prunable_of_ticket(self.model, self.spec)
        by_filter = self.spec.granularity.text == "filter"
        self._gammas = masking.batch_norm_gammas(self.model, entries) if by_filter else {}
        without = [name for name, gamma in self._gammas.items() if gamma is None]
        if without:
            logging.getLogger("dlth_tf").info(
                "early_bird: no batch norm follows %s, so weight magnitudes are its scores", ", ".join(without)
            )
        masking.check_fits(self.model, self.spec, masking.within_what_is_kept(self.model))
        super().on_train_begin(logs)
        self.ticket = None
        self.drawn_at = None
        self._compared: int | None = None
        self._masks.clear()
        self._plan(0)
        self._take_over()
        self._install()

    def _plan(self, first_epoch: int) -> None:
        """Finds the last epoch before which the ticket is drawn; `first_epoch` is that of this `fit`, from 0."""
        epochs = self.params["epochs"]
        self._last = self.last_epoch or first_epoch + (epochs - first_epoch) // 2 + 1
        if self._last > epochs:
            allowed = f"must be at most {epochs}, the number of epochs"
            raise BadInput("last_epoch", self._last, allowed)

    def state_values(self) -> Mapping[str, ArrayLike]:
        """Returns the first epoch, the epochs of comparison and of the ticket, and the masks that are compared."""
        shapes = {name: entry.shape for name, entry in masking.prunable_of_ticket(self.model, self.spec).items()}
        masks = {f"masks/{name}": np.zeros((self.window, *shape), bool) for name, shape in shapes.items()}
        return {**{name: np.int64(-1) for name in ("first_epoch", "compared", "drawn_at", "count")}, **masks}

    def on_first_epoch(self, epoch: int) -> None:
        """Plans anew if training starts at another epoch; takes over the masks of an interrupted `fit`."""
        state = cast(masking.FitState, self.state)
        if not self.restored:
            state["first_epoch"] = epoch
        self._plan(int(state["first_epoch"]))
        if self.restored:
            self._take_over()
            self._install()

    def _take_over(self) -> None:
        state = cast(masking.FitState, self.state)
        if not self.restored:
            return
        names = masking.prunable_of_ticket(self.model, self.spec)
        kept = {name: state[f"masks/{name}"] for name in names}
        self._masks.clear()
        self._masks.extend({name: kept[name][place] for name in names} for place in range(max(0, int(state["count"]))))
        self._compared = int(state["compared"]) if state["compared"] >= 0 else None
        self._set_drawn(int(state["drawn_at"]) if state["drawn_at"] >= 0 else None)

    def _set_drawn(self, epoch: int | None) -> None:
        self.drawn_at = epoch
        self.ticket = None if epoch is None else masking.chosen_ticket(self.model)

    def _store(self) -> None:
        """Writes the progress into the state of the `fit`."""
        state = cast(masking.FitState, self.state)
        state["compared"] = -1 if self._compared is None else self._compared
        state["drawn_at"] = -1 if self.drawn_at is None else self.drawn_at
        state["count"] = len(self._masks)
        for name in self._masks[0] if self._masks else ():
            past = np.stack([mask[name] for mask in self._masks])
            state[f"masks/{name}"] = np.concatenate([past, np.zeros((self.window - len(past), *past.shape[1:]), bool)])

    def _install(self) -> None:
        """Installs the hook: with the gammas' penalty until the ticket is drawn, with the mask from then on."""
        gammas = {id(gamma): gamma for gamma in self._gammas.values() if gamma is not None}
        searching = self.ticket is None and self.scale_penalty
        sign_penalty = masking.mask_updates(self.model).SignPenalty
        updates = [sign_penalty(gamma, self.scale_penalty) for gamma in gammas.values()] if searching else []
        self.install(updates=updates)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Compares masks, and draws the ticket when they have settled."""
        super().on_epoch_begin(epoch, logs)
        if self.ticket is not None or epoch == self._compared:  # compared already, where an interrupted epoch resumes
            return
        self._compared = epoch
        ticket = self._draw()
        self._masks.append(ticket)
        if has_settled(list(self._masks), self.threshold, self.window) or epoch + 1 >= self._last:
            self.ticket = ticket
            self.drawn_at = epoch + 1
            masking.choose(self.model, ticket)
            self.remove(self.model)
            self._install()
        self._store()

    def _draw(self) -> Ticket:
        pick = "early_bird" if any(gamma is not None for gamma in self._gammas.values()) else "magnitude_min"
        return masking.draw_ticket(self.model, self.spec, self._score, pick, masking.within_what_is_kept(self.model))

    def _score(self, entries: Mapping[str, PrunableWeight]) -> dict[str, np.ndarray]:
        magnitudes = scores.magnitude({name: entry.weight.numpy() for name, entry in entries.items()})
        for name, gamma in self._gammas.items():
            if gamma is not None:
                magnitudes[name] = np.broadcast_to(np.abs(gamma.numpy()), magnitudes[name].shape)
        return magnitudes

    def saved_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Returns the masks that are compared, and when the ticket was drawn (which is in the model then)."""
        arrays = {
            f"{place}/{name}": np.packbits(mask)
            for place, masks in enumerate(self._masks)
            for name, mask in masks.items()
        }
        return {"drawn_at": self.drawn_at, "masks": len(self._masks), "compared": self._compared}, arrays

    def restore_state(self, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Restores what `saved_state` returned."""
        self._compared = meta["compared"]
        shapes = {name: entry.shape for name, entry in masking.prunable_of_ticket(self.model, self.spec).items()}
        self._masks.clear()
        for place in range(meta["masks"]):
            bits = {
                name: np.unpackbits(arrays[f"{place}/{name}"], count=math.prod(shape)) for name, shape in shapes.items()
            }
            self._masks.append({name: bits[name].astype(bool).reshape(shape) for name, shape in shapes.items()})
        self._set_drawn(meta["drawn_at"])
        if self.ticket is not None:
            self._install()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Removes the hook."""
        masking.uninstall(self.model)
        super().on_train_end(logs)

    def on_fit_end(self) -> None:
        """Checks that every removed weight is zero, and that as many are removed as were asked for."""
        masking.accept_restored(self.model)
        masking.check_removed(self.model)
        if self.ticket is None:
            logging.getLogger("dlth_tf").warning(
                "EarlyBird: asked for a sparsity of %.4g, reached %.4g: training ended before the ticket was drawn, "
                "at the latest before epoch %d: train on, or pass an earlier last_epoch",
                float(self.spec.sparsity),
                sparsity_of(self.model, masking.prunable_of_ticket(self.model, self.spec), kept_counts(self.model)),
                self._last,
            )
        else:
            wanted = {name: int(mask.sum()) for name, mask in self.ticket.items()}
            warn_if_short(self, wanted)
