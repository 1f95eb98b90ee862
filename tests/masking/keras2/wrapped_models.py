"""Wrapped models with removed weights, and their state."""

from __future__ import annotations

import numpy as np
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking


def removed(model: tf_keras.Model, sparsity: float = 0.5) -> tf_keras.Model:
    """Wraps a model and removes a random ticket from all its prunable tensors."""
    model = dlth.wrap(model)
    dlth.apply_ticket(model, dlth.random_ticket(model, sparsity, dense_layers="none"), remove=True)
    return model


def marked(model: tf_keras.Model) -> tf_keras.Model:
    """Wraps a model and gives it masks and tickets that differ from each other and from ones."""
    model = dlth.wrap(model)
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.5, dense_layers="none"), remove=True)
    masking.choose(model, dlth.random_ticket(model, 0.75, dense_layers="none"))
    return model


def state(model: tf_keras.Model) -> dict[str, np.ndarray]:
    """Returns every prunable weight with its mask and its ticket."""
    entries = masking.prunable_weights(model).items()
    parts = ("weight", "mask", "ticket")
    return {f"{name}/{part}": getattr(entry, part).numpy() for name, entry in entries for part in parts}
