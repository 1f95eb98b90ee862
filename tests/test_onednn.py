"""oneDNN: commands turn it on unless the user chose; training a convolutional model without it is hinted at once."""

from __future__ import annotations

import logging
import os
import sys

import pytest
import tensorflow as tf
import tf_keras

from dlth_tf import callbacks, onednn, strip, wrap
from dlth_tf.tensorflow_start import start_tensorflow

LAYERS = tf_keras.layers


@pytest.fixture
def undecided(monkeypatch) -> None:
    """A process in which nobody has chosen, on a CPU where TensorFlow leaves it off."""
    monkeypatch.delenv(onednn.VARIABLE, raising=False)
    monkeypatch.setattr(onednn, "onednn_is_on", lambda: False)
    onednn._hint.cache_clear()


def model(*layers: tf_keras.layers.Layer) -> tf_keras.Model:
    built = tf_keras.Sequential([tf_keras.Input((4, 4, 1)), *layers, LAYERS.Flatten(), LAYERS.Dense(2, name="last")])
    wrapped = wrap(built)
    wrapped.compile("sgd", "mse")
    return wrapped


@pytest.mark.parametrize(("given", "then"), [(None, "1"), ("0", "0"), ("1", "1")])
@pytest.mark.parametrize("loud", ["0", "1"])
def test_the_start_of_tensorflow_turns_it_on_unless_the_user_chose(given, then, loud, monkeypatch):
    monkeypatch.setenv("DLTH_LOUD", loud)
    monkeypatch.delitem(sys.modules, "tensorflow")
    monkeypatch.setattr("dlth_tf.tensorflow_start._load", lambda: None)
    monkeypatch.setenv(onednn.VARIABLE, "")  # restored afterwards, whatever happens to it
    monkeypatch.delenv(onednn.VARIABLE)
    if given is not None:
        monkeypatch.setenv(onednn.VARIABLE, given)
    start_tensorflow()
    assert os.environ[onednn.VARIABLE] == then


def test_a_process_that_has_loaded_tensorflow_is_left_alone(undecided):
    start_tensorflow()
    assert onednn.VARIABLE not in os.environ


def test_the_hint_comes_once_and_names_the_variable(undecided, caplog):
    network = model(LAYERS.Conv2D(2, 3, name="conv"))
    ticket = callbacks.RandomMask(0.5, dense_layers="last")
    with caplog.at_level(logging.WARNING, logger="dlth_tf"):
        for _ in range(2):
            network.fit([[[[0.0]] * 4] * 4], [[0.0, 1.0]], verbose=0, callbacks=[ticket])
    (message,) = [record.getMessage() for record in caplog.records if "oneDNN" in record.getMessage()]
    assert "set TF_ENABLE_ONEDNN_OPTS=1 before TensorFlow is imported" in message


@pytest.mark.parametrize("value", ["0", "1"])
def test_no_hint_for_somebody_who_chose(undecided, value, caplog, monkeypatch):
    monkeypatch.setenv(onednn.VARIABLE, value)
    onednn.hint_at_onednn(model(LAYERS.Conv2D(2, 3, name="conv")))
    assert caplog.messages == []


def test_no_hint_for_a_network_without_convolutions(undecided, caplog):
    onednn.hint_at_onednn(model(LAYERS.Dense(3, name="hidden")))
    assert caplog.messages == []


def test_no_hint_where_it_is_on(undecided, caplog, monkeypatch):
    monkeypatch.setattr(onednn, "onednn_is_on", lambda: True)
    onednn.hint_at_onednn(model(LAYERS.Conv2D(2, 3, name="conv")))
    assert caplog.messages == []


def test_a_network_that_reads_words_is_trained_where_nobody_chose(undecided):
    words = LAYERS.TextVectorization(output_sequence_length=6)
    words.adapt(["a b c", "d e f"])
    text = tf_keras.Sequential(
        [
            LAYERS.Input((1,), dtype=tf.string),
            words,
            LAYERS.Embedding(9, 4, name="embedding"),
            LAYERS.Conv1D(4, 2, name="conv"),
            LAYERS.GlobalMaxPooling1D(),
            LAYERS.Dense(2, name="last"),
        ]
    )
    network = wrap(text)
    network.compile("sgd", "mse")
    ticket = callbacks.RandomMask(0.5, remove=True)
    network.fit(tf.constant([["a d"], ["f"]]), tf.eye(2), verbose=0, callbacks=[ticket])
    assert not strip(network).get_layer("conv").get_weights()[0].all()
