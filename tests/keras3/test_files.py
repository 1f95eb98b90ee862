"""Files of Keras 3 models with masks: written while a hook is on, read by stock Keras and by ours."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import dlth_tf as dlth
from dlth_tf import BadInput, masking
from dlth_tf.callbacks import KeepMask, RandomMask
from tests.keras3.networks import assert_equal, compiled, fit, mlp, removed, state, transform


@pytest.fixture
def saved(tmp_path):
    """A model that was saved after the first epoch of a transformation, with the hook on."""
    model = compiled(mlp())
    fit(model, [*transform(), keras.callbacks.ModelCheckpoint(str(tmp_path / "{epoch}.keras"))])
    return tmp_path / "1.keras"


def test_stock_keras_reads_the_plain_model_and_the_whole_optimizer(saved, recwarn):
    model = keras.saving.load_model(saved)
    assert int(model.optimizer.iterations) == 5
    assert [str(w.message) for w in recwarn if "Skipping" in str(w.message)] == []
    assert "dlth_tickets" not in vars(model)


def test_our_reader_restores_masks_and_tickets_and_a_transformation_resumes(saved):
    whole = compiled(mlp())
    fit(whole, transform())
    model = dlth.keras3.load_model(saved)
    assert masking.chosen_ticket(model) == dlth.random_ticket(mlp(), 0.75, 3)
    assert removed(model) == {}
    fit(model, [transform(resume=True)[1]], epochs=3, initial_epoch=1)
    assert_equal(state(model), state(whole))


def test_weights_files_hold_masks_too(tmp_path):
    model = compiled(mlp())
    fit(model, [RandomMask(0.75, seed=4, remove=True)], epochs=1)
    model.save_weights(tmp_path / "net.weights.h5")
    other = dlth.wrap(mlp(seed=1))
    other.load_weights(tmp_path / "net.weights.h5")
    assert masking.chosen_ticket(other) == masking.chosen_ticket(model)
    assert removed(other) == removed(model)
    plain = mlp(seed=1)
    plain.load_weights(tmp_path / "net.weights.h5")
    np.testing.assert_array_equal(plain.get_weights()[0], model.get_weights()[0])


def test_a_file_without_masks_makes_them_whole(tmp_path):
    mlp().save(tmp_path / "plain.keras")
    model = dlth.keras3.load_model(tmp_path / "plain.keras")
    assert removed(model) == {} and len(masking.prunable_weights(model)) == 3
    with pytest.raises(BadInput, match="no removed weights to keep"):
        fit(compiled(model), [KeepMask()])


def test_a_mask_that_does_not_fit_its_weight_is_refused(tmp_path):
    import h5py

    model = dlth.wrap(mlp())
    path = tmp_path / "net.weights.h5"
    model.save_weights(path)
    with h5py.File(path, "r+") as file:
        group = file["dlth_tickets/vars"]
        del group["fc1|kernel"]
        group["fc1|kernel"] = np.zeros((2, 3), np.uint8)
    with pytest.raises(ValueError, match=r"tickets=fc1/kernel: is uint8\[2, 3\] in the file, not uint8\[2, 12\]"):
        model.load_weights(path)


def test_tickets_are_files_for_both_kerases(tmp_path):
    ticket = dlth.random_ticket(mlp(), 0.75)
    ticket.save(tmp_path / "ticket.npz")
    model = mlp()
    dlth.apply_ticket(model, dlth.Ticket.load(tmp_path / "ticket.npz"), remove=True)
    assert masking.chosen_ticket(model) == ticket


def test_a_clone_has_no_masks():
    model = dlth.wrap(mlp())
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.75))
    clone = keras.models.clone_model(model)
    assert "dlth_tickets" not in vars(clone)
