"""Files that are written during training with the hook: removed weights are zero in each of them."""

from __future__ import annotations

import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking
from tests.masking.networks import (
    compiled,
    largest_removed,
    mlp,
    train,
    wrapped,
)

keras = tf_keras.optimizers
L = tf_keras.layers
SGD = dlth.optimizers.SGD
KeepMask = dlth.callbacks.KeepMask


class EveryEpoch(tf_keras.callbacks.Callback):
    """Writes a checkpoint at the end of every epoch, while the hook is installed."""

    def __init__(self, folder) -> None:
        super().__init__()
        self.folder = folder
        self.paths = []

    def on_epoch_end(self, epoch, logs=None):
        checkpoint = tf.train.Checkpoint(model=self.model, optimizer=self.model.optimizer)
        self.paths.append(checkpoint.write(str(self.folder / f"ckpt{epoch}")))


def removed_on_disk(folder, paths: list[str]) -> list[float]:
    """Returns the largest removed weight in every file that was written."""
    models = []
    for path in paths:
        model = dlth.wrap(mlp(seed=1))
        tf.train.Checkpoint(model=model).read(path).expect_partial()
        models.append(model)
    for epoch in (1, 2, 3):
        model = dlth.wrap(mlp(seed=1))
        model.load_weights(folder / f"{epoch}.weights.h5")
        models += [model, tf_keras.models.load_model(folder / f"{epoch}.keras")]
    assert all(int((~masking.prunable_weights(model)["fc1/kernel"].kept()).sum()) == 48 for model in models)
    return [largest_removed(model) for model in models]


@pytest.mark.fast_cases("twin")
@pytest.mark.parametrize("keep", [True, False], ids=["kept", "twin"])
def test_removed_weights_are_zero_in_every_file_written_in_the_middle_of_fit(keep, tmp_path):
    model = compiled(wrapped())
    every = EveryEpoch(tmp_path)
    checkpoints = [
        tf_keras.callbacks.ModelCheckpoint(str(tmp_path / "{epoch}.keras")),
        tf_keras.callbacks.ModelCheckpoint(str(tmp_path / "{epoch}.weights.h5"), save_weights_only=True),
    ]
    train(model, [*([KeepMask()] if keep else []), every, *checkpoints], epochs=3)
    largest = removed_on_disk(tmp_path, every.paths)
    assert len(largest) == 9
    assert set(largest) == {0.0} if keep else min(largest) > 0


def test_a_checkpoint_of_a_fit_with_the_hook_is_an_ordinary_one(tmp_path):
    every = EveryEpoch(tmp_path)
    train(compiled(wrapped()), [KeepMask(), every])
    without = tf.train.Checkpoint(model=(model := compiled(wrapped())), optimizer=model.optimizer)
    train(model, [])
    names = [
        {name for name, _ in tf.train.list_variables(path)}
        for path in (every.paths[0], without.write(str(tmp_path / "without")))
    ]
    assert names[0] == names[1]
