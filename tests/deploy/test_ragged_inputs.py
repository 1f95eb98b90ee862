"""Networks of ragged inputs are served with dense ones: said in a warning, and refused if they cannot run on these."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf
import tf_keras

import dlth_tf
from dlth_tf.errors import BadInput

pytestmark = pytest.mark.usefixtures("checked_here")
layers = tf_keras.layers
WORDS = tf.ragged.constant([[1, 2, 3], [4]], dtype=tf.int32)


class Mean(tf_keras.Model):
    """The mean of word vectors, by operations of TensorFlow."""

    def __init__(self) -> None:
        super().__init__(name="mean")
        self.words = layers.Embedding(20, 8)
        self.head = layers.Dense(3)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Computes logits of sentences."""
        return self.head(tf.reduce_mean(self.words(inputs), 1))


def functional(first: layers.Layer, ragged: bool = True) -> tf_keras.Model:
    """Builds a network whose first layer is given, of a ragged input and a dense one."""
    words = tf_keras.Input((None,), ragged=ragged, dtype="int32", name="words")
    more = tf_keras.Input((8,), name="more")
    vectors = layers.GlobalAveragePooling1D()(layers.Embedding(20, 8)(first(words)))
    return tf_keras.Model([words, more], layers.Dense(3)(vectors + more), name="sentences")


def subclassed() -> tf_keras.Model:
    """Builds a network without a graph, which has been called on ragged words."""
    model = Mean()
    model(WORDS)
    return model


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Returns our own warnings."""
    return [text for logger, level, text in caplog.record_tuples if (logger, level) == ("dlth_tf", logging.WARNING)]


@pytest.mark.fast_cases("functional")
@pytest.mark.parametrize(
    ("model", "name"),
    [(lambda: functional(layers.Activation("linear")), "sentences"), (subclassed, "mean")],
    ids=["functional", "subclassed"],
)
def test_a_warning_names_the_ragged_inputs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, model: Callable[[], tf_keras.Model], name: str
) -> None:
    dlth_tf.export(model(), tmp_path / "net", measure_latency=False)
    (warning,) = warnings(caplog)
    which = "words" if name == "sentences" else "images"
    assert warning.startswith(f"{name}: takes ragged tensors ({which}), and is served with dense ones")


def test_dense_inputs_are_exported_without_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = functional(layers.Activation("linear"), ragged=False)
    dlth_tf.export(model, tmp_path / "net", measure_latency=False)
    assert not warnings(caplog)


def test_a_network_that_runs_on_ragged_tensors_alone_is_refused(tmp_path: Path) -> None:
    model = functional(layers.Lambda(lambda words: words.to_tensor()))
    with pytest.raises(BadInput, match=r"takes ragged tensors \(words\), and cannot be run on dense ones"):
        dlth_tf.export(model, tmp_path / "net", measure_latency=False)
    assert not list(tmp_path.iterdir())
