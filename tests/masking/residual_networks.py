"""Networks of two residual blocks of every kind."""

from __future__ import annotations

import tensorflow as tf
import tf_keras

import dlth_tf as dlth

L = tf_keras.layers


def conv(x, filters: int, name: str, size: int = 3):
    return L.BatchNormalization(name=f"{name}_bn")(L.Conv2D(filters, size, padding="same", name=name)(x))


def network(block, channels: int = 4) -> tf_keras.Model:
    """Builds stem - block - block - out, wrapped."""
    inputs = L.Input((6, 6, 2))
    x = L.ReLU()(conv(inputs, channels, "stem"))
    for name in ("one", "two"):
        x = block(x, channels, name)
    return dlth.wrap(tf_keras.Model(inputs, L.Dense(3, name="out")(L.GlobalAveragePooling2D()(x))))


def basic(x, channels, name, add=lambda y, x: L.Add()([y, x]), relu=lambda x: L.ReLU()(x)):
    y = conv(relu(conv(x, channels, f"{name}_a")), channels, f"{name}_b")
    return relu(add(y, x))


def bottleneck(x, channels, name):
    y = L.Activation("relu")(conv(x, 2, f"{name}_a", 1))
    y = L.Dropout(0.1)(L.LeakyReLU()(conv(y, 2, f"{name}_b")))
    return L.ReLU()(L.Add()([conv(y, channels, f"{name}_c", 1), x]))


def preactivated(x, channels, name):
    y = L.Conv2D(channels, 3, padding="same", name=f"{name}_a")(L.ReLU()(L.BatchNormalization()(x)))
    return L.Conv2D(channels, 3, padding="same", name=f"{name}_b")(L.ReLU()(L.BatchNormalization()(y))) + x


def projected(x, channels, name):
    return L.Add()(
        [conv(L.ReLU()(conv(x, channels, f"{name}_a")), channels, f"{name}_b"), conv(x, channels, f"{name}_s", 1)]
    )


def concatenated(x, channels, name):
    return L.Concatenate()([conv(x, channels, f"{name}_a"), x])


def concatenated_by_operation(x, channels, name):
    return tf.concat([conv(x, channels, f"{name}_a"), x], -1)


def nested(x, channels, name):
    """Makes every block a separate model, whose branch is another one."""
    inputs = L.Input(x.shape[1:])
    branch = tf_keras.Sequential(
        [L.Input(x.shape[1:]), L.Conv2D(channels, 3, padding="same", name=f"{name}_a"), L.ReLU()]
    )
    y = L.Conv2D(channels, 3, padding="same", name=f"{name}_b")(branch(inputs))
    return L.ReLU()(L.Add()([tf_keras.Model(inputs, y, name=f"{name}_model")(x), x]))


def gated(x, channels, name):
    return L.Multiply()(
        [
            conv(x, channels, f"{name}_a"),
            L.Dense(channels, "sigmoid", name=f"{name}_gate")(L.GlobalAveragePooling2D()(x)),
        ]
    )
