"""Batch norm is folded into the preceding kernel where that is exact, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from dlth_tf.deploy.savedmodel.batch_norm_folding import fold_batch_norms
from dlth_tf.deploy.savedmodel.frozen_graph import Frozen, freeze
from dlth_tf.deploy.savedmodel.packed import build, by_dtype
from dlth_tf.deploy.serving import Served, Serving
from dlth_tf.masking import named_weights

layers = tf_keras.layers
SHAPE = (6, 6, 4)


def norm(x):
    return layers.BatchNormalization(epsilon=0.01)(x)


def end(x):
    return layers.Dense(3, name="head")(layers.Flatten()(x))


def shared(x):
    both = layers.Conv2D(4, 3, padding="same")
    return layers.Add()([norm(both(x)), norm(both(layers.ReLU()(x)))])


def used_twice(x):
    y = layers.Conv2D(4, 3, padding="same")(x)
    return layers.Add()([norm(y), y])


def one_norm_for_two(x):
    both = layers.BatchNormalization()
    return layers.Add()([both(layers.Conv2D(4, 3, name="a")(x)), both(layers.Conv2D(4, 3, name="b")(x))])


FOLDED: dict[str, tuple[int, Callable]] = {
    "convolution": (1, lambda x: norm(layers.Conv2D(5, 3, use_bias=False)(x))),
    "with a bias": (1, lambda x: norm(layers.Conv2D(5, 3, strides=2, bias_initializer="ones")(x))),
    "depthwise": (1, lambda x: norm(layers.DepthwiseConv2D(3, depth_multiplier=2, bias_initializer="ones")(x))),
    "dense": (1, lambda x: norm(layers.Dense(7, bias_initializer="ones")(layers.Flatten()(x)))),
    "dense without a bias": (1, lambda x: norm(layers.Dense(7, use_bias=False)(layers.Flatten()(x)))),
    "two in a row": (2, lambda x: norm(norm(layers.Conv2D(5, 3)(x)))),
    "one norm for two": (2, one_norm_for_two),
    "without scale and center": (
        1,
        lambda x: layers.BatchNormalization(scale=False, center=False)(layers.Conv2D(5, 3)(x)),
    ),
    "after a ReLU": (0, lambda x: norm(layers.ReLU()(layers.Conv2D(5, 3)(x)))),
    "after an addition": (0, lambda x: norm(layers.Add()([layers.Conv2D(4, 3, padding="same")(x), x]))),
    "after a pooling": (0, lambda x: norm(layers.AveragePooling2D()(layers.Conv2D(5, 3)(x)))),
    "shared convolution": (0, shared),
    "result used elsewhere": (0, used_twice),
    "of the images": (0, norm),
    "transposed": (0, lambda x: norm(layers.Conv2DTranspose(5, 3)(x))),
}


def network(body: Callable) -> tf_keras.Model:
    images = tf_keras.Input(SHAPE)
    model = tf_keras.Model(images, end(body(images)))
    draw = np.random.default_rng(0)
    for name, variable in named_weights(model).items():
        if "norm" in name:
            value = draw.normal(0, 1, variable.shape)
            variable.assign(np.abs(value) + 0.1 if "variance" in name else value)  # scales of both signs
        elif variable.shape.rank > 1:
            variable.assign(np.where(draw.random(variable.shape) < 0.5, variable.numpy(), 0))
    return model


def outputs(frozen: Frozen, model: tf_keras.Model, images: np.ndarray) -> np.ndarray:
    module, signature = build(frozen, by_dtype(frozen.constants), Serving().inputs(model))
    assert module is not None  # keeps the weights alive
    return signature(images=tf.constant(images))["logits"].numpy()


@pytest.mark.fast_cases(
    "with a bias", "depthwise", "dense", "after a pooling", "shared convolution", "result used elsewhere"
)
@pytest.mark.parametrize(("folds", "body"), FOLDED.values(), ids=FOLDED)
def test_the_outputs_stay_and_what_can_be_folded_is(folds, body):
    model, images = network(body), np.random.default_rng(1).normal(size=(3, *SHAPE)).astype(np.float32)
    frozen = freeze(Served(model, Serving()), "packed")
    before = {name: value.copy() for name, value in frozen.constants.items()}
    assert fold_batch_norms(frozen) == folds
    kinds = [node.op for node in frozen.nodes.values()]
    assert folds == 0 or not {"FusedBatchNormV3", "Rsqrt"} & set(kinds)
    expected = model(images).numpy()
    assert np.allclose(outputs(frozen, model, images), expected, rtol=0, atol=2e-5 * np.abs(expected).max())
    for name, value in frozen.constants.items():
        if name in before and value.ndim > 1:
            assert np.array_equal(value == 0, before[name] == 0) and not np.any(np.signbit(value[value == 0]))
    changed = [np.any(before[name] != value) for name, value in frozen.constants.items() if name in before]
    assert any(changed) == bool(folds)


def test_a_wrong_scale_would_be_seen(monkeypatch):
    model = network(FOLDED["convolution"][1])
    images = np.random.default_rng(1).normal(size=(3, *SHAPE)).astype(np.float32)
    frozen = freeze(Served(model, Serving()), "packed")
    next(node for node in frozen.nodes.values() if node.op == "FusedBatchNormV3").attr["epsilon"].f = 0.02
    fold_batch_norms(frozen)
    expected = model(images).numpy()
    assert not np.allclose(outputs(frozen, model, images), expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_half_precision_stays_as_it_is():
    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model = network(FOLDED["convolution"][1])
    frozen = freeze(Served(model, Serving()), "packed")
    assert fold_batch_norms(frozen) == 0
    images = np.random.default_rng(1).normal(size=(3, *SHAPE)).astype(np.float32)
    assert np.allclose(outputs(frozen, model, images), tf.cast(model(images), tf.float32), rtol=0, atol=1e-2)
