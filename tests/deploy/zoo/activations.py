"""Networks with each activation of Keras, as a function, as a layer, and as an operation of TensorFlow."""

from __future__ import annotations

import functools
from typing import Any

import tensorflow as tf
import tf_keras

from tests.deploy.zoo.network import L, Network, image

FUNCTIONS = [
    "elu",
    "exponential",
    "gelu",
    "hard_sigmoid",
    "linear",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "softmax",
    "softplus",
    "softsign",
    "swish",
    "tanh",
]
LAYERS = {
    "elu": lambda: L.ELU(0.5),
    "leaky_relu": L.LeakyReLU,
    "prelu": L.PReLU,
    "prelu_shared_axes": lambda: L.PReLU(shared_axes=[1, 2]),
    "relu_of_everything": lambda: L.ReLU(max_value=2.0, negative_slope=0.1, threshold=0.2),
    "softmax_axis_1": lambda: L.Softmax(axis=1),
    "thresholded_relu": lambda: L.ThresholdedReLU(0.5),
}


def _function(name: str) -> Network:
    return Network(image(lambda: L.BatchNormalization(), lambda: L.Conv2D(6, 3, activation=name)))


def _hard_swish() -> tf_keras.Model:
    start = L.Input((8, 8, 3))
    out = L.Conv2D(6, 3)(start)
    out = out * tf.nn.relu6(out + 3) / 6
    return tf_keras.Model(start, L.Dense(3)(L.GlobalAveragePooling2D()(out)))


def _operation(function: Any) -> Network:
    def build() -> tf_keras.Model:
        start = L.Input((8, 8, 3))
        out = function(L.Conv2D(6, 3)(start))
        return tf_keras.Model(start, L.Dense(3)(L.GlobalAveragePooling2D()(out)))

    return Network(build)


NETWORKS = {
    **{f"activation {name}": _function(name) for name in FUNCTIONS},
    **{f"layer {name}": Network(image(make)) for name, make in LAYERS.items()},
    "gelu by tanh": _operation(functools.partial(tf.nn.gelu, approximate=True)),
    "hard_swish by operations": Network(_hard_swish),
    "crelu by operation": _operation(tf.nn.crelu),
    "silu by operation": _operation(tf.nn.silu),
}
