"""The wrapper: its variables, its config, its files, and tf-mot's own tools on it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras
from tensorflow_model_optimization.python.core.sparsity.keras.pruning_wrapper import (
    PruneLowMagnitude,
    collect_prunable_layers,
)

import dlth_tf as dlth
from dlth_tf import masking
from dlth_tf.masking import MaskedLayer
from tests.masking.networks import (
    KINDS,
    batches,
    compiled,
    difference,
    fit_kind,
    functional,
    kept_whole,
    kernels,
    largest_removed,
    mlp,
    normal,
    same,
    train,
    weights,
    wrapped,
)

ROOT = Path(__file__).resolve().parents[2]
L = tf_keras.layers
FILES = ["model.keras", "model.h5", "model"]
SAVED_KINDS = ["sequential built by a call", "embedding, lstm", "attention", "operations, many inputs and outputs"]


def state(model: tf_keras.Model) -> dict[str, np.ndarray]:
    """Every prunable weight with its mask and its ticket."""
    entries = masking.prunable_weights(model).items()
    parts = ("weight", "mask", "ticket")
    return {f"{name}/{part}": getattr(entry, part).numpy() for name, entry in entries for part in parts}


def marked(model: tf_keras.Model) -> tf_keras.Model:
    """Wrapped, with masks and tickets that differ from each other and from ones."""
    model = dlth.wrap(model)
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.5, dense_layers="none"), remove=True)
    masking.choose(model, dlth.random_ticket(model, 0.75, dense_layers="none"))
    return model


# the layer itself --------------------------------------------------------------------------------------------------


def test_masks_and_tickets_are_ones_of_the_weights_dtype_and_not_trained():
    model = dlth.wrap(mlp())
    assert kept_whole(model)
    for entry in masking.prunable_weights(model).values():
        assert entry.chosen().all() and entry.mask.shape == entry.ticket.shape == entry.weight.shape
        assert entry.mask.dtype == entry.ticket.dtype == entry.weight.dtype
        assert not entry.mask.trainable and not entry.ticket.trainable
    assert len(model.trainable_variables) == len(mlp().trainable_variables)


def test_the_wrapper_has_the_name_of_its_layer():
    model = dlth.wrap(mlp())
    assert [layer.name for layer in model.layers] == ["fc1", "fc2", "out"]
    assert model.output_names == mlp().output_names


def test_losses_and_targets_by_output_name_go_on_as_before():
    inputs = L.Input((8,))
    hidden = L.Dense(4, name="hidden")(inputs)
    model = dlth.wrap(tf_keras.Model(inputs, [L.Dense(1, name="left")(hidden), L.Dense(1, name="right")(hidden)]))
    model.compile("sgd", {"left": "mse", "right": "mae"})
    logs = model.fit(normal(8, 8)(), {"left": np.ones((8, 1)), "right": np.ones((8, 1))}, verbose=0).history
    assert set(logs) == {"loss", "left_loss", "right_loss"}


def test_every_variable_has_a_name_of_its_own():
    for kind in ("embedding, lstm", "attention"):
        for layer in dlth.wrap(KINDS[kind].model()).layers:
            names = [weight.name for weight in layer.weights]
            assert len(set(names)) == len(names)


def test_the_forward_pass_is_the_inner_layers_own():
    model, inputs = dlth.wrap(mlp()), normal(4, 8)()
    before = model(inputs)
    for entry in masking.prunable_weights(model).values():
        entry.mask.assign(tf.zeros(entry.shape))
    assert difference(model(inputs, training=True), before) == 0.0
    assert not same(weights(model), {name: np.zeros_like(value) for name, value in weights(model).items()}), (
        "and nothing was written"
    )


def test_config_round_trip_keeps_the_layer():
    layer = MaskedLayer(L.Dense(4, "relu", name="fc", dtype="float64"))
    copy = MaskedLayer.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    assert (copy.name, copy.layer.units, copy.layer.activation, copy.dtype) == (
        "fc",
        4,
        tf_keras.activations.relu,
        "float64",
    )
    assert (
        MaskedLayer.from_config({**layer.get_config(), "layer": tf_keras.layers.serialize(L.Dense(5))}).layer.units == 5
    )


def test_a_model_from_its_config_takes_the_weights_masks_and_tickets():
    model = marked(mlp())
    copy = tf_keras.Sequential.from_config(model.get_config())
    assert not same(state(copy), state(model))
    copy.set_weights(model.get_weights())
    assert same(state(copy), state(model))


def test_a_cloned_model_takes_the_weights_masks_and_tickets():
    model = marked(mlp())
    copy = tf_keras.models.clone_model(model)
    assert all(entry.kept().all() for entry in masking.prunable_weights(copy).values()), (
        "like any weights of a clone, they are new"
    )
    copy.set_weights(model.get_weights())
    assert same(state(copy), state(model))


# files -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["weights/tf", "weights.h5", "w.weights.h5"])
@pytest.mark.parametrize("kind", ["embedding, lstm", "attention", "nested, shared", "subclassed inside functional"])
def test_saved_weights_bring_masks_and_tickets_back(kind, name, tmp_path):
    model, other = marked(KINDS[kind].model()), dlth.wrap(KINDS[kind].model())
    model.save_weights(tmp_path / name)
    assert not same(state(other), state(model))
    other.load_weights(tmp_path / name)
    assert same(state(other), state(model)) and same(weights(other), weights(model))


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
    """Keras itself cannot bring back, from its files, a layer that is shared across levels."""
    inner = tf_keras.Sequential([L.Input((6,)), L.Dense(6, name="deep")], name="inner")
    twice = L.Dense(6, name="twice")
    middle = functional((6,), twice, inner, twice)
    return functional((6,), middle, L.ReLU(), middle, L.Dense(2, name="out"))


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
    print(sum(int((~entry.kept()).sum()) for entry in masking.prunable_weights(model).values()), model.optimizer.momentum)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.stdout.split() == ["108", "0.9"] * 3, done.stdout + done.stderr[-2000:]


# tf-mot's own tools ------------------------------------------------------------------------------------------------


def test_tf_mot_takes_the_wrappers_for_its_own():
    model = dlth.wrap(KINDS["subclassed"].model())
    assert all(isinstance(layer, PruneLowMagnitude) for layer in collect_prunable_layers(model))
    assert {layer.name for layer in collect_prunable_layers(model)} == {
        name.split("/")[0] for name in KINDS["subclassed"].prunable
    }


def test_tf_mots_callbacks_work_in_a_fit_together_with_keep_mask(tmp_path):
    model = compiled(wrapped())
    masks = {name: value for name, value in state(model).items() if name.endswith(("mask", "ticket"))}
    tools = tfmot.sparsity.keras
    train(
        model,
        [
            tools.UpdatePruningStep(),
            tools.PruningSummaries(log_dir=str(tmp_path), update_freq="epoch"),
            dlth.callbacks.KeepMask(),
        ],
        epochs=2,
    )
    assert {name: value.tobytes() for name, value in state(model).items() if name in masks} == {
        n: v.tobytes() for n, v in masks.items()
    }
    assert largest_removed(model) == 0.0
    written = [path for path in tmp_path.rglob("*tfevents*") if b"fc1/mask:0/sparsity" in path.read_bytes()]
    assert written, "PruningSummaries wrote the sparsity of fc1"


def test_tf_mots_strip_pruning_gives_the_same_network_as_ours():
    model, inputs = wrapped(), normal(4, 8)()
    theirs, ours = tfmot.sparsity.keras.strip_pruning(model), dlth.strip(model)
    assert difference(theirs(inputs), ours(inputs)) == 0.0
    assert [type(layer) for layer in theirs.layers] == [L.Dense] * 3
    assert [layer.name for layer in theirs.layers] == [layer.name for layer in ours.layers]


def test_tf_mots_own_wrapper_would_have_made_the_mask_anew():
    model = tfmot.sparsity.keras.prune_low_magnitude(mlp(), tfmot.sparsity.keras.ConstantSparsity(0.5, 0, frequency=1))
    compiled(model).fit(batches(4), verbose=0, callbacks=[tfmot.sparsity.keras.UpdatePruningStep()])
    assert not np.all(model.layers[0].pruning_vars[0][1].numpy()), (
        "the twin: it prunes by magnitude, ours keeps what was chosen"
    )


def test_a_trained_lstm_comes_back_from_hdf5(tmp_path):
    kind = KINDS["embedding, lstm"]
    model = marked(kind.model())
    masking.remove(model)
    fit_kind(kind, model, [dlth.callbacks.KeepMask()], run_eagerly=True)
    model.save_weights(tmp_path / "w.h5")
    other = dlth.wrap(kind.model())
    other.load_weights(tmp_path / "w.h5")
    assert same(state(other), state(model)) and largest_removed(other) == 0.0
