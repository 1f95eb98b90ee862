"""Checks of the network to export: without pruning wrappers, and without a state."""

from __future__ import annotations

import tf_keras

from dlth_tf.errors import BadInput
from dlth_tf.masking import leaf_layers
from dlth_tf.masking.keras2.tfmot import PruneLowMagnitude
from dlth_tf.masking.layer_paths import all_sublayers


def check_stateless(model: tf_keras.Model) -> None:
    """Checks that no recurrent layer keeps its state from one call to the next: those of clients are independent.

    Raises:
      BadInput: If one does.
    """
    recurrent = (layer for layer in all_sublayers(model) if isinstance(layer, tf_keras.layers.RNN))
    keeping = [layer.name for layer in recurrent if layer.stateful]
    if keeping:
        reason = f"keeps a state between calls (layer {', '.join(keeping)}): build it with stateful=False to export it"
        raise BadInput("model", model.name, reason)


def check_stripped(model: tf_keras.Model) -> None:
    """Checks that no layer is wrapped, neither by this package nor by tf-mot itself.

    Raises:
      BadInput: If a layer is wrapped.
    """
    for layer in leaf_layers(model):
        if isinstance(layer, PruneLowMagnitude):
            reason = f"is wrapped (layer {layer.name}): call model = dlth_tf.strip(model) first"
            raise BadInput("model", model.name, reason)
