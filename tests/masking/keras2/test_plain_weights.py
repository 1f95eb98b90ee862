"""Files of the plain network's weights load into the wrapped one, in every format."""

from __future__ import annotations

import copy
import itertools
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking
from tests.masking.keras2.wrapped_models import removed, state
from tests.masking.kinds import KINDS, Kind
from tests.masking.networks import compiled, largest_removed, mlp, same, train, weights

FILES = ("w.h5", "w.weights.h5", "w.keras", "checkpoint")
NETWORKS = ("sequential", "states", "conv2d, batch norm, dropout", "nested, shared", "subclassed inside functional")
PAIRS = [*itertools.product(NETWORKS[:-1], FILES)]
PAIRS += itertools.product(["subclassed", NETWORKS[-1]], FILES[:2] + FILES[3:])  # they have no get_config for .keras
QUICK = {"sequential": FILES, "nested, shared": ("w.weights.h5",), "subclassed": ("w.h5", "checkpoint")}
SOME_SLOW = [
    pytest.param(name, file, marks=() if file in QUICK.get(name, ()) else pytest.mark.slow)
    for name, file in dict.fromkeys(PAIRS)
]


def save(model: tf_keras.Model, path: str) -> str:
    """Saves the model, or its weights alone, as the name of the file says."""
    model.save(path) if path.endswith(".keras") else model.save_weights(path)
    return path


def other(kind: Kind) -> tf_keras.Model:
    """Returns a network of the kind with other weights."""
    model = kind.model()
    rng = np.random.default_rng(11)
    for weight in model.weights:
        weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    return model


@pytest.mark.fast_cases("sequential-w.weights.h5", "nested, shared-w.weights.h5", "subclassed-checkpoint")
@pytest.mark.parametrize(("name", "file"), SOME_SLOW)
def test_weights_of_the_plain_network_load_into_the_wrapped_one(name, file, tmp_path):
    kind = KINDS[name]
    source = other(kind)
    path = save(source, str(tmp_path / file))
    model = dlth.wrap(kind.model())
    assert not same(weights(model), weights(source))
    model.load_weights(path)
    assert same(weights(model), weights(source))
    np.testing.assert_allclose(model(kind.inputs()), source(kind.inputs()), rtol=1e-6)
    assert set(masking.prunable_weights(model)) == set(kind.prunable)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("name", ["sequential", pytest.param("nested, shared", marks=pytest.mark.slow)])
def test_files_of_the_wrapped_network_still_load_with_masks_and_tickets(name, file, tmp_path):
    kind = KINDS[name]
    source = removed(kind.model())
    path = save(source, str(tmp_path / file))
    model = dlth.wrap(other(kind))
    model.load_weights(path)
    assert same(state(model), state(source)) and same(weights(model), weights(source))


def loaded(model: tf_keras.Model, path: Path) -> tf_keras.Model:
    model.save(path)
    return tf_keras.models.load_model(path)


COPIES = {
    "loaded": lambda model, folder: loaded(model, folder / "wrapped.keras"),
    "loaded from HDF5": lambda model, folder: loaded(model, folder / "wrapped.h5"),
    "cloned": lambda model, folder: tf_keras.models.clone_model(model),
    "from its configuration": lambda model, folder: type(model).from_config(model.get_config()),
    "copied": lambda model, folder: copy.deepcopy(model),
}


@pytest.mark.fast_cases("sequential-loaded", "sequential-cloned")
@pytest.mark.parametrize("made", COPIES)
@pytest.mark.parametrize("name", ["sequential", pytest.param("conv2d, batch norm, dropout", marks=pytest.mark.slow)])
def test_a_wrapped_model_that_keras_has_copied_reads_plain_files_after_wrap(made, name, tmp_path):
    kind = KINDS[name]
    source = other(kind)
    model = removed(kind.model())
    copied = COPIES[made](model, tmp_path)
    again = dlth.wrap(copied)
    assert again is copied
    kept = {name: entry.kept() for name, entry in masking.prunable_weights(again).items()}
    for file in FILES:
        path = save(source, str(tmp_path / f"plain-{file}"))
        for weight in masking.named_weights(again).values():
            weight.assign(tf.zeros_like(weight))
        again.load_weights(path)
        for weight, value in weights(source).items():
            np.testing.assert_array_equal(weights(again)[weight], np.where(kept.get(weight, True), value, 0))


