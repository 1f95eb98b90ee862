"""Networks for the tests of compaction, and the check that compaction does not change outputs."""

from __future__ import annotations

import tf_keras

from dlth_tf.deploy.compaction import compact
from tests.deploy.pruned import difference, lively, zero

L = tf_keras.layers
ROUNDING = 1e-5  # relative to the largest logit


def widths(model: tf_keras.Model) -> dict[str, int]:
    """Returns layer -> number of outputs, for the layers with kernels."""
    return {layer.name: layer.output_shape[-1] for layer in model.layers if hasattr(layer, "kernel")}


def check(model: tf_keras.Model) -> tf_keras.Model:
    """Returns the compact model after checking that its outputs are the same."""
    small = compact(model)
    assert difference(model, small) < ROUNDING
    return small


def chain(padding: str, use_bias: bool, beta: float) -> tf_keras.Model:
    """Builds two convolutions, the first with filters 1, 3 and 4 of 6 removed, which leave constants behind."""
    x = inputs = L.Input((6, 6, 2))
    x = L.ReLU()(L.BatchNormalization(name="norm")(L.Conv2D(6, 3, padding="same", use_bias=False, name="one")(x)))
    x = L.Conv2D(5, 3, padding=padding, use_bias=use_bias, name="two")(x)
    model = tf_keras.Model(inputs, L.Dense(3, name="out")(L.GlobalAveragePooling2D()(L.ReLU()(x))), name="chain")
    zero(model, "one", [1, 3, 4])
    model.get_layer("norm").beta.assign([0.1, beta, 0.2, 3 * beta, 2 * beta, -0.1])
    return model


def with_middle(middle) -> tf_keras.Model:
    x = inputs = L.Input((6, 6, 2))
    x = middle(L.ReLU()(L.Conv2D(4, 3, padding="same", name="before")(x)))
    x = L.Conv2D(4, 3, padding="same", name="after")(x)
    model = lively(tf_keras.Model(inputs, L.Dense(3, name="out")(L.GlobalMaxPooling2D()(x))))
    zero(model, "before", [0, 1])
    zero(model, "after", [2])
    return model
