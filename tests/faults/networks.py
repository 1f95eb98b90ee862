"""Custom networks by dotted path: one that draws random numbers in training, one with batch norm; and a data set."""

from __future__ import annotations

import dlth_tf  # isort: skip  (before tensorflow)  # noqa: F401
import tf_keras

from dlth_tf.data import DataSet, load

layers = tf_keras.layers


class Noisy(layers.Layer):
    """A layer that owns two layers with random numbers."""

    def __init__(self, **arguments) -> None:
        super().__init__(**arguments)
        self.noise, self.drop = layers.GaussianNoise(0.1), layers.Dropout(0.2)

    def call(self, inputs, training=None):
        return self.drop(self.noise(inputs, training=training), training=training)


def dropout(image_shape: tuple[int, ...], classes: int) -> tf_keras.Model:
    """Dropout, also inside a layer."""
    return tf_keras.Sequential(
        [
            layers.Flatten(input_shape=image_shape),
            layers.Dense(20, activation="relu", name="one"),
            layers.Dropout(0.3),
            layers.Dense(12, activation="relu", name="two"),
            Noisy(),
            layers.Dense(classes, name="three"),
        ]
    )


def normalised(image_shape: tuple[int, ...], classes: int) -> tf_keras.Model:
    """Batch norm, whose running statistics are not trainable."""
    return tf_keras.Sequential(
        [
            layers.Flatten(input_shape=image_shape),
            layers.Dense(20, name="one"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(),
            layers.Dense(classes, name="two"),
        ]
    )


def data(data_dir: str | None) -> DataSet:
    """The digits, as a custom data set."""
    return load("digits", data_dir)
