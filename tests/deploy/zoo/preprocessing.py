"""Networks with preprocessing inside: tables, text, whole numbers, and images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from tests.deploy.zoo.network import L, Network, image
from tests.deploy.zoo.refusals import ONLY_SAVED_MODELS, TABLES, WITHOUT_ONNX

Model = tf_keras.Model


def _of(dtype: str, shape: tuple[int | None, ...], *layers: Callable[[], Any]) -> Callable[[], Model]:
    def build() -> Model:
        start = out = L.Input(shape, dtype=dtype)
        for make in layers:
            out = make()(out)
        return Model(start, L.Dense(3)(out))

    return build


def _embedded(rows: int) -> tuple[Callable[[], Any], ...]:
    return (lambda: L.Embedding(rows, 6), L.GlobalAveragePooling1D)


def _adapted() -> Model:
    layer = L.Normalization()
    layer.adapt(np.random.default_rng(0).normal(3, 2, (50, 8, 8, 3)))
    start = L.Input((8, 8, 3))
    return Model(start, L.Dense(3)(L.GlobalAveragePooling2D()(L.Conv2D(4, 3)(layer(start)))))


def _lookup() -> L.Layer:
    return L.StringLookup(vocabulary=["cat", "dog"])


def _adapted_lookup() -> L.Layer:
    layer = L.StringLookup()
    layer.adapt(np.array(["cat", "cat", "dog"]))
    return layer


def _adapted_discretization() -> L.Layer:
    layer = L.Discretization(num_bins=4)
    layer.adapt(np.random.default_rng(0).normal(0, 1, (50, 4)).astype(np.float32))
    return layer


def _cast() -> Model:
    start = L.Input((8, 8, 3), dtype="uint8")
    out = tf.cast(start, tf.float32) / 255.0
    return Model(start, L.Dense(3)(L.GlobalAveragePooling2D()(L.Conv2D(4, 3)(out))))


def _reshaped() -> Model:
    start = L.Input((8, 8, 3))
    out = tf.reshape(L.Conv2D(4, 3, activation="relu")(start), [-1, 144])
    return Model(start, L.Dense(3)(tf.concat([out, tf.reduce_max(out, 1, keepdims=True)], 1)))


def _flags() -> Model:
    start = L.Input((6,), dtype="bool")
    return Model(start, L.Dense(3)(L.Dense(4)(tf.cast(start, tf.float32))))


def _tabular() -> Model:
    age, job = L.Input((1,), name="age"), L.Input((1,), dtype="string", name="job")
    known = L.StringLookup(vocabulary=["cat", "dog"], output_mode="one_hot")(job)
    return Model({"age": age, "job": job}, L.Dense(3)(L.Concatenate()([L.Dense(4)(age), known])))


AUGMENTATIONS = (
    lambda: L.RandomFlip(),
    lambda: L.RandomRotation(0.1),
    lambda: L.RandomZoom(0.1),
    lambda: L.RandomTranslation(0.1, 0.1),
    lambda: L.RandomContrast(0.1),
    lambda: L.RandomBrightness(0.1),
)
NETWORKS = {
    "string lookup": Network(_of("string", (4,), _lookup, *_embedded(4)), refused=TABLES),
    "string lookup, adapted": Network(_of("string", (4,), _adapted_lookup, *_embedded(4)), refused=TABLES),
    "discretization, adapted": Network(
        _of("float32", (4,), _adapted_discretization, *_embedded(4)), refused=WITHOUT_ONNX
    ),
    "integer lookup": Network(
        _of("int64", (4,), lambda: L.IntegerLookup(vocabulary=[3, 5]), *_embedded(4)),
        refused=TABLES | ONLY_SAVED_MODELS,
    ),
    "text vectorization": Network(
        _of(
            "string",
            (1,),
            lambda: L.TextVectorization(vocabulary=["the", "dog"], output_sequence_length=4),
            *_embedded(5),
        ),
        refused=TABLES | ONLY_SAVED_MODELS,
    ),
    "tabular": Network(_tabular, refused=TABLES | ONLY_SAVED_MODELS),
    "hashing of strings": Network(
        _of("string", (4,), lambda: L.Hashing(5), *_embedded(5)), refused=ONLY_SAVED_MODELS | WITHOUT_ONNX
    ),
    "hashing of numbers": Network(
        _of("int64", (4,), lambda: L.Hashing(5), *_embedded(5)), refused=ONLY_SAVED_MODELS | WITHOUT_ONNX
    ),
    "category encoding": Network(
        _of("int32", (4,), lambda: L.CategoryEncoding(10, "multi_hot")), refused=ONLY_SAVED_MODELS
    ),
    "one-hot": Network(_of("int32", (1,), lambda: L.CategoryEncoding(10, "one_hot")), refused=ONLY_SAVED_MODELS),
    "discretization": Network(
        _of("float32", (4,), lambda: L.Discretization([-0.5, 0.0, 0.5]), *_embedded(4)), refused=WITHOUT_ONNX
    ),
    "normalization": Network(_adapted),
    "rescaling, resizing and cropping": Network(
        image(lambda: L.Rescaling(2.0, 1.0), lambda: L.Resizing(5, 7), lambda: L.CenterCrop(4, 4))
    ),
    "augmentation": Network(image(*AUGMENTATIONS)),
    "uint8 images": Network(_cast),
    "flags": Network(_flags),
    "operations": Network(_reshaped),
    "tokens as numbers": Network(_of("int64", (12,), *_embedded(10))),
}
