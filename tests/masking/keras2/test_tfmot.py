"""tf-mot's own tools on wrapped models."""

from __future__ import annotations

import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras
from tensorflow_model_optimization.python.core.sparsity.keras.pruning_wrapper import (
    PruneLowMagnitude,
    collect_prunable_layers,
)

import dlth_tf as dlth
from tests.masking.keras2.wrapped_models import state
from tests.masking.kinds import KINDS, difference, normal
from tests.masking.networks import batches, compiled, largest_removed, mlp, train, wrapped

L = tf_keras.layers


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
    model = wrapped()
    inputs = normal(4, 8)()
    theirs = tfmot.sparsity.keras.strip_pruning(model)
    ours = dlth.strip(model)
    assert difference(theirs(inputs), ours(inputs)) == 0.0
    assert [type(layer) for layer in theirs.layers] == [L.Dense] * 3
    assert [layer.name for layer in theirs.layers] == [layer.name for layer in ours.layers]


def test_tf_mots_own_wrapper_would_have_made_the_mask_anew():
    model = tfmot.sparsity.keras.prune_low_magnitude(mlp(), tfmot.sparsity.keras.ConstantSparsity(0.5, 0, frequency=1))
    compiled(model).fit(batches(4), verbose=0, callbacks=[tfmot.sparsity.keras.UpdatePruningStep()])
    assert not np.all(model.layers[0].pruning_vars[0][1].numpy()), (
        "the twin: it prunes by magnitude, ours keeps what was chosen"
    )
