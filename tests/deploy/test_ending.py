"""The task of a network is decided by what computes its output, and by the output itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf
from dlth_tf.deploy.examples import Examples
from dlth_tf.deploy.interface import interface_of
from dlth_tf.deploy.keras3.network import in_tf_keras
from dlth_tf.deploy.keras3.translation import translated
from dlth_tf.deploy.source import Source

KERASES = pytest.mark.parametrize("kind", [tf_keras, keras], ids=["tf_keras", "keras"])


def dense(kind: Any, activation: Any, given: Any, units: int = 3) -> Any:
    return kind.layers.Dense(units, activation=activation)(given)


class Own(tf_keras.Model):
    """A subclassed model whose `call` may be a tf.function."""

    def __init__(self, activation: str | None, function: bool) -> None:
        super().__init__()
        self.hidden = tf_keras.layers.Dense(4, "relu")
        self.head = tf_keras.layers.Dense(3, activation)
        compute = lambda given: tf.identity(self.head(self.hidden(given)))  # noqa: E731
        self.compute = tf.function(compute) if function else compute

    def call(self, given):
        return self.compute(given)


class Own3(keras.Model):
    def __init__(self, activation: str | None) -> None:
        super().__init__()
        self.hidden = keras.layers.Dense(4, "relu")
        self.head = keras.layers.Dense(3, activation)

    def call(self, given):
        return self.head(self.hidden(given))


def decision(model: Any, **known: Any) -> tuple[str, str]:
    network = model if isinstance(model, tf_keras.Model) else translated(model).network
    return Source(network, **known).decision


def of_vectors(kind: Any, last: Callable[[Any], Any]) -> Any:
    given = kind.Input((6,))
    return kind.Model(given, last(given))


def of_images(kind: Any, activation: str | None) -> Any:
    given = kind.Input((8, 8, 3))
    maps = kind.layers.Conv2D(5, 3, activation=activation)(given)
    return kind.Model(given, kind.layers.GlobalAveragePooling2D()(maps))


PROBABILITIES = {
    "average": lambda kind, x: kind.layers.Average()([dense(kind, "softmax", x), dense(kind, "softmax", x)]),
    "half of a sum": lambda kind, x: (dense(kind, "softmax", x) + dense(kind, "softmax", x)) / 2,
    "linear": lambda kind, x: kind.layers.Activation("linear", dtype="float32")(dense(kind, "softmax", x)),
    "reshape": lambda kind, x: kind.layers.Reshape((3,))(dense(kind, "softmax", x)),
    "function": lambda kind, x: kind.layers.Lambda(tf.nn.softmax)(dense(kind, None, x)),
    "sequence": lambda kind, x: kind.layers.GlobalAveragePooling1D()(
        kind.layers.TimeDistributed(kind.layers.Dense(4, activation="softmax"))(kind.layers.Reshape((3, 2))(x))
    ),
    "stochastic": lambda kind, x: kind.layers.Lambda(lambda p: tf.matmul(p, tf.fill([3, 3], 1 / 3)))(
        dense(kind, "softmax", x)
    ),
}
RAW = {
    "sigmoids": lambda kind, x: kind.layers.Concatenate()([dense(kind, "sigmoid", x, 1), dense(kind, "sigmoid", x, 2)]),
    "two softmaxes": lambda kind, x: kind.layers.Concatenate()([dense(kind, "softmax", x), dense(kind, "softmax", x)]),
    "unit norm": lambda kind, x: kind.layers.Lambda(lambda t: 1.0 * tf.math.l2_normalize(t, 1))(dense(kind, None, x)),
    "scaled tanh": lambda kind, x: kind.layers.Rescaling(2.0)(dense(kind, "tanh", x)),
    "features": lambda kind, x: kind.layers.Dropout(0.5)(kind.layers.Flatten()(dense(kind, "relu", x))),
}
LOGITS = {
    "dense": lambda kind, x: dense(kind, None, x),
    "temperature": lambda kind, x: dense(kind, None, x) / 2.5,
    "average": lambda kind, x: kind.layers.Average()([dense(kind, None, x), dense(kind, None, x)]),
    "batch norm": lambda kind, x: kind.layers.BatchNormalization()(dense(kind, None, x)),
    "reshape": lambda kind, x: kind.layers.Reshape((3,))(dense(kind, None, x)),
    "heads": lambda kind, x: kind.layers.Concatenate()([dense(kind, None, x, 1), dense(kind, None, x, 1)]),
}


@KERASES
@pytest.mark.parametrize(
    ("served", "last"),
    [
        pytest.param(task, last, id=f"{task}: {name}")
        for task, kinds in (("probabilities", PROBABILITIES), ("raw", RAW), ("classifier", LOGITS))
        for name, last in kinds.items()
    ],
)
def test_the_task_follows_what_the_last_layers_do(kind, served, last):
    assert decision(of_vectors(kind, lambda given: last(kind, given)))[0] == served


@KERASES
@pytest.mark.parametrize(
    ("activation", "served"), [("softmax", "probabilities"), ("relu", "raw"), (None, "classifier")]
)
def test_the_mean_over_a_map_is_what_its_numbers_are(kind, activation, served):
    assert decision(of_images(kind, activation))[0] == served


@pytest.mark.parametrize("function", [False, True])
@pytest.mark.parametrize(
    ("activation", "served"), [("softmax", "probabilities"), ("sigmoid", "raw"), (None, "classifier")]
)
def test_the_end_of_a_subclassed_model_is_read_off_its_operations(activation, served, function):
    model = Own(activation, function)
    model(np.ones((2, 6), np.float32))
    assert decision(model)[0] == served


@pytest.mark.parametrize(
    ("activation", "served"), [("softmax", "probabilities"), ("sigmoid", "raw"), (None, "classifier")]
)
def test_the_end_of_a_subclassed_model_of_keras_3_is_read_off_its_operations(activation, served):
    model = Own3(activation)
    model(np.ones((2, 6), np.float32))
    assert decision(in_tf_keras(model))[0] == served


def test_probabilities_are_not_taken_for_logits_when_a_classifier_is_asked_for():
    model = of_vectors(tf_keras, lambda given: PROBABILITIES["average"](tf_keras, given))
    assert decision(model, task="classifier")[0] == decision(model, label_names=("a", "b", "c"))[0] == "probabilities"


def test_the_numbers_of_given_examples_decide():
    pairs = of_vectors(tf_keras, lambda given: tf_keras.layers.Lambda(lambda t: tf.abs(t[:, :3]))(given))
    rows = np.random.default_rng(0).dirichlet(np.ones(3), 8).astype(np.float32)
    given = np.concatenate([rows, rows], 1)
    assert decision(pairs, examples=Examples(given, None, "mine"))[0] == "probabilities"
    assert decision(pairs, examples=Examples(2 * given, None, "mine"))[0] == "raw"


def test_a_softmax_on_its_way_through_a_cast_is_not_called_logits_of_a_segmentation():
    given = tf_keras.Input((8, 8, 3))
    for activation, ending in (("softmax", "softmax"), (None, "linear")):
        maps = tf_keras.layers.Conv2D(5, 3, activation=activation)(given)
        network = tf_keras.Model(given, tf_keras.layers.Activation("linear", dtype="float32")(maps))
        assert interface_of(network).ending == ending


@pytest.mark.usefixtures("checked_here")
def test_an_average_of_softmaxes_is_served_as_it_is(tmp_path):
    model = of_vectors(tf_keras, lambda given: PROBABILITIES["average"](tf_keras, given))
    dlth_tf.export(model, tmp_path, measure_latency=False)
    given = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    served = tf.saved_model.load(f"{tmp_path}/plain").signatures["serving_default"](images=tf.constant(given))
    assert set(served) == {"probabilities", "class"}
    assert np.allclose(served["probabilities"], model(given), atol=1e-6)
