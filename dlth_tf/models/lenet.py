"""The two LeNets of the lottery-ticket papers, for images of any size (LeCun et al., Proc. IEEE 1998)."""

from __future__ import annotations

import tf_keras

from dlth_tf.models.parts import image_input, scaled

layers = tf_keras.layers


def lenet_300_100(image_shape: tuple[int, ...], classes: int, width: float = 1.0) -> tf_keras.Model:
    """Builds LeNet-300-100: two hidden layers of 300 and 100 ReLU units.

    Its weights are Glorot normal, as in Frankle and Carbin, ICLR 2019.

    Args:
      image_shape: Shape of an input, of any rank.
      classes: Number of logits.
      width: Factor of both hidden sizes, above 0.

    Raises:
      BadInput: If `width` is invalid.
    """
    x = inputs = tf_keras.Input(image_shape, name="image")
    x = layers.Flatten(name="flatten")(x)
    for name, units in (("fc1", 300), ("fc2", 100)):
        x = layers.Dense(scaled(units, width), activation="relu", kernel_initializer="glorot_normal", name=name)(x)
    logits = layers.Dense(classes, kernel_initializer="glorot_normal", name="fc3")(x)
    return tf_keras.Model(inputs, logits, name="lenet_300_100")


def lenet5(image_shape: tuple[int, int, int], classes: int, width: float = 1.0) -> tf_keras.Model:
    """Builds LeNet-5 with ReLU and max pooling: 61,706 parameters for 28x28x1 images and 10 classes.

    The second convolution has no padding, as published, wherever the image is large enough (14 pixels and more).

    Args:
      image_shape: Height, width and channels, at least 4x4.
      classes: Number of logits.
      width: Factor of the numbers of channels and of the hidden sizes, above 0.

    Raises:
      BadInput: If the images are too small, or `width` is invalid.
    """
    init = {"kernel_initializer": "glorot_normal"}
    x = inputs = image_input("lenet5", image_shape, least=4)
    x = layers.Conv2D(scaled(6, width), 5, padding="same", activation="relu", name="conv1", **init)(x)
    x = layers.MaxPooling2D(name="pool1")(x)
    padding = "valid" if min(image_shape[:2]) >= 14 else "same"
    x = layers.Conv2D(scaled(16, width), 5, padding=padding, activation="relu", name="conv2", **init)(x)
    x = layers.MaxPooling2D(name="pool2")(x)
    x = layers.Flatten(name="flatten")(x)
    for name, units in (("fc1", 120), ("fc2", 84)):
        x = layers.Dense(scaled(units, width), activation="relu", name=name, **init)(x)
    return tf_keras.Model(inputs, layers.Dense(classes, name="fc3", **init)(x), name="lenet5")
