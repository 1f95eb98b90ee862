"""A saved model of the user's own is exported like a run, with or without its ticket."""

from __future__ import annotations

import dataclasses
import os

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf.core import Ticket
from dlth_tf.deploy.interface import interface_of
from dlth_tf.errors import BadInput
from dlth_tf.export_options import ExportOptions, ServingOptions
from dlth_tf.runs.exporting.export_keras import SavedModel, export_keras, from_dataset
from tests.deploy.conftest import checked_here as checked_here
from tests.deploy.test_export import MASK, TICKET, network

pytestmark = pytest.mark.usefixtures("checked_here")
FAST = ExportOptions(("plain", "packed"), measure_latency=False)
PLAIN = ExportOptions(measure_latency=False)
SERVED = ServingOptions()


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> tuple[str, tf_keras.Model]:
    model = network()
    path = tmp_path_factory.mktemp("saved") / "mine.keras"
    model.save(path)
    return os.fspath(path), model


def test_it_is_exported_with_its_zeros_and_its_name(saved, tmp_path):
    path, model = saved
    report = export_keras(SavedModel(path), tmp_path / "out", FAST, SERVED)
    assert report["origin"] == {"keras_model": "mine.keras"}
    assert list(report["forms"]) == ["plain", "packed"] and report["parameters"]["removed"] == 72
    images = np.random.default_rng(0).random((3, 4, 4, 1), np.float32)
    serve = tf.saved_model.load(os.fspath(tmp_path / "out" / "packed")).signatures["serving_default"]
    assert np.allclose(serve(images=tf.constant(images))["logits"], model(images), atol=1e-6)


def test_a_ticket_of_the_network_is_checked_in_every_form(saved, tmp_path):
    TICKET.save(tmp_path / "ticket.npz")
    report = export_keras(SavedModel(saved[0], str(tmp_path / "ticket.npz")), tmp_path / "out", FAST, SERVED)
    assert report["parameters"]["prunable"] == MASK.size


@pytest.mark.parametrize(
    ("masks", "reason"),
    [
        ({"body/kernel": ~MASK}, r"removes weights of body/kernel that are not zero in the network \(24 of 24"),
        ({"tail/kernel": [True]}, r"its tail/kernel is \[1\], and the network has no such weight"),
        ({"body/kernel": MASK.T}, r"its body/kernel is \[6, 16\], and that of the network \[16, 6\]"),
    ],
)
def test_a_ticket_of_another_network_is_refused(saved, tmp_path, masks, reason):
    Ticket.from_masks(masks).save(tmp_path / "ticket.npz")
    with pytest.raises(BadInput, match=f"ticket=.*: {'' if 'removes' in reason else 'is not one .*'}{reason}"):
        export_keras(SavedModel(saved[0], str(tmp_path / "ticket.npz")), tmp_path / "out", FAST, SERVED)
    assert not (tmp_path / "out").exists()


def arrays(folder, shape: tuple[int, ...], classes: int, dtype: type = np.float32) -> str:
    """Writes a data set of random examples."""
    draw = np.random.default_rng(0)
    parts = {"train": 40, "validation": 20, "test": 30}
    members = {f"{part}_x": (draw.random((count, *shape)) * 255).astype(dtype) for part, count in parts.items()}
    labels = {f"{part}_y": np.arange(count) % classes for part, count in parts.items()}
    np.savez(folder / "mine.npz", **members, **labels)
    return f"npz:{folder / 'mine.npz'}"


def test_a_data_set_gives_accuracy_and_names_of_classes(saved, tmp_path):
    path, model = saved
    given = SavedModel(path, dataset=arrays(tmp_path, (4, 4, 1), 3, np.uint8))
    report = export_keras(given, tmp_path / "out", PLAIN, SERVED)
    with np.load(tmp_path / "mine.npz") as stored:
        right = np.mean(model(stored["test_x"].astype(np.float32)).numpy().argmax(1) == stored["test_y"])
    checked = report["verification"]
    assert checked["images"] == 30 and checked["on"].startswith("test ") and checked["accuracy"] == right
    assert report["served"]["outputs"]["label"]["dtype"] == "string"


