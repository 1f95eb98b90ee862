"""Networks, images and calls for the tests of LiteRT files."""

from __future__ import annotations

import os

import numpy as np
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf.models import build
from dlth_tf.randomness import generator
from tests.deploy.pruned import lively


def ticketed(granularity: str, sparsity: float) -> tf_keras.Model:
    """Builds LeNet-300-100 for 8x8 images, with all layers sparse except the last."""
    wrapped = dlth.wrap(lively(build("lenet_300_100", (8, 8, 1), 10, 0)))
    ticket = dlth.random_ticket(wrapped, sparsity, granularity=granularity, dense_layers="last")
    dlth.apply_ticket(wrapped, ticket, remove=True)
    return dlth.strip(wrapped)


def pictures(model: tf_keras.Model, count: int) -> np.ndarray:
    return generator(0, "pictures").integers(0, 256, (count, *model.input_shape[1:]), dtype=np.uint8)


def run(path: os.PathLike[str], images: np.ndarray, interpreter: type = tf.lite.Interpreter) -> dict[str, np.ndarray]:
    return interpreter(model_path=os.fspath(path)).get_signature_runner("serving_default")(images=images)
