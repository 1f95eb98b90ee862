"""Networks with several inputs and outputs, nested networks, odd names, and outputs of every task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tf_keras

from tests.deploy.zoo.network import L, Network, image, vector

Model = tf_keras.Model


def _two(join: Callable[[Any, Any], Any], structure: Callable[[Any, Any], Any]) -> Callable[[], Model]:
    def build() -> Model:
        one, two = L.Input((6,), name="one"), L.Input((4,), name="two")
        return Model(structure(one, two), join(L.Dense(5)(one), L.Dense(5)(two)))

    return build


def _several(outputs: Callable[[Any], Any]) -> Callable[[], Model]:
    def build() -> Model:
        start = L.Input((8, 8, 3))
        return Model(start, outputs(L.Conv2D(4, 3, activation="relu")(start)))

    return build


def _nested_inputs() -> Model:
    pixels, (wide, deep) = L.Input((6,), name="pixels"), (L.Input((4,), name="wide"), L.Input((4,), name="deep"))
    both = L.Dense(5)(L.Concatenate()([wide, deep]))
    return Model([pixels, [wide, deep]], L.Dense(3)(L.Concatenate()([L.Dense(5)(pixels), both])))


def _siamese() -> Model:
    tower = tf_keras.Sequential([L.Input((6,)), L.Dense(8, activation="relu"), L.Dense(4)])
    one, two = L.Input((6,), name="left"), L.Input((6,), name="right")
    return Model([one, two], tf.abs(tower(one) - tower(two)))


def _shared() -> Model:
    start, layer = L.Input((8,)), L.Dense(8, activation="relu")
    return Model(start, L.Dense(3)(layer(layer(start))))


def _nested() -> Model:
    inner = tf_keras.Sequential([L.Input((6, 6, 4)), L.Conv2D(6, 3), L.BatchNormalization(), L.ReLU()])
    return image(lambda: inner)()


def _unet(size: int | None) -> Callable[[], Model]:
    def build() -> Model:
        start = L.Input((size, size, 3))
        fine = L.Conv2D(4, 3, padding="same", activation="relu")(start)
        coarse = L.Conv2D(6, 3, padding="same", activation="relu")(L.MaxPooling2D()(fine))
        joined = L.Concatenate()([fine, L.Conv2DTranspose(4, 2, 2)(coarse)])
        return Model(start, L.Conv2D(3, 1)(joined))

    return build


def _detector(features: Any) -> list[Any]:
    boxes = L.Reshape((-1, 4), name="boxes")(L.Conv2D(8, 1)(features))
    return [boxes, L.Reshape((-1, 3), name="scores")(L.Conv2D(6, 1, activation="sigmoid")(features))]


def _squeeze(features: Any) -> Any:
    gate = L.Dense(4, activation="sigmoid")(L.GlobalAveragePooling2D(keepdims=True)(features))
    return L.Dense(3)(L.Flatten()(features * gate))


def _normalized() -> Model:
    start = L.Input((10,))
    return Model(start, tf.math.l2_normalize(L.Dense(8)(start), axis=-1))


def _named(layer: str) -> Callable[[], Model]:
    return lambda: tf_keras.Sequential([L.Input((5,), name="x"), L.Dense(4, name=layer), L.Dense(3, name="logits")])


def _odd_names() -> Model:
    start = L.Input((5,), name="scope/in")
    return Model(start, {"an output": L.Dense(3, name="scope/a")(start), "ä/b": L.Dense(2, name="b.c-d")(start)})


def _twice() -> Model:
    start = L.Input((5,))
    out = L.Dense(3)(start)
    return Model(start, [out, out])


def _heads(features: Any) -> dict[str, Any]:
    pooled = L.GlobalAveragePooling2D()(features)
    return {"kind": L.Dense(3)(pooled), "box": {"corner": L.Dense(2)(pooled), "size": L.Dense(2)(pooled)}}


def _fixed() -> Model:
    start = L.Input(batch_shape=(8, 10))
    return Model(start, L.Dense(3)(L.Dense(6, activation="relu")(start)))


NETWORKS = {
    "two inputs, list": Network(_two(lambda a, b: L.Dense(3)(a + b), lambda a, b: [a, b])),
    "two inputs, dictionary": Network(_two(lambda a, b: L.Dense(3)(a * b), lambda a, b: {"b": b, "a": a})),
    "inputs, nested": Network(_nested_inputs),
    "inputs and outputs, dictionaries": Network(
        _two(lambda a, b: {"y": a, "x": b}, lambda a, b: {"b": b, "a": a}), "raw"
    ),
    "outputs, list": Network(_several(lambda x: [L.Flatten()(x), L.Dense(3, name="h")(x)]), "raw"),
    "outputs, dictionary": Network(_several(lambda x: {"second": L.Flatten()(x), "first": L.Dense(2)(x)}), "raw"),
    "outputs, nested": Network(_several(_heads), "raw"),
    "outputs, the same twice": Network(_twice, "raw"),
    "detector": Network(_several(_detector), "raw"),
    "unet": Network(_unet(8), "raw"),
    "unet of any size": Network(_unet(None), "raw"),
    "images of any size": Network(image(L.BatchNormalization, L.ReLU, size=None)),
    "regression of one number": Network(vector(end=(lambda: L.Dense(1),)), "raw"),
    "sigmoid of one number": Network(vector(end=(lambda: L.Dense(1, activation="sigmoid"),)), "raw"),
    "sigmoids of several labels": Network(vector(end=(lambda: L.Dense(4, activation="sigmoid"),)), "raw"),
    "softmax": Network(vector(end=(lambda: L.Dense(3, activation="softmax"),)), "probabilities"),
    "softmax as a layer": Network(vector(end=(lambda: L.Dense(3), L.Softmax)), "probabilities"),
    "embedding of length one": Network(_normalized, "raw"),
    "unit norm at the end": Network(vector(end=(lambda: L.Dense(8), L.UnitNormalization)), "raw"),
    "siamese": Network(_siamese, "raw"),
    "shared layer": Network(_shared),
    "nested": Network(_nested),
    "squeeze and excite": Network(_several(_squeeze)),
    "names of the signature": Network(_named("images")),
    "names with slashes": Network(_odd_names, "raw"),
    "fixed batch": Network(_fixed, batch=8),
}
