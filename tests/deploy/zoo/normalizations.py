"""Networks with normalizations in any position, on any axis, and in any precision."""

from __future__ import annotations

from collections.abc import Callable

import tf_keras

from tests.deploy.zoo.network import L, Network, image, sequence, vector
from tests.deploy.zoo.refusals import FREE_BATCH


def in_precision(policy: str, build: Callable[[], tf_keras.Model]) -> Callable[[], tf_keras.Model]:
    """Returns the builder of the same network under a policy of precision."""

    def build_in_precision() -> tf_keras.Model:
        tf_keras.mixed_precision.set_global_policy(policy)
        try:
            return build()
        finally:
            tf_keras.mixed_precision.set_global_policy(None)

    return build_in_precision


def _first() -> tf_keras.Model:
    return tf_keras.Sequential([L.Input((8, 8, 3)), L.BatchNormalization(), L.Conv2D(4, 3), L.Flatten(), L.Dense(3)])


BLOCK = image(L.BatchNormalization, L.ReLU, lambda: L.Conv2D(6, 3), L.BatchNormalization, L.ReLU)
NETWORKS = {
    "batch norm": Network(BLOCK),
    "batch norm first": Network(_first),
    "batch norm last": Network(vector(end=(lambda: L.Dense(3), L.BatchNormalization))),
    "batch norm after relu": Network(image(L.ReLU, L.BatchNormalization, L.BatchNormalization)),
    "batch norm on axis 1": Network(image(lambda: L.BatchNormalization(axis=1))),
    "batch norm of two axes": Network(image(lambda: L.BatchNormalization(axis=[1, 3]))),
    "batch norm of vectors": Network(vector(L.ReLU, L.BatchNormalization)),
    "batch norm of sequences": Network(sequence(lambda: L.Conv1D(6, 3), L.BatchNormalization, L.ReLU)),
    "batch norm without scale": Network(image(lambda: L.BatchNormalization(scale=False, center=False))),
    "layer norm of images": Network(image(L.LayerNormalization, L.ReLU)),
    "layer norm of vectors": Network(vector(L.LayerNormalization, L.ReLU)),
    "layer norm of sequences": Network(sequence(lambda: L.Conv1D(6, 3), L.LayerNormalization)),
    "layer norm of three axes": Network(image(lambda: L.LayerNormalization(axis=[1, 2, 3]))),
    "group norm": Network(image(lambda: L.GroupNormalization(2)), refused={"tflite": FREE_BATCH}),
    "instance norm": Network(image(lambda: L.GroupNormalization(-1)), refused={"tflite": FREE_BATCH}),
    "group norm, fixed batch": Network(image(lambda: L.GroupNormalization(2)), batch=1),
    "mixed_float16, wrapped layers": Network(
        in_precision("mixed_float16", sequence(lambda: L.TimeDistributed(L.Dense(6)))), tolerance=2e-2
    ),
    "unit norm": Network(vector(L.UnitNormalization)),
    "spectral norm": Network(image(lambda: L.SpectralNormalization(L.Conv2D(4, 3)))),
    "mixed_float16": Network(in_precision("mixed_float16", BLOCK), tolerance=2e-2),
    "mixed_bfloat16": Network(in_precision("mixed_bfloat16", BLOCK), tolerance=1e-1),
    "float64": Network(in_precision("float64", BLOCK)),
    "mixed_float16 of vectors": Network(
        in_precision("mixed_float16", vector(L.ReLU, L.BatchNormalization, L.LayerNormalization)), tolerance=2e-2
    ),
    "mixed_bfloat16 of vectors": Network(
        in_precision("mixed_bfloat16", vector(L.ReLU, L.BatchNormalization, L.LayerNormalization)), tolerance=1e-1
    ),
}
