"""A network that takes images of any size is exported for one size."""

from __future__ import annotations

import os

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf.deploy.image_size import at_image_size
from dlth_tf.deploy.source import Source
from dlth_tf.errors import BadInput
from dlth_tf.export_options import parse_size
from tests.deploy.compaction.test_maps import two
from tests.deploy.test_export import Own, network

L = tf_keras.layers


def valid(shape: tuple[int | None, ...] = (None, None, 1), form: str = "channels_last") -> tf_keras.Model:
    """Builds a convolution without padding, and a bilinear resize of its own image beside it."""
    inputs = L.Input(shape, name="picture")
    x = L.Conv2D(4, 5, data_format=form, name="conv")(inputs)
    return tf_keras.Model(inputs, L.Dense(3)(L.GlobalMaxPooling2D(data_format=form)(x)))


@pytest.mark.usefixtures("checked_here")
def test_the_signature_and_every_layer_have_the_size_and_the_outputs_are_the_same(tmp_path):
    model = two(4, size=None)
    report = dlth.export(model, tmp_path, formats=("compact",), image_size=(7, 9), measure_latency=False)
    assert report["served"]["inputs"] == {"images": {"dtype": "float32", "shape": [None, 7, 9, 3]}}
    assert report["forms"]["compact"]["kernels"]["one"] == [[3, 3, 3, 12], [3, 3, 3, 8]], "no channel for constants"
    images = np.random.default_rng(0).random((2, 7, 9, 3), np.float32)
    serve = tf.saved_model.load(os.fspath(tmp_path / "compact")).signatures["serving_default"]
    assert np.allclose(serve(images=tf.constant(images))["logits"], model(images, training=False), atol=1e-4)
    assert model.input_shape == (None, None, None, 3)


def test_a_network_of_this_size_stays_itself():
    model = two(4, size=7)
    source = Source(model, image_size=(7, 7))
    assert at_image_size(source).model is model and at_image_size(Source(model)).model is model


@pytest.mark.parametrize(
    ("shape", "fixed"), [((None, 8, 1), (None, 6, 8, 1)), ((None, None, 1), (None, 6, 8, 1)), ((8, None, 1), None)]
)
def test_only_what_is_free_is_filled(shape, fixed):
    source = Source(valid(shape), image_size=(6, 8))
    if fixed is None:
        with pytest.raises(BadInput, match=r"image_size=6x8: must be that of .* built for, \[8, None, 1\]"):
            at_image_size(source)
    else:
        small = at_image_size(source).model
        assert small.input_shape == fixed and small.layers[0].name == "picture"


def test_channels_may_come_first():
    model = valid((1, None, None), "channels_first")
    assert at_image_size(Source(model, image_size=(6, 8))).model.input_shape == (None, 1, 6, 8)


class AnySize(Own):
    def __init__(self) -> None:
        super().__init__()
        self.flat = L.GlobalMaxPooling2D()


def subclassed() -> tf_keras.Model:
    model = AnySize()
    model.build((None, None, None, 3))
    return model


@pytest.mark.parametrize(
    ("build", "size", "reason"),
    [
        (network, (8, 8), r"image_size=8x8: must be that of the images that the network was built for, \[4, 4, 1\]"),
        (lambda: tf_keras.Sequential([L.Dense(3, input_shape=(4,))]), (8, 8), "is for networks of images"),
        (valid, (4, 8), r"image_size=4x8: does not fit the network \("),
        (valid, (0, 8), "must be height and width, both at least 1"),
        (subclassed, (4, 8), "needs a Functional or Sequential model"),
    ],
    ids=["another", "no images", "too small", "zero", "subclassed"],
)
def test_a_size_that_cannot_be_is_refused(build, size, reason):
    with pytest.raises(BadInput, match=reason):
        at_image_size(Source(build(), image_size=size))


@pytest.mark.parametrize("text", ["", "8x", "x8", "8x8x3", "-8", "8 x 8", "\u0668", "1" * 9])
def test_another_text_is_refused(text):
    with pytest.raises(BadInput, match="must be a height, or HEIGHTxWIDTH, in pixels"):
        parse_size(text)
