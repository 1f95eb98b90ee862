"""Check that a model is stripped of pruning wrappers."""

from __future__ import annotations

import tf_keras

from dlth_tf.errors import BadInput
from dlth_tf.masking import leaf_layers
from dlth_tf.masking.keras2.tfmot import PruneLowMagnitude


def check_stripped(model: tf_keras.Model) -> None:
    """Checks that no layer is wrapped, neither by this package nor by tf-mot itself.

    Raises:
      BadInput: If a layer is wrapped.
    """
    for layer in leaf_layers(model):
        if isinstance(layer, PruneLowMagnitude):
            reason = f"is wrapped (layer {layer.name}): call model = dlth_tf.strip(model) first"
            raise BadInput("model", model.name, reason)
