"""Random examples are of a size at which the network has something to compute, and are found without a crash."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from dlth_tf.deploy.examples import Examples, not_finite, random_examples
from dlth_tf.deploy.source import Source
from dlth_tf.errors import BadInput
from tests.runs.tiny import environment

L = tf_keras.layers


def over(*layers: tf_keras.layers.Layer) -> tf_keras.Model:
    """Returns a network of images of any size."""
    return tf_keras.Sequential([tf_keras.Input((None, None, 3)), *layers, L.GlobalMaxPooling2D()])


def size_for(model: tf_keras.Model) -> tuple[int, ...]:
    return np.shape(random_examples(model, Source(model).serving, 3).images)


NETWORKS = {  # layers -> the first of the sizes at which their windows have a place
    "any": ([L.Conv2D(2, 3)], 32),
    "pooling": ([L.MaxPooling2D(40), L.Conv2D(2, 1)], 64),
    "after it": ([L.MaxPooling2D(20), L.AveragePooling2D(3), L.Conv2D(2, 1)], 64),
    "convolutions": ([*(L.Conv2D(2, 3, strides=2) for _ in range(4)), L.Conv2D(2, 3)], 64),
    "cropping": ([L.Cropping2D(60), L.Conv2D(2, 1)], 128),
    "upsampling": ([L.MaxPooling2D(33), L.UpSampling2D(2), L.DepthwiseConv2D(2)], 64),
}


@pytest.mark.parametrize(("layers", "size"), NETWORKS.values(), ids=NETWORKS)
def test_images_are_of_the_first_size_at_which_nothing_is_empty(layers, size):
    assert size_for(over(*layers)) == (3, size, size, 3)


def test_a_network_without_a_size_is_one_sentence_with_the_layer():
    model = over(L.MaxPooling2D(500, name="large"))
    with pytest.raises(BadInput, match=r"^examples=none: are needed, .* calling layer 'large'.* Negative dimension"):
        random_examples(model, Source(model).serving)


CRASHING = """
import tf_keras
from dlth_tf.deploy.examples import random_examples
from dlth_tf.deploy.source import Source
model = tf_keras.applications.InceptionV3(include_top=False, weights=None, pooling="avg")
print(random_examples(model, Source(model).serving, 2).images.shape)
"""


@pytest.mark.slow
def test_a_network_that_ends_the_process_on_small_images_is_given_larger_ones():
    ended = subprocess.run([sys.executable, "-c", CRASHING], env=environment(), capture_output=True, text=True)
    assert ended.returncode == 0 and ended.stdout.endswith("(2, 128, 128, 3)\n")


def test_sequences_and_fixed_sizes_are_as_before():
    words = tf_keras.Sequential([tf_keras.Input((None,), dtype="int32"), L.Embedding(7, 3), L.LSTM(4), L.Dense(2)])
    assert size_for(words) == (3, 32)
    fixed = tf_keras.Sequential([tf_keras.Input((5, 4, 3)), L.Conv2D(2, 3), L.GlobalMaxPooling2D()])
    assert size_for(fixed) == (3, 5, 4, 3)


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.array(["nan"]), ""),
        (np.array([True]), ""),
        (np.arange(4), ""),
        (np.zeros((2, 2), np.float32), ""),
        (np.array([[1, np.nan], [np.inf, 0]], np.float16), "NaN or infinity in 2 of 4 numbers, first at [0, 1]"),
    ],
)
def test_numbers_that_are_not_finite_are_told_with_their_place(array, found):
    assert not_finite(array) == found


@pytest.mark.parametrize("texts", [["é", "ab"], ["é".encode(), b"ab"], ["é", b"ab"], np.array(["é", "ab"])])
def test_texts_are_bytes_in_utf_8(texts):
    given = texts if isinstance(texts, np.ndarray) else np.array(texts, dtype=object)
    inputs = Examples(given[:, None], None, "mine").inputs({"images": tf.TensorSpec((None, 1), tf.string)})
    assert inputs["images"].tolist() == [["é".encode()], [b"ab"]]
