"""The same network in float32: the kernels of LiteRT and onnxruntime have no mixed precision, and few float64."""

from __future__ import annotations

import tf_keras

from dlth_tf.deploy.copied_layers import cloned, fill
from dlth_tf.errors import BadInput
from dlth_tf.masking import leaf_layers
from dlth_tf.masking.keras2.graph import is_graph_network

FLOAT32 = {"float32"}


def in_float32(model: tf_keras.Model, form: str = "tflite") -> tf_keras.Model:
    """Returns a network that computes in float32 with the same weights; the network itself if it does so already.

    Args:
      model: Stripped Keras model.
      form: Name of the form, for the error message.

    Raises:
      BadInput: If it computes in another precision, and has no graph to rebuild or a layer without a configuration.
    """
    precisions = {layer.compute_dtype for layer in leaf_layers(model) if layer.weights}
    if precisions <= FLOAT32:
        return model
    refused = BadInput(
        "formats",
        form,
        f"needs a network in float32, and this one computes in {', '.join(sorted(map(str, precisions)))}",
    )
    if not is_graph_network(model):
        raise refused
    try:
        twin = cloned(model, "float32")
    except NotImplementedError:  # Keras' word for a layer without get_config
        raise refused from None
    fill(twin, model.get_weights())
    return twin
