"""Multilayer perceptrons for inputs of any shape: the two of the official code, and a small one for tables."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import tf_keras

from dlth_tf.errors import BadInput
from dlth_tf.models.parts import KAIMING, scaled
from dlth_tf.plain_numbers import whole_numbers

layers = tf_keras.layers


def mlp_7(activation: str, image_shape: tuple[int, ...], classes: int, width: float = 1.0) -> tf_keras.Model:
    """Builds seven dense layers: six hidden ones of 100 units and the logits, with ReLU between them or nothing.

    The number of layers and the hidden size of the official networks are known, and that one has ReLU and the other is
    linear. Our choice: biases, which start at zero, and initial weights that preserve the size of the signal from layer
    to layer (Kaiming normal with ReLU; LeCun normal, which is normal with variance 1 / fan_in, without).

    Args:
      activation: "relu" or "linear".
      image_shape: Shape of an input, of any rank.
      classes: Number of logits.
      width: Factor of the hidden size, above 0.

    Raises:
      BadInput: If `width` is invalid.
    """
    options = {"kernel_initializer": KAIMING if activation == "relu" else "lecun_normal"}
    x = inputs = tf_keras.Input(image_shape, name="image")
    x = layers.Flatten(name="flatten")(x)
    for number in range(1, 7):
        x = layers.Dense(scaled(100, width), activation=activation, name=f"fc{number}", **options)(x)
    return tf_keras.Model(inputs, layers.Dense(classes, name="fc7", **options)(x), name=f"mlp_7_{activation}")


mlp_7_linear = partial(mlp_7, "linear")
mlp_7_relu = partial(mlp_7, "relu")


def mlp(
    image_shape: tuple[int, ...], classes: int, hidden: Sequence[int] = (128, 128), width: float = 1.0
) -> tf_keras.Model:
    """Builds a small perceptron for tables: hidden layers with ReLU, and the outputs.

    Our choice of defaults; the initial weights are Kaiming normal.

    Args:
      image_shape: Shape of an input, of any rank.
      classes: Number of outputs: logits, or predictions of targets.
      hidden: Units of the hidden layers, each at least 1.
      width: Factor of the hidden sizes, above 0.

    Raises:
      BadInput: If `hidden` or `width` is invalid.
    """
    try:
        sizes = whole_numbers("hidden", hidden)
    except BadInput as refused:
        raise BadInput("model_args", {"hidden": hidden}, f"hidden {refused.allowed}") from None
    if not sizes or min(sizes) < 1:
        raise BadInput("model_args", {"hidden": list(sizes)}, "hidden must be a list of numbers of units, at least 1")
    x = inputs = tf_keras.Input(image_shape, name="image")
    x = layers.Flatten(name="flatten")(x)
    for number, units in enumerate(sizes, 1):
        x = layers.Dense(scaled(units, width), activation="relu", kernel_initializer=KAIMING, name=f"fc{number}")(x)
    outputs = layers.Dense(classes, kernel_initializer=KAIMING, name=f"fc{len(sizes) + 1}")(x)
    return tf_keras.Model(inputs, outputs, name="mlp")
