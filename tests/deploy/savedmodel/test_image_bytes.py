"""A SavedModel takes encoded images in a second signature, as clients of TensorFlow Serving send them."""

from __future__ import annotations

import os
import types
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf
from dlth_tf.data import Normalization
from dlth_tf.data.disk_split import decoded
from dlth_tf.deploy.checks import standalone
from dlth_tf.deploy.savedmodel.image_bytes import as_stored, decode
from dlth_tf.errors import BadInput
from tests.deploy.conftest import checked_here as checked_here
from tests.deploy.conftest import checks_in_this_process

layers = tf_keras.layers
FORMS = ("plain", "packed", "compact")
FAST = {"measure_latency": False}


def network(*shape: int | None) -> tf_keras.Model:
    more = [layers.Conv2D(4, 3), layers.BatchNormalization(), layers.GlobalAveragePooling2D(), layers.Dense(3)]
    return tf_keras.Sequential([tf_keras.Input(shape), *more])


def pictures(count: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    known = {"normalization": Normalization(1 / 255, (0.5,) * 3, (0.25,) * 3), "label_names": ["a", "b", "c"]}
    with checks_in_this_process(folder):
        dlth_tf.export(network(8, 6, 3), folder / "out", formats=FORMS, image_bytes=True, **known, **FAST)
    return folder / "out"


@pytest.mark.parametrize("form", FORMS)
def test_png_files_give_the_outputs_of_their_images(exported, form):
    loaded = tf.saved_model.load(os.fspath(exported / form))
    images = pictures(5, 8, 6)
    encoded = tf.constant([tf.io.encode_png(image).numpy() for image in images])
    found = loaded.signatures["image_bytes"](image_bytes=encoded)
    expected = loaded.signatures["serving_default"](images=tf.constant(images))
    assert found.keys() == expected.keys() == {"logits", "probabilities", "class", "label"}
    assert all(np.array_equal(found[name], expected[name]) for name in found)
    assert found["logits"].shape == (5, 3) and np.ptp(found["logits"].numpy()) > 0


def test_the_card_says_how_to_send_them(exported):
    assert '"signature_name": "image_bytes"' in (exported / "README.md").read_text()


@pytest.mark.fast_cases("True")
@pytest.mark.usefixtures("checked_here")
@pytest.mark.parametrize("normalized", [True, False])
def test_pixels_of_files_are_scaled_to_the_range_of_the_data_set(tmp_path, normalized):
    known = {"normalization": Normalization(1 / 16, (0.5,) * 3, (0.25,) * 3)} if normalized else {}
    stored = np.random.default_rng(0).integers(0, 17, (4, 8, 6, 3)).astype(np.uint8 if normalized else np.float32)
    known["examples"] = stored
    report = dlth_tf.export(network(8, 6, 3), tmp_path, image_bytes=True, value_range=16, **known, **FAST)
    served = tf.saved_model.load(os.fspath(tmp_path / "plain")).signatures
    files = [tf.io.encode_png(np.round(image * (255 / 16)).astype(np.uint8)).numpy() for image in stored]
    found = served["image_bytes"](image_bytes=tf.constant(files))
    (name,) = served["serving_default"].structured_input_signature[1]
    expected = served["serving_default"](**{name: tf.constant(stored)})
    # The whole numbers of a network that takes fractions come out of 256 shades up to half a shade.
    np.testing.assert_allclose(found["logits"], expected["logits"], atol=0 if normalized else 0.2)
    card = (tmp_path / "README.md").read_text()
    assert report["served"]["value_range"] == 16
    assert ("as they are stored (0 to 16)" in card) == normalized == ("0 to 255, to this range" in card)


def test_every_pixel_of_a_file_has_its_place_in_the_range():
    pixels = tf.constant(np.arange(256), tf.uint8)
    for most in (1, 16, 100, 255, 300):
        scaled = as_stored(pixels, most, tf.uint8).numpy()
        assert scaled[0] == 0 and scaled[-1] == min(most, 255) and np.all(np.diff(scaled.astype(int)) >= 0)
        assert len(np.unique(scaled)) >= min(most, 217) + 1 - (most == 300)
    np.testing.assert_array_equal(as_stored(pixels, 255, tf.float32), np.arange(256))


def test_shades_between_black_and_white_stay_for_a_network_that_takes_fractions():
    pixels = tf.constant(np.arange(256), tf.uint8)
    for most in (1, 16):
        np.testing.assert_allclose(as_stored(pixels, most, tf.float32), np.arange(256) * most / 255, rtol=1e-6)


@pytest.mark.usefixtures("checked_here")
def test_pixels_of_files_are_fractions_of_one_for_a_network_of_fractions_of_one(tmp_path):
    model, images = network(8, 6, 3), pictures(4, 8, 6)
    dlth_tf.export(model, tmp_path, image_bytes=True, value_range=1, examples=np.float32(images / 255), **FAST)
    encoded = tf.constant([tf.io.encode_png(image).numpy() for image in images])
    found = tf.saved_model.load(os.fspath(tmp_path / "plain")).signatures["image_bytes"](image_bytes=encoded)
    np.testing.assert_allclose(found["logits"], model(images / 255), atol=1e-5)


@pytest.mark.parametrize("as_calibration", [False, True])
@pytest.mark.parametrize(
    ("low", "high", "value_range"), [(0, 1, 255), (0, 16, 255), (-1, 1, 1), (0, 255, 1), (0, 255, 16)]
)
def test_images_of_another_range_than_the_stated_one_are_one_sentence(tmp_path, low, high, value_range, as_calibration):
    images = np.random.default_rng(0).uniform(low, high, (4, 8, 6, 3)).astype(np.float32)
    images[0, 0, 0, :2] = low, high
    given = {"calibration" if as_calibration else "examples": images}
    with pytest.raises(BadInput, match=f"value_range.*; that is {value_range}, and the .* are from {low} to {high}$"):
        dlth_tf.export(network(8, 6, 3), tmp_path / "out", image_bytes=True, value_range=value_range, **given, **FAST)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("value_range", [0, 2.5, "16"])
def test_a_range_that_is_none_is_one_sentence(tmp_path, value_range):
    with pytest.raises(BadInput, match=r"^value_range="):
        dlth_tf.export(network(8, 6, 3), tmp_path / "out", value_range=value_range, **FAST)


def test_a_picture_of_another_size_is_cropped_and_resized_as_in_evaluation():
    shape = tf.TensorShape([8, 6, 3])
    for height, width in ((20, 31), (6, 8)):
        encoded = tf.io.encode_png(pictures(1, height, width)[0])
        assert np.array_equal(decode(encoded, shape), decoded(encoded, (8, 6, 3), None, one_size=False))
    jpeg = tf.io.encode_jpeg(pictures(1, 8, 6)[0])
    assert np.array_equal(decode(jpeg, shape), tf.io.decode_jpeg(jpeg))
    gray = tf.io.encode_png(pictures(1, 8, 6)[0][..., :1])
    assert decode(gray, shape).shape == shape


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n" + b"\xff" * 30])
def test_what_is_no_picture_is_an_error(exported, content):
    serve = tf.saved_model.load(os.fspath(exported / "packed")).signatures["image_bytes"]
    with pytest.raises(tf.errors.InvalidArgumentError):
        serve(image_bytes=tf.constant([content]))


def test_a_signature_with_other_outputs_would_be_found(exported):
    other = types.SimpleNamespace(signatures={"image_bytes": lambda image_bytes: {"logits": tf.ones([4, 3])}})
    with pytest.raises(standalone.Failed, match="plain: encoded images yield another logits"):
        standalone.check_image_bytes(
            "plain", other, lambda inputs: {"logits": np.zeros((4, 3))}, {"images": pictures(4, 8, 6)}
        )


def test_a_signature_that_rounds_shades_away_would_be_found():
    def sums(images: np.ndarray) -> np.ndarray:
        return images.sum((1, 2))

    def rounded(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        pixels = np.stack([tf.io.decode_png(each).numpy() for each in image_bytes])
        return {"logits": tf.constant(sums(np.round(pixels / np.float32(255))))}

    with pytest.raises(standalone.Failed, match="plain: encoded images yield another logits"):
        standalone.check_image_bytes(
            "plain",
            types.SimpleNamespace(signatures={"image_bytes": rounded}),
            lambda inputs: {"logits": sums(inputs["images"])},
            {"images": np.float32(pictures(4, 8, 6) / 255)},
            value_range=1,
        )


@pytest.mark.usefixtures("checked_here")
@pytest.mark.parametrize(
    ("shape", "known", "reason"),
    [
        ((8, 6, 3), {"task": "raw"}, r"is for classifiers of images of one size .* served as raw of float32 \[None, 8"),
        ((None, None, 3), {}, "is for classifiers of images of one size"),
        ((8, 6, 5), {}, "1, 3 or 4 channels"),
        ((8, 6, 3), {"batch": 2}, "needs a free batch size, and that of this export is 2"),
        ((8, 6, 3), {"formats": ["tflite"]}, "is for plain, packed, compact, and the forms to write are tflite"),
    ],
)
def test_where_encoded_images_cannot_be_served_is_one_sentence(tmp_path, shape, known, reason):
    with pytest.raises(BadInput, match=f"image_bytes=True: .*{reason}"):
        dlth_tf.export(network(*shape), tmp_path / "out", image_bytes=True, **known, **FAST)
    assert not (tmp_path / "out").exists()
