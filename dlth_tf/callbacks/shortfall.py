"""Says loudly at the end of a `fit` that the sparsity asked for was not reached."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from dlth_tf import masking

CHANGED = (
    "another callback changed the masks, as EarlyStopping(restore_best_weights=True) does with those of its best "
    "epoch: leave that out, or set its start_from_epoch to the epoch of the last pruning"
)


def kept_counts(model: Any) -> dict[str, int]:
    """Returns the number of weights of each prunable tensor that the masks keep."""
    return {name: int(entry.kept().sum()) for name, entry in masking.prunable_weights(model).items()}


def sparsity_of(model: Any, names: Iterable[str], kept: Mapping[str, int]) -> float:
    """Returns the fraction removed of the tensors named, of which `kept` weights are left."""
    entries = masking.prunable_weights(model)
    names = list(names)
    size = sum(entries[name].kept().size for name in names)
    return 1 - sum(kept[name] for name in names) / size if size else 0.0


def warn_if_short(callback: Any, wanted: Mapping[str, int], cause: str = CHANGED) -> None:
    """Logs a warning if a tensor has more weights left than were asked for.

    Args:
      callback: The callback; its name begins the sentence.
      wanted: Tensor name -> largest number of weights that may be left.
      cause: What was observed, and a remedy; by default that the masks were changed after the last pruning.
    """
    kept = kept_counts(callback.model)
    if all(kept[name] <= count for name, count in wanted.items()):
        return
    asked = sparsity_of(callback.model, wanted, wanted)
    reached = sparsity_of(callback.model, wanted, kept)
    logging.getLogger("dlth_tf").warning(
        "%s: asked for a sparsity of %.4g, reached %.4g: %s", type(callback).__name__, asked, reached, cause
    )
