"""The Keras model's own outputs are what forms are compared with, so they must be the same in every call."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf
from dlth_tf.deploy.checks.earlier import check_export
from dlth_tf.errors import BadInput

pytestmark = pytest.mark.usefixtures("checked_here")
L = tf_keras.layers
FAST = {"measure_latency": False}


class Sampling(keras.layers.Layer):
    """Draws from a normal distribution, with a state of its own."""

    def __init__(self, **options) -> None:
        super().__init__(**options)
        self.draws = keras.random.SeedGenerator(3)

    def call(self, mean):
        return mean + keras.random.normal(keras.ops.shape(mean), seed=self.draws)


def noisy(given):
    return given + tf.random.normal(tf.shape(given), stddev=1e-2)


def autoencoder() -> tf_keras.Model:
    given = tf_keras.Input((6,))
    mean = L.Dense(2, name="mean")(given)
    return tf_keras.Model(given, [mean, L.Lambda(noisy, name="z")(mean)], name="vae")


def autoencoder_3() -> keras.Model:
    given = keras.Input((6,))
    mean = keras.layers.Dense(2, name="mean")(given)
    return keras.Model(given, [mean, Sampling(name="z")(mean)], name="vae")


def with_dropout() -> tf_keras.Model:
    given = tf_keras.Input((6,))
    return tf_keras.Model(given, L.Dense(3, name="z")(L.Dropout(0.5)(given, training=True)), name="vae")


def chosen() -> tf_keras.Model:
    given = tf_keras.Input((6,))
    draw = L.Lambda(lambda logits: tf.random.categorical(logits, 1), name="z")
    return tf_keras.Model(given, draw(L.Dense(50)(given)), name="vae")


@pytest.mark.parametrize("make", [autoencoder, autoencoder_3, with_dropout, chosen])
def test_a_network_with_a_random_output_is_refused_by_what_it_does(make, tmp_path):
    reason = r"has a random output, [\w/]+: two calls on the same examples differ; export a model without it$"
    with pytest.raises(BadInput, match=f"^model=vae: {reason}"):
        dlth_tf.export(make(), tmp_path / "out", **FAST)
    assert not (tmp_path / "out").exists()


def test_its_other_outputs_can_be_exported(tmp_path):
    model = autoencoder()
    report = dlth_tf.export(tf_keras.Model(model.inputs, model.get_layer("mean").output), tmp_path, **FAST)
    assert list(report["forms"]) == ["plain"]


def test_outputs_that_are_not_finite_are_the_same_in_two_calls(tmp_path):
    given = tf_keras.Input((6,))
    model = tf_keras.Model(given, L.Lambda(lambda logits: tf.math.log(tf.nn.relu(logits)), name="log")(given))
    draw = np.random.default_rng(0).normal(size=(8, 6)).astype(np.float32)
    report = dlth_tf.export(model, tmp_path, examples=draw, task="raw", **FAST)
    served = tf.saved_model.load(f"{tmp_path}/plain").signatures["serving_default"](images=tf.constant(draw))["log"]
    assert np.isneginf(served).any() and np.isfinite(report["forms"]["plain"]["max_difference"])


def test_classes_that_are_ruled_out_stay_ruled_out(tmp_path):
    given = tf_keras.Input((6,))
    ruled_out = L.Lambda(lambda logits: tf.concat([logits, tf.fill(tf.shape(logits), -np.inf)], 1))
    model = tf_keras.Model(given, ruled_out(L.Dense(3)(given)))
    report = dlth_tf.export(model, tmp_path, formats=["plain", "packed"], values="int8", **FAST)
    assert report["served"]["task"] == "classifier" and report["forms"]["plain"]["agreement"] == 1
    assert np.isfinite([facts["max_difference"] for facts in report["forms"].values()]).all()


def names_of_classes() -> tf_keras.Model:
    given = tf_keras.Input((6,))
    scores = L.Dense(3, name="scores")(given)
    lookup = L.StringLookup(vocabulary=["é", "b", "longer"], num_oov_indices=0, invert=True, name="names")
    return tf_keras.Model(given, {"scores": scores, "name": lookup(tf.argmax(scores, -1))})


def names_of_classes_3() -> keras.Model:
    given = keras.Input((6,))
    scores = keras.layers.Dense(3, name="scores")(given)
    lookup = keras.layers.StringLookup(vocabulary=["é", "b", "longer"], num_oov_indices=0, invert=True, name="names")
    return keras.Model(given, {"scores": scores, "name": lookup(keras.ops.argmax(scores, -1))})


@pytest.mark.parametrize("make", [names_of_classes, names_of_classes_3])
def test_texts_may_be_outputs(make, tmp_path):
    model = make()
    dlth_tf.export(model, tmp_path, formats=["plain"], **FAST)
    given = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    found = tf.saved_model.load(f"{tmp_path}/plain").signatures["serving_default"](images=tf.constant(given))
    expected = [("é", "b", "longer")[number].encode() for number in found["scores"].numpy().argmax(-1)]
    assert found["name"].numpy().tolist() == expected and len(set(expected)) > 1
    assert not check_export(tmp_path).failed


def no_rows(kind: str) -> tf_keras.Model:
    given = tf_keras.Input((5, 4))
    dense = L.Dense(6, name="scores")
    scores = dense(given)
    others = {
        "scalar": tf.reduce_mean,
        "weights": lambda _: dense.kernel * 1.0,
        "time first": lambda scores: tf.transpose(scores, [1, 0, 2]),
        "rows of all": lambda scores: tf.reshape(scores, [-1, 6]),
    }
    return tf_keras.Model(given, [scores, L.Lambda(others[kind], name="other")(scores)], name="net")


@pytest.mark.parametrize("kind", ["scalar", "weights", "time first", "rows of all"])
@pytest.mark.parametrize("count", [None, 3])
def test_an_output_without_a_row_for_each_example_is_refused_by_its_name(kind, count, tmp_path):
    examples = None if count is None else np.zeros((count, 5, 4), np.float32)
    with pytest.raises(
        BadInput, match=r"^model=net: has an output without a row for each example, other: of "
    ) as error:
        dlth_tf.export(no_rows(kind), tmp_path / "out", formats=["packed"], examples=examples, **FAST)
    assert str(error.value).endswith("; export a model without it") and not (tmp_path / "out").exists()
