"""The plain form: an ordinary SavedModel with zeros inside."""

from __future__ import annotations

import os
from pathlib import Path

import tensorflow as tf
import tf_keras

from dlth_tf.deploy.savedmodel.image_bytes import signatures
from dlth_tf.deploy.savedmodel.leaky_relu import rewrite_leaky_relus
from dlth_tf.deploy.serving import Served, Serving


def save_plain(model: tf_keras.Model, path: Path, serving: Serving) -> None:
    """Writes the SavedModel.

    Args:
      model: Stripped Keras model that returns logits.
      path: Folder to write to.
      serving: Preprocessing and outputs around the network.
    """
    served = Served(model, serving)
    images = next(iter(served.specs.values()))
    functions = signatures(served.serve.get_concrete_function(), serving, images)
    tf.saved_model.save(served, os.fspath(path), signatures=functions)
    rewrite_leaky_relus(path)
