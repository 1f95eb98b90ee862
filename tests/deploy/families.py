"""One small network of each family, with a ticket of any granularity and weights as after training."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tf_keras

import dlth_tf
from dlth_tf import models
from dlth_tf.core import Ticket
from dlth_tf.masking import apply_ticket, named_weights, random_ticket

# Name -> (height and width of the images, channels, arguments of the builder).
SMALL = {
    "lenet_300_100": (8, 1, {"width": 0.2}),
    "lenet5": (12, 1, {"width": 2}),
    "resnet8": (8, 3, {"width": 0.5}),
    "mobilenet_v1": (17, 3, {"width": 0.125}),
    "vgg11": (17, 3, {"width": 1 / 16}),
}
OTHERS = {
    "mlp_7_relu": (8, 1, {"width": 0.1}),
    "resnet18": (17, 3, {"width": 1 / 16, "stem": "cifar"}),
    "resnet20": (8, 3, {"width": 0.5}),
    "wrn_16_2": (8, 3, {"width": 0.25}),
    "mobilenet_v2": (17, 3, {"width": 0.15}),
}
GRANULARITIES = ("weight", "filter", "block:4x1")


def sparse_network(name: str, granularity: str = "weight", sparsity: float = 0.5) -> tuple[tf_keras.Model, Ticket]:
    """Builds a stripped network with three classes, random vectors and gammas of both signs, and its random ticket."""
    side, channels, arguments = (SMALL | OTHERS)[name]
    model = dlth_tf.wrap(models.build(name, (side, side, channels), 3, 0, arguments))
    ticket = random_ticket(model, sparsity, 0, granularity=granularity)
    apply_ticket(model, ticket, remove=True)
    model = dlth_tf.strip(model)
    draw = np.random.default_rng(0)
    for key, variable in named_weights(model).items():
        if variable.shape.rank == 1 and "moving" not in key:
            variable.assign(
                draw.choice([-1.0, 1.0], variable.shape) if "gamma" in key else draw.normal(0, 0.3, variable.shape)
            )
    measure_moments(model, draw.uniform(-2, 2, (64, side, side, channels)).astype(np.float32))
    return model, ticket


def measure_moments(model: tf_keras.Model, images: np.ndarray) -> None:
    """Sets the moments of every batch norm to those of the images.

    With any others, nothing of an image would get through a deep network. Channels that hardly vary would be multiplied
    by hundreds, and two correct networks would differ in float32.
    """
    norms = [layer for layer in model.layers if isinstance(layer, tf_keras.layers.BatchNormalization)]
    for norm in norms:
        norm.momentum = 0.0
    model(images, training=True)
    for norm in norms:
        norm.moving_variance.assign_add(0.1 * tf.ones_like(norm.moving_variance))
