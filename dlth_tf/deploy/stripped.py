"""Readies a network for export: without pruning wrappers, without a state, and without negative zeros."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import tf_keras

from dlth_tf.errors import BadInput
from dlth_tf.masking import leaf_layers, named_weights, without_masks
from dlth_tf.masking.keras2.layer import MaskedLayer
from dlth_tf.masking.keras2.tfmot import PruneLowMagnitude
from dlth_tf.masking.structure.layer_paths import all_sublayers

log = logging.getLogger("dlth_tf")


def check_stateless(model: tf_keras.Model) -> None:
    """Checks that no recurrent layer keeps its state from one call to the next: those of clients are independent.

    Raises:
      BadInput: If one does.
    """
    recurrent = (layer for layer in all_sublayers(model) if isinstance(layer, tf_keras.layers.RNN))
    refuse_states(model, [layer.name for layer in recurrent if layer.stateful])


def refuse_states(model: Any, keeping: Sequence[str]) -> None:
    """Refuses a model of which some layers, by these names, keep a state.

    Raises:
      BadInput: If there are any.
    """
    if keeping:
        reason = f"keeps a state between calls (layer {', '.join(keeping)}): build it with stateful=False to export it"
        raise BadInput("model", model.name, reason)


def warn_of_ragged_inputs(model: Any, ragged: Sequence[str]) -> None:
    """Logs a warning about inputs of a model, of these names, that take ragged tensors, if there are any."""
    if ragged:
        log.warning(
            "%s: takes ragged tensors (%s), and is served with dense ones: rows of one call need the same length, and "
            "padding counts as values",
            model.name,
            ", ".join(ragged),
        )


def without_wrappers(model: tf_keras.Model) -> tf_keras.Model:
    """Returns the network inside a wrapped model, around the same weights, and any other model itself.

    Raises:
      BadInput: If a layer has tf-mot's own wrapper, or what the ticket removes is not removed and zero.
    """
    for layer in leaf_layers(model):
        if isinstance(layer, PruneLowMagnitude) and not isinstance(layer, MaskedLayer):
            reason = f"has tf-mot's own wrapper {layer.name}: call tfmot.sparsity.keras.strip_pruning first"
            raise BadInput("model", model.name, reason)
    return without_masks(model)


def clear_signed_zeros(model: tf_keras.Model) -> None:
    """Replaces -0.0 by 0.0 in the weights, in place: an equal number, which compresses better.

    A product with a mask has a -0.0 in the place of every removed negative weight.
    """
    for variable in named_weights(model).values():
        value = variable.numpy()
        if value.dtype.kind == "f" and np.signbit(value[value == 0]).any():
            variable.assign(np.where(value == 0, 0, value))
