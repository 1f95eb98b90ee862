"""What every form serves: raw images in, logits, probabilities, class and label out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf.data import Normalization
from dlth_tf.masking import named_weights

SIGNATURE = "serving_default"
BATCH = 256  # images that are computed at a time when forms are compared


@dataclass(frozen=True)
class Serving:
    """How a network is served.

    Args:
      normalization: applied to raw uint8 images first; None: the model's own inputs are served.
      label_names: one per class: the output `label` then names the class; None: there is no such output.
    """

    normalization: Normalization | None = None
    label_names: tuple[str, ...] | None = None

    def images(self, model: tf_keras.Model) -> tf.TensorSpec:
        """Shape and dtype of what a client sends, any number at once."""
        shape = model.input_shape if model.inputs else model._build_input_shape
        return tf.TensorSpec(
            (None, *shape[1:]), _dtype(model) if self.normalization is None else tf.uint8, name="images"
        )

    def logits(self, model: tf_keras.Model, images: tf.Tensor) -> tf.Tensor:
        """float32 [B, classes] of images as a client sends them."""
        inputs = images if self.normalization is None else self.normalization(images, dtype=_dtype(model))
        return tf.cast(model(inputs, training=False), tf.float32)

    def outputs(self, model: tf_keras.Model, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """All outputs of the signature."""
        logits = self.logits(model, images)
        found = {"logits": logits, "probabilities": tf.nn.softmax(logits), "class": tf.argmax(logits, -1)}
        return (
            found
            if self.label_names is None
            else found | {"label": tf.gather(tf.constant(self.label_names), found["class"])}
        )


class Served(tf.Module):
    """What is saved: the network's variables and one signature, nothing of Keras.

    Args:
      model: gives logits.
      serving: what stands before and after it.
    """

    def __init__(self, model: tf_keras.Model, serving: Serving) -> None:
        super().__init__()
        self.network_variables = list(named_weights(model).values())
        spec = serving.images(model)
        self.serve = tf.function(lambda images: serving.outputs(model, images), input_signature=[spec])


def expected_logits(model: tf_keras.Model, serving: Serving, images: np.ndarray) -> np.ndarray:
    """float32 [N, classes]: what the Keras model itself gives, on the CPU: GPUs round some products to fewer bits."""
    with tf.device("/CPU:0"):
        compute = tf.function(lambda batch: serving.logits(model, batch)).get_concrete_function(serving.images(model))
        return np.concatenate([compute(tf.constant(batch)).numpy() for batch in batches(images)])


def batches(images: np.ndarray) -> Sequence[np.ndarray]:
    """The images, BATCH at a time."""
    return [images[start : start + BATCH] for start in range(0, len(images), BATCH)]


def _dtype(model: tf_keras.Model) -> tf.DType:
    return tf.as_dtype(model.inputs[0].dtype if model.inputs else tf.float32)