@pytest.mark.parametrize(
    ("classes", "served", "names"),
    [
        (3, SERVED, ("0", "1", "2")),
        (3, ServingOptions(labels=False), None),
        (3, ServingOptions("raw"), None),
        (2, SERVED, None),
    ],
    ids=["named", "without", "raw", "fewer classes"],
)
def test_examples_are_as_they_are_stored_and_names_only_those_of_all_outputs(saved, tmp_path, classes, served, names):
    name = arrays(tmp_path, (4, 4, 1), classes)
    known = from_dataset(name, interface_of(saved[1]), served)
    with np.load(tmp_path / "mine.npz") as stored:
        for part, key in (("test", "examples"), ("validation", "validation")):
            assert np.array_equal(known[key].images, stored[f"{part}_x"])
            assert served.task == "raw" or np.array_equal(known[key].labels, stored[f"{part}_y"])
            assert known[key].origin == f"{part} examples of npz:mine.npz"
        assert np.array_equal(known["calibration"], stored["train_x"])
    assert known["label_names"] == names


def test_the_range_of_pixels_is_that_of_the_data_set(tmp_path):
    images = tf_keras.Input((8, 8, 1))
    model = tf_keras.Model(images, tf_keras.layers.Dense(10)(tf_keras.layers.Flatten()(images)))
    assert from_dataset("digits", interface_of(model), SERVED)["value_range"] == 16


@pytest.mark.slow
def test_int8_is_calibrated_and_judged_with_the_data_set(saved, tmp_path):
    given = SavedModel(saved[0], dataset=arrays(tmp_path, (4, 4, 1), 3))
    report = export_keras(given, tmp_path / "out", ExportOptions(("tflite",), measure_latency=False), SERVED)
    assert report["forms"]["tflite/int8"]["validation"]["images"] == 20


@pytest.mark.parametrize(
    ("shape", "classes", "reason"),
    [
        ((4, 5, 1), 3, r"dataset=float32\[30, 4, 5, 1\]: must be float32 images of shape"),
        ((4, 4, 1), 4, "has 4 classes, and the network has 3 outputs"),
    ],
)
def test_a_data_set_of_another_network_is_refused(saved, tmp_path, shape, classes, reason):
    with pytest.raises(BadInput, match=reason):
        export_keras(SavedModel(saved[0], dataset=arrays(tmp_path, shape, classes)), tmp_path / "out", FAST, SERVED)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("shape", "measured"), [((1,), True), ((2, 1), False)])
def test_targets_are_those_of_a_network_that_returns_as_many_numbers(tmp_path, shape, measured):
    inputs = tf_keras.Input((4,))
    model = tf_keras.Model(inputs, tf_keras.layers.Reshape(shape)(tf_keras.layers.Dense(np.prod(shape))(inputs)))
    draw = np.random.default_rng(0)
    members = {f"{part}_x": draw.random((20, 4), np.float32) for part in ("train", "test")}
    np.savez(tmp_path / "targets.npz", **members, train_y=draw.random(20), test_y=draw.random(20))
    known = from_dataset(f"npz:{tmp_path / 'targets.npz'}", interface_of(model), SERVED)
    assert (known["examples"].labels is not None) == measured and known["label_names"] is None


def test_a_network_of_one_sigmoid_is_measured_by_the_classes_of_a_data_set(tmp_path):
    layers = [tf_keras.Input((4, 4, 1)), tf_keras.layers.Flatten(), tf_keras.layers.Dense(1, "sigmoid")]
    model = tf_keras.Sequential(layers)
    model.save(tmp_path / "binary.keras")
    given = SavedModel(tmp_path / "binary.keras", dataset=arrays(tmp_path, (4, 4, 1), 2))
    report = export_keras(given, tmp_path / "out", PLAIN, SERVED)
    with np.load(tmp_path / "mine.npz") as stored:
        right = np.mean((model(stored["test_x"])[:, 0].numpy() > 0.5) == stored["test_y"])
    assert report["verification"]["accuracy"] == right and report["verification"]["mse"] is None


