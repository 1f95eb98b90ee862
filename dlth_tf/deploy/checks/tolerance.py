"""The distance from the Keras model's outputs that a form is allowed: by precision, and by functions with jumps."""

from __future__ import annotations

import tensorflow as tf
import tf_keras

from dlth_tf.masking import leaf_layers

# Rounding errors of one operation: 2^-11 in float16 and 2^-8 in bfloat16; folding and another order of operations move
# results by a few of them.
HALF = {"float16": 2e-2, "bfloat16": 1e-1}
JUMPS = (tf_keras.layers.ThresholdedReLU, tf_keras.layers.Discretization, tf_keras.layers.Hashing)
AT_A_JUMP = 1e-1  # a value that rounding moves over a jump changes by the height of the jump


def allowed(model: tf_keras.Model, tolerance: float, rounded: bool = False) -> float:
    """Returns the largest allowed difference of an output, relative to the largest output or 1.

    Args:
      model: The Keras model whose outputs are compared.
      tolerance: That of a form in float32.
      rounded: Whether the form rounds weights, so that values near a jump of a function fall on its other side.
    """
    layers = list(leaf_layers(model))
    precisions = {tf.as_dtype(layer.compute_dtype or "float32").name for layer in layers}
    tolerance = max([tolerance, *(HALF[name] for name in precisions & HALF.keys())])
    jumps = any(isinstance(layer, JUMPS) or getattr(layer, "threshold", 0) for layer in layers)
    return max(tolerance, AT_A_JUMP) if jumps and rounded else tolerance
