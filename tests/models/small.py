"""A small form of every network, for tests that need no more: its image shape and arguments."""

from __future__ import annotations

import functools
from typing import Any

import tf_keras

from dlth_tf import models
from dlth_tf.models import FAMILIES

_SMALL: dict[str, tuple[tuple[int, int, int], dict[str, Any]]] = {
    "lenet": ((8, 8, 1), {}),
    "mlp": ((8, 8, 1), {}),
    "cifar_resnet": ((8, 8, 3), {"width": 0.25}),
    "resnet": ((8, 8, 3), {"width": 0.125, "stem": "cifar"}),
    "wide_resnet": ((8, 8, 3), {"width": 0.25}),
    "vgg": ((17, 17, 3), {"width": 0.125}),
    "mobilenet": ((8, 8, 3), {"width": 0.25, "stem": "cifar"}),
}
SMALL = {name: _SMALL[family] for family, names in FAMILIES.items() for name in names}
ONE_OF_EACH = (
    "lenet5",
    "mlp_7_linear",
    "mlp_7_relu",
    "resnet8",
    "resnet18",
    "wrn_16_2",
    "vgg11",
    "mobilenet_v1",
    "mobilenet_v2",
)


@functools.cache
def unchanged(name: str) -> tf_keras.Model:
    """Returns the small form with seed 0, built once, for tests that do not modify it."""
    return small(name)


def small(name: str, seed: int = 0, classes: int = 7, **arguments: Any) -> tf_keras.Model:
    """Builds the small form; `arguments` override its own."""
    shape, defaults = SMALL[name]
    return models.build(name, shape, classes, seed, {**defaults, **arguments})
