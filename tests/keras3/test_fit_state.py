"""State of callbacks in files of Keras 3: it belongs to one `fit`, and to the network, however its layers are named."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import dlth_tf as dlth
from dlth_tf import masking
from dlth_tf.callbacks import IMP, EarlyBird, GradualMagnitude, RandomMask, RSTPenalty, StraightThrough
from tests.keras3.networks import L, compiled, fit, mlp, removed, zeros

BACKUP = "backup"


def unnamed(*, inside: bool = False, units: int = 16) -> keras.Model:
    """Returns a network whose layers have the names that Keras counts; `inside`: two towers with equal layer names."""
    keras.utils.set_random_seed(0)
    if not inside:
        return keras.Sequential([keras.Input((6,)), L.Dense(units, "relu"), L.Dense(12, "relu"), L.Dense(3)])
    inputs = keras.Input((6,))
    towers = [keras.Sequential([keras.Input((6,)), L.Dense(units, "relu", name="fc")]) for _ in range(2)]
    return keras.Model(inputs, L.Dense(3)(L.Concatenate()([tower(inputs) for tower in towers])))


class Interrupts(keras.callbacks.Callback):
    def __init__(self, epoch: int = 2) -> None:
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KeyboardInterrupt


CALLBACKS = {
    "scratch": lambda sparsity: [RandomMask(sparsity, remove=True)],
    "rst": lambda sparsity: [RandomMask(sparsity), RSTPenalty(step=0.1, every=1, hold_steps=5)],
    "imp": lambda sparsity: [IMP(sparsity, rounds=2)],
    "early_bird": lambda sparsity: [EarlyBird(sparsity)],
    "ste": lambda sparsity: [StraightThrough(sparsity)],
    "gmp": lambda sparsity: [GradualMagnitude(sparsity, every=2)],
}


@pytest.mark.parametrize("inside", [False, True], ids=["flat", "towers"])
@pytest.mark.fast_cases("scratch-towers")
@pytest.mark.slow_cases("imp-flat", "rst-towers", "ste-flat")
@pytest.mark.parametrize("name", CALLBACKS)
def test_a_fit_that_is_run_again_in_a_notebook_ends_like_one_that_was_not_interrupted(name, inside, tmp_path):
    whole = compiled(unnamed(inside=inside))
    fit(whole, CALLBACKS[name](0.75), epochs=4)
    backup = [keras.callbacks.BackupAndRestore(str(tmp_path / BACKUP))]
    with pytest.raises(KeyboardInterrupt):
        fit(compiled(unnamed(inside=inside)), [*CALLBACKS[name](0.75), *backup, Interrupts()], epochs=4)
    again = compiled(unnamed(inside=inside))
    fit(again, [*CALLBACKS[name](0.75), *backup], epochs=4)
    assert masking.prunable_weights(again).keys().isdisjoint(masking.prunable_weights(whole))
    for mine, other in zip(again.weights, whole.weights, strict=True):
        np.testing.assert_array_equal(mine, other)
    assert list(removed(again).values()) == list(removed(whole).values()) == [0.75, 0.75]


def test_masks_of_unnamed_layers_are_read_by_the_network_built_again(tmp_path):
    model = compiled(unnamed())
    fit(model, [RandomMask(0.75, remove=True)], epochs=1)
    model.save_weights(tmp_path / "net.weights.h5")
    L.Dense(1)  # takes a number
    again = dlth.wrap(unnamed())
    again.load_weights(tmp_path / "net.weights.h5")
    assert list(removed(again).values()) == [0.75, 0.75]
    assert removed(again) == zeros(again)


def as_before(path, names):
    """Renames the masks of a file as earlier versions of this package named them."""
    import h5py

    with h5py.File(path, "r+") as file:
        group = file["dlth_tickets/vars"]
        del group["~renumbered"]
        for now, before in {key: f"~{key}" for key in names}.items():
            group.move(now, before)
        for now, before in names.items():
            group.move(f"~{now}", before)


def test_files_with_the_names_of_the_process_are_read(tmp_path):
    model = compiled(unnamed())
    fit(model, [RandomMask(0.75, remove=True)], epochs=1)
    names = [name.replace("/", "|") for name in masking.prunable_weights(model)]
    model.save_weights(tmp_path / "net.weights.h5")
    now = ["dense|kernel", "dense_1|kernel", "dense_2|kernel"]
    as_before(tmp_path / "net.weights.h5", dict(zip(now, names, strict=True)))
    kept = removed(model)
    dlth.apply_ticket(model, dlth.Ticket.from_masks({}))
    model.load_weights(tmp_path / "net.weights.h5")
    assert removed(model) == kept
    with pytest.raises(ValueError, match=r"removes weights in the file, and this model has no such weight; it has"):
        dlth.wrap(unnamed()).load_weights(tmp_path / "net.weights.h5")


def test_masks_of_layers_that_are_skipped_are_refused_unless_they_are_whole(tmp_path):
    model = dlth.wrap(mlp())
    model.save_weights(tmp_path / "whole.weights.h5")
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.75), remove=True)
    model.save_weights(tmp_path / "sparse.weights.h5")
    other = dlth.wrap(mlp(), skip="fc1")
    other.load_weights(tmp_path / "whole.weights.h5")
    with pytest.raises(ValueError, match="tickets=fc1/kernel: removes weights in the file, and this model has no such"):
        other.load_weights(tmp_path / "sparse.weights.h5")


@pytest.mark.fast_cases("imp-file")
@pytest.mark.slow_cases("scratch-weights", "rst-file", "gmp-weights")
@pytest.mark.parametrize("by", ["file", "weights"])
@pytest.mark.parametrize("name", CALLBACKS)
def test_a_checkpoint_of_one_fit_says_nothing_to_the_next(name, by, tmp_path):
    path = str(tmp_path / ("net.keras" if by == "file" else "net.weights.h5"))
    model = compiled(mlp())
    saves = keras.callbacks.ModelCheckpoint(path, save_weights_only=by == "weights")
    fit(model, [*CALLBACKS[name](0.5), saves], epochs=4)
    if by == "file":
        model = dlth.keras3.load_model(path)
    else:
        model.load_weights(path)
    fit(compiled(model), CALLBACKS[name](0.75), epochs=4)
    assert removed(model) == {"fc1/kernel": 0.75, "fc2/kernel": 0.75}


def test_a_state_of_other_arguments_is_refused(tmp_path):
    backup = [keras.callbacks.BackupAndRestore(str(tmp_path / BACKUP))]
    with pytest.raises(KeyboardInterrupt):
        fit(compiled(mlp()), [EarlyBird(0.75, window=3), *backup, Interrupts(1)])
    with pytest.raises(ValueError, match=r"state=EarlyBird: has other arrays in the file than in this fit"):
        fit(compiled(mlp()), [EarlyBird(0.75, window=2), *backup])


def test_a_restored_random_mask_without_a_ticket_is_refused(tmp_path):
    class Forgets(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            dlth.apply_ticket(self.model, dlth.Ticket.from_masks({}))

    def callbacks(*more):
        return [RandomMask(0.75, remove=True), keras.callbacks.BackupAndRestore(str(tmp_path / BACKUP)), *more]

    with pytest.raises(KeyboardInterrupt):
        fit(compiled(mlp()), callbacks(Interrupts(1)))
    with pytest.raises(dlth.BadInput, match="has no ticket after the checkpoint of an interrupted fit was read"):
        fit(compiled(mlp()), callbacks(Forgets()))
