"""Keras twins of the official PyTorch networks, and the layouts of their weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

# Ends of the variables' names in Keras -> in PyTorch.
ENDS = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


class TorchBatchNormalization(tf_keras.layers.BatchNormalization):
    """Updates running statistics as PyTorch does in float64, where Keras' own are biased and round the decay."""

    def call(self, inputs, training=None, **kwargs):
        self._count = tf.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), inputs.dtype)
        return super().call(inputs, training=training, **kwargs)

    def _assign_moving_average(self, variable, value, momentum, inputs_size):
        if self.compute_dtype != "float64":
            return super()._assign_moving_average(variable, value, momentum, inputs_size)
        if variable is self.moving_variance:
            value = value * self._count / (self._count - 1)
        return variable.assign_sub((variable - value) * tf.constant(1 - momentum, variable.dtype))


def build_network(net: dict[str, Any], padding: str) -> tf_keras.Model:
    """Builds the network of a trace.

    Args:
      net: Its description in the trace: {"type": "mlp", "sizes": [...]} or {"type": ..., "channels": [...]}.
      padding: "torch", or "same", which pads strided convolutions differently.
    """
    return _mlp(net["sizes"]) if net["type"] == "mlp" else _conv(*net["channels"], padding=padding)


def _mlp(sizes: list[int]) -> tf_keras.Model:
    x = inputs = tf_keras.Input((sizes[0],))
    for number, size in enumerate(sizes[1:], 1):
        x = tf_keras.layers.Dense(size, name=f"fc{number}")(x)
        x = x if number == len(sizes) - 1 else tf_keras.layers.ReLU()(x)
    return tf_keras.Model(inputs, x)


def _conv(first: int, second: int, padding: str) -> tf_keras.Model:
    layers = tf_keras.layers
    norm = {"momentum": 0.9, "epsilon": 1e-5}
    x = inputs = tf_keras.Input((8, 8, 1))
    x = layers.Conv2D(first, 3, padding="same", use_bias=False, name="conv1")(x)
    x = layers.ReLU()(TorchBatchNormalization(name="bn1", **norm)(x))
    if padding == "torch":
        x = layers.Conv2D(second, 3, strides=2, use_bias=False, name="conv2")(layers.ZeroPadding2D(1)(x))
    else:
        x = layers.Conv2D(second, 3, strides=2, padding="same", use_bias=False, name="conv2")(x)
    x = layers.ReLU()(TorchBatchNormalization(name="bn2", **norm)(x))
    return tf_keras.Model(inputs, layers.Dense(10, name="fc")(layers.GlobalAveragePooling2D()(x)))


def torch_variables(network: tf_keras.Model) -> dict[str, tf.Variable]:
    """Returns the variables of a network by their names in PyTorch."""
    return {f"{v.name.split('/')[0]}.{ENDS[v.name.split('/')[-1][:-2]]}": v for v in network.weights}


def to_keras(value: np.ndarray) -> np.ndarray:
    """Converts a kernel from PyTorch's layout (OIHW, or out x in) to that of Keras (HWIO, in x out)."""
    return value.transpose(2, 3, 1, 0) if value.ndim == 4 else value.T


def to_torch(value: np.ndarray) -> np.ndarray:
    """Converts a kernel from the layout of Keras to PyTorch's."""
    return value.transpose(3, 2, 0, 1) if value.ndim == 4 else value.T