@pytest.mark.fast_cases("255")
@pytest.mark.parametrize("most", [1, 255])
def test_encoded_images_are_scaled_to_the_range_of_arrays_of_fractions(saved, tmp_path, most):
    draw = np.random.default_rng(0)
    shades = {part: draw.integers(0, 256, (30, 4, 4, 1), np.uint8) for part in ("train", "validation", "test")}
    members = {f"{part}_x": np.float32(images * (most / 255)) for part, images in shades.items()}
    np.savez(tmp_path / "mine.npz", **members, **{f"{part}_y": np.arange(30) % 3 for part in shades})
    given = SavedModel(saved[0], dataset=f"npz:{tmp_path / 'mine.npz'}")
    report = export_keras(given, tmp_path / "out", PLAIN, dataclasses.replace(SERVED, image_bytes=True))
    assert report["served"]["value_range"] == most
    serve = tf.saved_model.load(os.fspath(tmp_path / "out" / "plain")).signatures["image_bytes"]
    encoded = tf.constant([tf.io.encode_png(image).numpy() for image in shades["test"]])
    assert np.allclose(serve(image_bytes=encoded)["logits"], saved[1](members["test_x"]), atol=1e-5 * most)


def two_inputs(folder) -> SavedModel:
    """Saves a network that takes whole numbers below 5 and texts, and writes examples that it can take."""
    numbers = tf_keras.Input((3,), dtype="int32", name="numbers")
    words = tf_keras.Input((1,), dtype=tf.string, name="words")
    lookup = tf_keras.layers.StringLookup(vocabulary=["red", "green"], output_mode="one_hot")
    flat = tf_keras.layers.Flatten()(tf_keras.layers.Embedding(5, 4, name="five")(numbers))
    both = tf_keras.layers.Concatenate()([flat, lookup(words)])
    tf_keras.Model([numbers, words], tf_keras.layers.Dense(2, name="head")(both)).save(folder / "two.keras")
    arrays = {"numbers": np.arange(30).reshape(10, 3) % 5, "words": np.array([["red"], ["green"]] * 5)}
    np.savez(folder / "examples.npz", **arrays)
    return SavedModel(folder / "two.keras", examples=str(folder / "examples.npz"))


def test_a_file_has_the_examples_of_several_inputs(tmp_path):
    report = export_keras(two_inputs(tmp_path), tmp_path / "out", PLAIN, SERVED)
    checks = report["verification"]
    assert checks["on"] == "examples of examples.npz" and checks["images"] == 10 and checks["accuracy"] is None


def test_a_file_has_the_examples_of_one_input_under_any_name(saved, tmp_path):
    images = np.random.default_rng(0).random((7, 4, 4, 1))  # float64, which Keras would convert too
    np.savez(tmp_path / "some.npz", pictures=images)
    report = export_keras(SavedModel(saved[0], examples=str(tmp_path / "some.npz")), tmp_path / "out", FAST, SERVED)
    assert report["verification"]["images"] == 7


def test_int8_is_calibrated_with_the_examples_of_a_file(saved, tmp_path):
    np.savez(tmp_path / "some.npz", pictures=np.random.default_rng(0).normal(5, 1, (20, 4, 4, 1)))
    settings = ExportOptions(["tflite_int8"], measure_latency=False)
    report = export_keras(SavedModel(saved[0], examples=str(tmp_path / "some.npz")), tmp_path / "out", settings, SERVED)
    assert report["verification"]["images"] == 20 and report["forms"]["tflite_int8"]["agreement"] > 0.8


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_examples_that_are_not_finite_are_refused_with_their_file(saved, tmp_path, value):
    images = np.zeros((7, 4, 4, 1))
    images[2, 1] = value  # 1e300 is infinite in the precision of the network
    path = str(tmp_path / "some.npz")
    np.savez(path, pictures=images)
    with pytest.raises(BadInput) as refused:
        export_keras(SavedModel(saved[0], examples=path), tmp_path / "out", FAST, SERVED)
    (name,) = interface_of(saved[1]).inputs
    found = f"{name}: NaN or infinity in 4 of 112 numbers, first at [2, 1, 0, 0]"
    assert str(refused.value) == f"examples={path}: must contain finite numbers; {found}"
    assert not (tmp_path / "out").exists()


