"""Networks with each activation of Keras, as a function, as a layer, and as an operation of TensorFlow."""

from __future__ import annotations

import functools
from typing import Any

import tensorflow as tf
import tf_keras

from tests.deploy.zoo.network import L, Network, image

FUNCTIONS = (
    ("elu", "exponential", "gelu"),
    ("hard_sigmoid", "linear", "mish"),
    ("relu", "relu6", "selu"),
    ("sigmoid", "softmax", "softplus"),
    ("softsign", "swish", "tanh"),
)
LAYERS = {
    "ELU and LeakyReLU": (lambda: L.ELU(0.5), L.LeakyReLU),
    "PReLU": (L.PReLU, lambda: L.PReLU(shared_axes=[1, 2])),
    "ReLU with slope and threshold": (lambda: L.ReLU(max_value=2.0, negative_slope=0.1, threshold=0.2),),
    "Softmax of axis 1": (lambda: L.Softmax(axis=1),),
    "ThresholdedReLU": (lambda: L.ThresholdedReLU(0.5),),
}


def _functions(names: tuple[str, ...]) -> Network:
    layers = [functools.partial(L.Conv2D, 6, 2, activation=name) for name in names]
    return Network(image(L.BatchNormalization, *layers))


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
    **{" and ".join(names): _functions(names) for names in FUNCTIONS},
    **{name: Network(image(*layers)) for name, layers in LAYERS.items()},
    "gelu by tanh": _operation(functools.partial(tf.nn.gelu, approximate=True)),
    "hard_swish by operations": Network(_hard_swish),
    "crelu by operation": _operation(tf.nn.crelu),
}
