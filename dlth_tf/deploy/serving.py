"""The signature that every form serves: raw images in; logits, probabilities, class and label out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf.data.normalize import Normalization
from dlth_tf.masking import named_weights
from dlth_tf.masking.keras2.graph import input_shape

SIGNATURE = "serving_default"
BATCH = 256  # images per call when the reference logits are computed


@dataclass(frozen=True)
class Serving:
    """The preprocessing and the outputs around a served network.

    Args:
      normalization: Normalization applied to raw uint8 images; None serves the model's own inputs.
      label_names: One name per class, in the order of the logits, for the output `label`; None omits that output.
    """

    normalization: Normalization | None = None
    label_names: tuple[str, ...] | None = None

    def images(self, model: tf_keras.Model) -> tf.TensorSpec:
        """Returns the shape and dtype of the images that a client sends; the batch size is free."""
        shape = input_shape(model)
        dtype = _dtype(model) if self.normalization is None else tf.uint8
        return tf.TensorSpec((None, *shape[1:]), dtype, name="images")

    def logits(self, model: tf_keras.Model, images: tf.Tensor) -> tf.Tensor:
        """Computes float32 logits [B, classes] from images as a client sends them."""
        inputs = images if self.normalization is None else self.normalization(images, dtype=_dtype(model))
        return tf.cast(model(inputs, training=False), tf.float32)

    def outputs(self, model: tf_keras.Model, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Computes all outputs of the signature, by name."""
        logits = self.logits(model, images)
        outputs = {"logits": logits, "probabilities": tf.nn.softmax(logits), "class": tf.argmax(logits, -1)}
        if self.label_names is None:
            return outputs
        return {**outputs, "label": tf.gather(tf.constant(self.label_names), outputs["class"])}


class Served(tf.Module):
    """The object that is saved: the network's variables and one signature, without any Keras object.

    Args:
      model: Stripped Keras model that returns logits.
      serving: Preprocessing and outputs around the network.
    """

    def __init__(self, model: tf_keras.Model, serving: Serving) -> None:
        super().__init__()
        self.network_variables = list(named_weights(model).values())
        spec = serving.images(model)
        self.serve = tf.function(lambda images: serving.outputs(model, images), input_signature=[spec])


def expected_logits(model: tf_keras.Model, serving: Serving, images: np.ndarray) -> np.ndarray:
    """Computes the Keras model's own float32 logits [N, classes].

    They are computed on the CPU, because GPUs round some products to fewer bits.
    """
    with tf.device("/CPU:0"):
        compute = tf.function(lambda batch: serving.logits(model, batch)).get_concrete_function(serving.images(model))
        return np.concatenate([compute(tf.constant(batch)).numpy() for batch in batches(images)])


def batches(images: np.ndarray) -> Sequence[np.ndarray]:
    """Splits images into batches of at most BATCH."""
    return [images[start : start + BATCH] for start in range(0, len(images), BATCH)]


def _dtype(model: tf_keras.Model) -> tf.DType:
    return tf.as_dtype(model.inputs[0].dtype if model.inputs else tf.float32)
