"""A small sparse network and the report of its export."""

from __future__ import annotations

import numpy as np
import pytest
import tf_keras

from dlth_tf.core import Ticket
from dlth_tf.deploy.export import export_source
from dlth_tf.deploy.source import Source
from dlth_tf.export_options import ExportOptions

layers = tf_keras.layers
MASK = np.random.default_rng(0).random((3, 3, 8, 64)) < 0.25


@pytest.fixture(scope="module")
def model() -> tf_keras.Model:
    images = tf_keras.Input((10, 10, 1))
    x = layers.ReLU()(layers.Conv2D(8, 3, padding="same", name="first")(images))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(64, 3, padding="same", name="body")(x))
    model = tf_keras.Model(images, layers.Dense(3, name="head")(x))
    kernel = model.get_layer("body").kernel
    kernel.assign(np.where(MASK, kernel.numpy(), 0))
    return model


@pytest.fixture
def report(model, tmp_path, checked_here) -> dict:
    source = Source(model, label_names=("a", "b", "c"), ticket=Ticket.from_masks({"body/kernel": MASK}))
    return export_source(source, tmp_path, ExportOptions(["plain", "packed"], measure_latency=False))
