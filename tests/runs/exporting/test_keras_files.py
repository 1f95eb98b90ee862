"""Saved models of tf_keras are loaded; what is none, or would run code, is refused in one sentence."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tracemalloc
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf.errors import BadInput
from dlth_tf.runs.exporting.keras_files import load_keras_model

layers = tf_keras.layers
KINDS = ("mine.keras", "mine.h5", "mine")
pytestmark = pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")


def network(*more: tf_keras.layers.Layer) -> tf_keras.Model:
    images = tf_keras.Input((4, 4, 1))
    x = layers.Flatten()(images)
    for layer in more:
        x = layer(x)
    x = tf.nn.relu(layers.Dense(6, name="body")(x)) + 1.0
    return tf_keras.Model(images, layers.Dense(3, "softmax", name="head")(x), name="mine")


def save(model: tf_keras.Model, folder: Path) -> None:
    for kind in KINDS:
        model.save(folder / kind, save_format=kind.rpartition(".")[2].replace("mine", "tf"))


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> tuple[Path, tf_keras.Model]:
    folder = tmp_path_factory.mktemp("saved")
    model = network()
    model.compile("adam", "sparse_categorical_crossentropy")
    save(model, folder)
    return folder, model


@pytest.fixture(scope="module")
def with_lambda(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("with_lambda")
    save(network(layers.Lambda(lambda x: x + 1, name="plus")), folder)
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_has_the_same_outputs(saved, kind):
    folder, model = saved
    loaded = load_keras_model(folder / kind)
    images = np.random.default_rng(0).random((5, 4, 4, 1), np.float32)
    assert np.array_equal(loaded(images), model(images))


@pytest.mark.parametrize("kind", KINDS)
def test_a_lambda_is_loaded_only_if_the_file_is_trusted(with_lambda, kind):
    with pytest.raises(
        BadInput, match=r"the class Lambda \(plus\), which is code, and is only loaded with --trust_run"
    ):
        load_keras_model(with_lambda / kind)
    assert "plus" in [layer.name for layer in load_keras_model(with_lambda / kind, trusted=True).layers]


def of_keras_3(*more: keras.layers.Layer) -> keras.Model:
    images = keras.Input((4, 4, 1))
    x = keras.layers.Flatten()(images)
    for layer in more:
        x = layer(x)
    return keras.Model(images, keras.ops.relu(keras.layers.Dense(3)(x)) * 2.0 + 1.0)


def test_a_keras_file_of_keras_3_has_the_same_outputs(tmp_path):
    model = of_keras_3(keras.layers.BatchNormalization(), keras.layers.Dropout(0.5))
    model.compile("adam", "mse")
    model.save(tmp_path / "new.keras")
    images = np.random.default_rng(0).random((5, 4, 4, 1), np.float32)
    assert np.array_equal(load_keras_model(tmp_path / "new.keras")(images), model(images))


@pytest.mark.filterwarnings("ignore:.*save your model as an HDF5 file")
def test_an_hdf5_file_of_keras_3_is_refused(tmp_path):
    of_keras_3().save(tmp_path / "new.h5")
    with pytest.raises(BadInput, match=r"was saved by Keras 3\.\d+.* as HDF5: save it as .keras"):
        load_keras_model(tmp_path / "new.h5")


def test_code_in_a_file_of_keras_3_is_loaded_only_if_the_file_is_trusted(tmp_path):
    of_keras_3(keras.layers.Lambda(lambda x: x + 1, name="plus")).save(tmp_path / "new.keras")
    with pytest.raises(
        BadInput, match=r"the class Lambda \(plus\), which is code, and is only loaded with --trust_run"
    ):
        load_keras_model(tmp_path / "new.keras")
    assert "plus" in [layer.name for layer in load_keras_model(tmp_path / "new.keras", trusted=True).layers]


def test_a_file_of_keras_3_on_another_backend_is_refused(tmp_path, monkeypatch):
    of_keras_3().save(tmp_path / "new.keras")
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(BadInput, match="runs on jax here: set KERAS_BACKEND=tensorflow"):
        load_keras_model(tmp_path / "new.keras")


OPTIMIZERS = {"keras": dlth.keras3.SGD, "tf_keras": dlth.optimizers.SGD}


def compiled(package, nested: bool, optimizer):
    """Returns a model that was trained for a step, and a model inside it that is compiled too, if asked for."""
    inner = package.Sequential([package.Input((4,)), package.layers.Dense(4)], name="inner")
    inner.compile(optimizer(0.1, momentum=0.9), "mse")
    layer = inner if nested else package.layers.Dense(4)
    model = package.Sequential([package.Input((4,)), layer, package.layers.Dense(3)], name="mine")
    model.compile(optimizer(0.1, momentum=0.9), "mse")
    model.fit(np.ones((4, 4)), np.ones((4, 3)), verbose=0)
    return model


@pytest.mark.fast_cases("keras-True", "mine.keras-False", "mine.h5-True", "mine-False")
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    ("package", "kind"), [(keras, "mine.keras"), *((tf_keras, kind) for kind in KINDS)], ids=["keras", *KINDS]
)
def test_a_model_that_was_trained_with_our_optimizer_needs_no_trust(tmp_path, package, kind, nested):
    model = compiled(package, nested, OPTIMIZERS[package.__name__])
    model.save(tmp_path / kind)
    loaded = load_keras_model(tmp_path / kind)
    for old, new in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.fast_cases("keras-False-False", "keras-True-True", "tf_keras-False-True", "tf_keras-True-False")
@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("package", [keras, tf_keras])
def test_code_that_a_file_would_be_compiled_with_is_never_imported(tmp_path, monkeypatch, package, nested, trusted):
    path, ran = tmp_path / "mine.keras", tmp_path / "ran"
    model = compiled(package, nested, package.optimizers.SGD)
    model.save(path)
    name = f"hostile_{package.__name__}_{nested}_{trusted}"
    (tmp_path / f"{name}.py").write_text(f"open({str(ran)!r}, 'w').close()\n\n\nclass SGD:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    changed = 0
    places = [config, *(layer for layer in config["config"]["layers"] if layer["class_name"] == "Sequential")]
    for place in places:
        place["compile_config"]["optimizer"] = {"module": name, "class_name": "SGD", "config": {}}
        changed += 1
    rewritten(path, {"config.json": json.dumps(config).encode()})
    loaded = load_keras_model(path, trusted)
    assert changed == 1 + nested and not ran.exists() and name not in sys.modules
    np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])
    assert list(tmp_path.glob("*.keras")) == [path]


def test_a_configuration_of_many_levels_is_one_sentence(saved, tmp_path):
    path = shutil.copy(saved[0] / "mine.keras", tmp_path / "mine.keras")
    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json").decode()
    deep = config.rstrip().removesuffix("}") + ', "more": ' + "[" * 800 + "]" * 800 + "}"
    rewritten(path, {"config.json": deep.encode()})
    with pytest.raises(BadInput, match=f"^keras_model={path}: "):
        load_keras_model(path)


@pytest.mark.parametrize("package", [keras, tf_keras])
def test_a_copy_without_optimizers_has_the_vocabulary_of_the_file(tmp_path, package):
    words = package.layers.StringLookup(vocabulary=["a", "b"])
    inner = package.Sequential([package.Input((1,), dtype="string"), words, package.layers.Embedding(3, 2)])
    inner.compile("sgd", "mse")
    model = package.Sequential([package.Input((1,), dtype="string"), inner, package.layers.Dense(2)])
    model.save(tmp_path / "words.keras")
    given = tf.constant([["b"], ["?"]])
    np.testing.assert_array_equal(load_keras_model(tmp_path / "words.keras")(given), model(given))


def rewritten(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path) as archive:
        kept = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (kept | members).items():
            archive.writestr(name, data)


def importing(path: Path) -> None:
    config = {"class_name": "Functional", "module": "hostile_canary", "registered_name": None, "config": {}}
    rewritten(path, {"config.json": json.dumps(config).encode()})


def linked(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["model_weights/other"] = h5py.ExternalLink("/etc/hosts", "/x")


def bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("assets/zeros", bytes(100 * 2**20))


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def weights_alone(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file.attrs["model_config"]


def without_metadata(path: Path) -> None:
    (path / "keras_metadata.pb").unlink()


@pytest.mark.parametrize(
    ("kind", "damage", "reason"),
    [
        ("mine.keras", importing, "names code outside of Keras"),
        ("mine.keras", lambda path: rewritten(path, {"config.json": b"[" * 100_000}), "is not a model .*nested"),
        ("mine.keras", lambda path: rewritten(path, {"model.weights.npz": b""}), "weights of a format that tf_keras"),
        ("mine.keras", bomb, "its members have more than"),
        ("mine.keras", lambda path: path.write_bytes(b"PK"), "is not a model that tf_keras saved"),
        ("mine.keras", pipe, "cannot be read .*not a regular file"),
        ("mine.h5", linked, "refers to another place or file"),
        ("mine.h5", weights_alone, "it holds weights alone"),
        ("mine.h5", lambda path: path.write_bytes(b"\x89HDF"), "is not a model that tf_keras saved"),
        ("mine", without_metadata, "it has no keras_metadata.pb"),
        ("mine", lambda path: pipe(path / "keras_metadata.pb"), "cannot be read .*not a regular file"),
        ("mine", lambda path: (path / "keras_metadata.pb").write_bytes(b"\xff" * 9), "is not a model"),
        ("mine", lambda path: (path / "saved_model.pb").write_bytes(b""), "cannot be loaded"),
    ],
)
def test_a_damaged_or_hostile_file_is_one_sentence(saved, tmp_path, kind, damage, reason):
    source = saved[0] / kind
    path = tmp_path / kind
    (shutil.copytree if source.is_dir() else shutil.copy)(source, path)
    damage(path)
    with pytest.raises(BadInput, match=reason) as refused:
        load_keras_model(path)
    assert refused.value.thing == "keras_model" and "\n" not in str(refused.value)


def test_a_directory_of_an_archive_that_claims_gigabytes_takes_no_memory(saved, tmp_path):
    data = bytearray((saved[0] / "mine.keras").read_bytes())
    data[-10:-6] = (2**31).to_bytes(4, "little")  # size of the directory
    (tmp_path / "a.keras").write_bytes(data)
    tracemalloc.start()
    with pytest.raises(BadInput, match="is not a model that tf_keras saved"):
        load_keras_model(tmp_path / "a.keras")
    assert tracemalloc.get_traced_memory()[1] < 2**26
    tracemalloc.stop()