def test_a_network_that_cannot_be_exported_is_named_by_its_file(saved, tmp_path):
    path = tmp_path / "wrapped.h5"
    wrapped = dlth.wrap(saved[1])
    ticket = dlth.random_ticket(wrapped, sparsity=0.5, seed=0, dense_layers="none")
    dlth.apply_ticket(wrapped, ticket)
    wrapped.save(path)
    with pytest.raises(BadInput, match=f"^keras_model={path}: .*not removed yet"):
        export_keras(SavedModel(path, trusted=True), tmp_path / "out", FAST, SERVED)


@pytest.mark.fast_cases("wrapped.keras")
@pytest.mark.parametrize("name", ["wrapped.h5", "wrapped.keras"])
def test_a_file_of_a_model_with_masks_is_exported_without_them_and_without_trust(saved, tmp_path, name):
    wrapped = dlth.wrap(saved[1])
    dlth.apply_ticket(wrapped, dlth.random_ticket(wrapped, sparsity=0.5, seed=0, dense_layers="none"), remove=True)
    wrapped.save(tmp_path / name)
    facts = export_keras(SavedModel(tmp_path / name), tmp_path / "out", FAST, SERVED)
    assert facts["parameters"]["total"] == saved[1].count_params()


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        (
            {"numbers": np.zeros((4, 3), int)},
            "must contain one array for each input: numbers, words; it contains numbers",
        ),
        ({}, "numbers, words; it contains nothing"),
        ({"numbers": np.zeros((4, 2), int), "words": np.array([["red"]] * 4)}, r"int32\[4, 2\]: must be int32 .*"),
        ({"numbers": np.zeros((4, 3)), "words": np.array([["red"]] * 4)}, r"float64\[4, 3\]: must be int32 .*"),
        ({"numbers": np.zeros((4, 3), int), "words": np.zeros((4, 1))}, r"float64\[4, 1\]: must be string .*"),
        (
            {"numbers": np.array([object()]), "words": np.array(["red"])},
            "an array of dtype object is not allowed: write.*",
        ),
    ],
)
def test_examples_that_do_not_fit_are_refused(tmp_path, members, reason):
    given = two_inputs(tmp_path)
    np.savez(tmp_path / "examples.npz", **members)
    with pytest.raises(BadInput, match=f"^examples.*{reason}"):
        export_keras(given, tmp_path / "out", FAST, SERVED)
    assert not (tmp_path / "out").exists()


def test_a_data_set_does_not_fit_a_network_of_several_inputs(tmp_path):
    given = dataclasses.replace(two_inputs(tmp_path), dataset=arrays(tmp_path, (2,), 2), examples=None)
    with pytest.raises(BadInput, match="the network takes numbers, words; give one array for each with examples"):
        export_keras(given, tmp_path / "out", FAST, SERVED)


def test_a_model_of_keras_3_is_exported(tmp_path):
    layers = keras.layers
    model = keras.Sequential([keras.Input((4, 4, 1)), layers.Flatten(), layers.Dense(3, name="head")], name="new")
    kernel = np.array(model.get_layer("head").kernel)
    model.get_layer("head").kernel.assign(np.where(kernel > 0, kernel, 0))
    model.save(tmp_path / "new.keras")
    Ticket.from_masks({"head/kernel": kernel > 0}).save(tmp_path / "ticket.npz")
    given = SavedModel(
        tmp_path / "new.keras", str(tmp_path / "ticket.npz"), dataset=arrays(tmp_path, (4, 4, 1), 3, np.uint8)
    )
    report = export_keras(given, tmp_path / "out", PLAIN, SERVED)
    assert report["verification"]["accuracy"] is not None and report["parameters"]["removed"] == (kernel <= 0).sum()
    images = np.random.default_rng(0).random((3, 4, 4, 1), np.float32)
    serve = tf.saved_model.load(os.fspath(tmp_path / "out" / "plain")).signatures["serving_default"]
    assert np.allclose(serve(images=tf.constant(images))["logits"], model(images), atol=1e-5)