@pytest.mark.fast_cases("w.keras")
@pytest.mark.parametrize("file", FILES)
def test_removed_weights_stay_zero_when_plain_ones_are_loaded(file, tmp_path):
    kind = KINDS["nested, shared"]
    source = other(kind)
    path = save(source, str(tmp_path / file))
    model = removed(kind.model())
    ticket = masking.chosen_ticket(model)
    model.load_weights(path)
    assert masking.chosen_ticket(model) == ticket and largest_removed(model) == 0.0
    for name, entry in masking.prunable_weights(model).items():
        np.testing.assert_array_equal(entry.weight, weights(source)[name] * entry.kept())
    dlth.strip(model)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_a_removed_weight_is_zero_whatever_the_file_holds(value, tmp_path):
    source = mlp()
    for weight in source.weights:
        weight.assign(tf.fill(weight.shape, value))
    model = removed(mlp())
    model.load_weights(save(source, str(tmp_path / "w.keras")))
    for entry in masking.prunable_weights(model).values():
        found = entry.weight.numpy()[~entry.kept()]
        assert found.size and not found.any() and not np.signbit(found).any()


def test_a_keras_file_that_claims_a_large_member_is_refused_by_keras(tmp_path):
    path = str(tmp_path / "w.keras")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(2**27))
    model = removed(mlp())
    tracemalloc.start()
    with pytest.raises(OSError, match="file signature not found"):
        model.load_weights(path)
    assert tracemalloc.get_traced_memory()[1] < 2**26  # zipfile seeks in steps of 16 MiB
    tracemalloc.stop()


def test_weights_load_into_a_nested_base_alone(tmp_path):
    kind = KINDS["nested, shared"]
    source = other(kind)
    for file in FILES[:2]:
        path = save(source.get_layer("middle"), str(tmp_path / file))
        model = dlth.wrap(kind.model())
        head = model.get_layer("out").kernel.numpy()
        model.get_layer("middle").load_weights(path)
        found, wanted = weights(model), weights(source)
        assert all(np.array_equal(found[name], wanted[name]) == (not name.startswith("out")) for name in found)
        np.testing.assert_array_equal(model.get_layer("out").kernel, head)


def test_weights_load_by_name(tmp_path):
    source = mlp(seed=3)
    path = save(source, str(tmp_path / "w.h5"))
    model = dlth.wrap(mlp(classes=5))
    before = weights(model)
    model.load_weights(path, by_name=True, skip_mismatch=True)
    after = weights(model)
    assert all(np.array_equal(after[name], weights(source)[name]) for name in after if name.startswith("fc"))
    assert same({"out": after["out/kernel"]}, {"out": before["out/kernel"]}), "the head of another shape"


def test_a_file_of_another_network_is_refused_by_keras(tmp_path):
    path = save(mlp(classes=5), str(tmp_path / "w.weights.h5"))
    model = dlth.wrap(mlp())
    with pytest.raises(ValueError, match="shape"):
        model.load_weights(path)
    with pytest.raises((OSError, tf.errors.NotFoundError, ValueError)):
        model.load_weights(str(tmp_path / "no_such_checkpoint"))


def test_the_best_weights_of_pretraining_start_a_transformation(tmp_path):
    path = str(tmp_path / "best.weights.h5")
    plain = compiled(mlp())
    train(plain, [tf_keras.callbacks.ModelCheckpoint(path, save_weights_only=True)], epochs=2)
    model = compiled(dlth.wrap(mlp(seed=5)))
    model.load_weights(path)
    assert same(weights(model), weights(plain))
    mask = dlth.callbacks.RandomMask(0.5, pick="magnitude_min", remove=True)
    train(model, [mask])
    assert mask.ticket == dlth.magnitude_ticket(dlth.wrap(plain), 0.5) and largest_removed(model) == 0.0


def test_weights_that_are_loaded_while_compiled_leave_the_optimizer_alone(tmp_path):
    source = compiled(mlp(seed=2))
    train(source, [])
    for file in FILES:
        path = save(source, str(tmp_path / file))
        model = compiled(dlth.wrap(mlp()))
        model.load_weights(path)
        assert same(weights(model), weights(source)) and int(model.optimizer.iterations) == 0
        train(model, [dlth.callbacks.RandomMask(0.5, remove=True)], steps=2)
        assert int(model.optimizer.iterations) == 2 and largest_removed(model) == 0.0
