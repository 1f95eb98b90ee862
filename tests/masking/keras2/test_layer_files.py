"""Wrapped models in files: masks, tickets and optimizer are restored."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking
from tests.masking.keras2.wrapped_models import marked, state
from tests.masking.kinds import KINDS, difference, fit_kind, functional, kernels
from tests.masking.networks import compiled, largest_removed, mlp, same, train, weights, wrapped

ROOT = Path(__file__).resolve().parents[3]
L = tf_keras.layers
FILES = ["model.keras", "model.h5", "model"]
SAVED_KINDS = ["sequential built by a call", "embedding, lstm", "attention", "operations, many inputs and outputs"]


@pytest.mark.fast_cases("attention-weights/tf", "nested, shared-w.weights.h5")
@pytest.mark.parametrize("name", ["weights/tf", "weights.h5", "w.weights.h5"])
@pytest.mark.parametrize("kind", ["embedding, lstm", "attention", "nested, shared", "subclassed inside functional"])
def test_saved_weights_bring_masks_and_tickets_back(kind, name, tmp_path):
    model = marked(KINDS[kind].model())
    other = dlth.wrap(KINDS[kind].model())
    model.save_weights(tmp_path / name)
    assert not same(state(other), state(model))
    other.load_weights(tmp_path / name)
    assert same(state(other), state(model)) and same(weights(other), weights(model))


@pytest.mark.fast_cases(
    "sequential built by a call-model.keras", "sequential built by a call-model.h5", "attention-model.keras"
)
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", SAVED_KINDS)
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_a_saved_model_brings_masks_and_tickets_back(kind, name, tmp_path):
    kind = KINDS[kind]
    model = marked(kind.model())
    model.save(tmp_path / name)
    loaded = tf_keras.models.load_model(tmp_path / name)
    assert same(state(loaded), state(model))
    assert difference(loaded(kind.inputs()), model(kind.inputs())) == 0.0
    masking.remove(loaded)
    dlth.strip(loaded)


def nested_without_a_layer_shared_across_levels() -> tf_keras.Model:
    """Builds nested models; Keras itself cannot restore a layer that is shared across levels from its files."""
    inner = tf_keras.Sequential([L.Input((6,)), L.Dense(6, name="deep")], name="inner")
    twice = L.Dense(6, name="twice")
    middle = functional((6,), twice, inner, twice)
    return functional((6,), middle, L.ReLU(), middle, L.Dense(2, name="out"))


@pytest.mark.fast_cases("model.keras")
@pytest.mark.parametrize("name", FILES)
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_a_saved_nested_model_brings_masks_and_tickets_back(name, tmp_path):
    model = marked(nested_without_a_layer_shared_across_levels())
    model.save(tmp_path / name)
    loaded = tf_keras.models.load_model(tmp_path / name)
    assert tuple(masking.prunable_weights(loaded)) == kernels("twice", "deep", "out")
    assert same(state(loaded), state(model))


def test_a_checkpoint_brings_masks_tickets_and_the_optimizer_back(tmp_path):
    model = compiled(wrapped())
    train(model, [dlth.callbacks.KeepMask()])
    path = tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(str(tmp_path / "ckpt"))
    other = compiled(dlth.wrap(mlp(seed=1)))
    other.optimizer.build(other.trainable_variables)
    tf.train.Checkpoint(model=other, optimizer=other.optimizer).read(path).assert_consumed()
    assert same(state(other), state(model))
    for ours, theirs in zip(other.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_a_saved_model_trains_on_exactly_where_it_was(name, tmp_path):
    model = compiled(wrapped())
    train(model, [dlth.callbacks.KeepMask()])
    model.save(tmp_path / name)
    loaded = tf_keras.models.load_model(tmp_path / name)
    for network in (model, loaded):
        train(network, [dlth.callbacks.KeepMask()])
    assert same(state(loaded), state(model))


@pytest.mark.slow
def test_a_fresh_process_loads_a_saved_model_without_custom_objects(tmp_path):
    model = compiled(wrapped())
    train(model, [dlth.callbacks.KeepMask()])
    with pytest.warns(UserWarning, match="HDF5"):
        model.save(tmp_path / "model.h5")
    model.save(tmp_path / "model.keras")
    model.save(tmp_path / "model")
    code = f"""
import dlth_tf.masking as masking, dlth_tf.masking.keras2, tf_keras
for name in ("model.h5", "model.keras", "model"):
    model = tf_keras.models.load_model({str(tmp_path)!r} + "/" + name)
    removed = sum(int((~entry.kept()).sum()) for entry in masking.prunable_weights(model).values())
    print(removed, model.optimizer.momentum)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.stdout.split() == ["108", "0.9"] * 3, done.stdout + done.stderr[-2000:]


def test_a_trained_lstm_comes_back_from_hdf5(tmp_path):
    kind = KINDS["embedding, lstm"]
    model = marked(kind.model())
    masking.remove(model)
    fit_kind(kind, model, [dlth.callbacks.KeepMask()], run_eagerly=True)
    model.save_weights(tmp_path / "w.h5")
    other = dlth.wrap(kind.model())
    other.load_weights(tmp_path / "w.h5")
    assert same(state(other), state(model)) and largest_removed(other) == 0.0
