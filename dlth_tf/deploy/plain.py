"""The plain form: an ordinary SavedModel with zeros inside."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import tensorflow as tf

from dlth_tf.core import Ticket
from dlth_tf.data import Normalization
from dlth_tf.masking import named_weights
from dlth_tf.randomness import generator

TOLERANCE = 1e-6  # of logits, relative to the largest of them if that is above 1


class Served(tf.Module):
    """What is saved: the network's variables and one signature, nothing of Keras.

    Args:
      model: gives logits.
      normalization: applied to raw uint8 images first; None: the model's own inputs are served.
    """

    def __init__(self, model: tf.keras.Model, normalization: Normalization | None) -> None:
        super().__init__()
        self.network_variables = list(named_weights(model).values())
        shape = model.input_shape if model.inputs else model._build_input_shape
        dtype = tf.as_dtype(model.inputs[0].dtype if model.inputs else tf.float32)
        spec = tf.TensorSpec((None, *shape[1:]), dtype if normalization is None else tf.uint8, name="images")

        def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
            inputs = images if normalization is None else normalization(images, dtype=dtype)
            logits = tf.cast(model(inputs, training=False), tf.float32)
            return {"logits": logits, "probabilities": tf.nn.softmax(logits), "class": tf.argmax(logits, -1)}

        self.serve = tf.function(serve, input_signature=[spec])


def save_plain(model: tf.keras.Model, path: Path, normalization: Normalization | None) -> None:
    """Writes the SavedModel."""
    served = Served(model, normalization)
    tf.saved_model.save(served, os.fspath(path), signatures={"serving_default": served.serve.get_concrete_function()})


def verify_plain(model: tf.keras.Model, path: Path, normalization: Normalization | None, ticket: Ticket | None) -> float:
    """Loads the SavedModel again and compares it with the model and the ticket.

    Returns:
      The largest absolute difference of the logits over 16 images.

    Raises:
      RuntimeError: it differs from the model, or a weight that the ticket removes is not zero.
    """
    loaded = tf.saved_model.load(os.fspath(path))
    names = list(named_weights(model))
    saved = dict(zip(names, (variable.numpy() for variable in loaded.network_variables), strict=True))
    for name, mask in (ticket or {}).items():
        if name not in saved or saved[name].shape != mask.shape:
            raise RuntimeError(f"the export has no weight {name} of the ticket's shape")
        if np.any(saved[name][~mask]):
            raise RuntimeError(f"the export has weights in {name} that the ticket removes and that are not zero")
    signature = loaded.signatures["serving_default"]
    images = _probe(signature.structured_input_signature[1]["images"])
    found = signature(images=images)["logits"].numpy()
    inputs = images if normalization is None else normalization(images, dtype=model.inputs[0].dtype if model.inputs else tf.float32)
    expected = tf.cast(model(inputs, training=False), tf.float32).numpy()
    difference = float(np.max(np.abs(found - expected)))
    if not difference <= TOLERANCE * max(1.0, float(np.max(np.abs(expected)))):
        raise RuntimeError(f"the export's logits differ from the model's by {difference:g}")
    return difference


def _probe(spec: tf.TensorSpec) -> tf.Tensor:
    random = generator(0, "export probe")
    shape = (16, *(1 if size is None else size for size in spec.shape[1:]))
    return tf.constant(random.integers(0, 256, shape) if spec.dtype.is_integer else random.random(shape), spec.dtype)
