"""Files of Keras 3 models with masks: written while a hook is on, read by stock Keras and by ours."""

from __future__ import annotations

import copy
import pickle

import keras
import numpy as np
import pytest

import dlth_tf as dlth
from dlth_tf import BadInput, masking
from dlth_tf.callbacks import IMP, EarlyBird, KeepMask, RandomMask, StraightThrough
from tests.keras3.networks import BACKEND, L, assert_equal, compiled, data, fit, mlp, removed, state, transform, zeros

TENSORFLOW = pytest.mark.skipif(BACKEND != "tensorflow", reason="SavedModels and checkpoints are TensorFlow's")
HOOKED = {
    "scratch": lambda: [RandomMask(0.75, remove=True)],
    "rst": transform,
    "imp": lambda: [IMP(0.75, rounds=2)],
    "early_bird": lambda: [EarlyBird(0.75)],
    "ste": lambda: [StraightThrough(0.75)],
}


def assert_same_variables(first, second):
    """Asserts that weights and the optimizer's variables agree."""
    for mine, other in zip(
        [*first.weights, *first.optimizer.variables], [*second.weights, *second.optimizer.variables], strict=True
    ):
        np.testing.assert_array_equal(mine.numpy(), other.numpy())


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


def test_masks_of_the_layers_that_fit_are_read_where_a_mismatch_is_skipped(tmp_path):
    model = dlth.wrap(mlp())
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.75, dense_layers="none"), remove=True)
    model.save_weights(tmp_path / "all.weights.h5")
    layers = [L.Dense(16, "relu", name="fc1"), L.Dense(12, "relu", name="fc2"), L.Dense(3, name="out")]
    wider = dlth.wrap(keras.Sequential([keras.Input((9,)), *layers], name="net"))
    with pytest.warns(UserWarning, match="could not be loaded"):
        wider.load_weights(tmp_path / "all.weights.h5", skip_mismatch=True)
    assert removed(wider) == {"fc2/kernel": 0.75, "out/kernel": 0.75} == zeros(wider)


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


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_keeps_masks_tickets_and_the_choice_of_layers(copied):
    model = dlth.wrap(compiled(mlp()), skip="fc1")
    fit(model, [RandomMask(0.75, seed=4, remove=True)], epochs=1)
    other = copied(model)
    assert_same_variables(other, model)
    assert masking.chosen_ticket(other) == masking.chosen_ticket(model)
    assert removed(other) == removed(model) and "fc1/kernel" not in removed(other)
    fit(other, [KeepMask()], epochs=1)
    assert masking.chosen_ticket(other) == masking.chosen_ticket(model)
    assert dlth.strip(other) is other
    again = copied(other)
    assert_same_variables(again, other)
    assert removed(again) == removed(model)


def test_a_copy_of_a_copy_is_independent_of_the_model():
    model = dlth.wrap(mlp())
    other = copy.deepcopy(model)
    dlth.apply_ticket(other, dlth.random_ticket(other, 0.75), remove=True)
    assert removed(other) and not removed(model)


@TENSORFLOW
@pytest.mark.fast_cases("SGD-rst")
@pytest.mark.slow_cases("Adam-scratch", "SGD-ste", "Adam-imp")
@pytest.mark.parametrize("name", HOOKED)
@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_after_a_hook_the_model_is_still_saved_in_every_form_of_tensorflow(name, optimizer, tmp_path):
    import tensorflow as tf

    model = compiled(mlp(), getattr(keras.optimizers, optimizer)(0.01))
    fit(model, HOOKED[name]())
    fit(model, [KeepMask()], epochs=1)  # a second hook on the same optimizer
    x, _ = data()
    model.export(tmp_path / "exported", verbose=False)
    tf.saved_model.save(model, str(tmp_path / "saved"))
    exported = tf.saved_model.load(str(tmp_path / "exported"))
    np.testing.assert_allclose(exported.serve(x), model(x), rtol=1e-5, atol=1e-6)
    path = tf.train.Checkpoint(model=model).save(str(tmp_path / "checkpoint"))
    other = compiled(mlp(seed=1), getattr(keras.optimizers, optimizer)(0.01))
    other.optimizer.build(other.trainable_variables)
    tf.train.Checkpoint(model=other).restore(path).assert_consumed()
    assert_same_variables(other, model)


@TENSORFLOW
def test_a_checkpoint_written_while_a_hook_is_on_is_that_of_the_plain_optimizer(tmp_path):
    import tensorflow as tf

    model = compiled(mlp(), keras.optimizers.Adam(0.01))
    save = tf.train.Checkpoint(model=model).save
    during = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: save(str(tmp_path / "during")))
    fit(model, [RandomMask(0.75, remove=True), during], epochs=1)
    names = [name for name, _ in tf.train.list_variables(tf.train.latest_checkpoint(tmp_path))]
    plain = compiled(mlp(), keras.optimizers.Adam(0.01))
    fit(plain, epochs=1)
    path = tf.train.Checkpoint(model=plain).save(str(tmp_path / "plain"))
    assert names == [name for name, _ in tf.train.list_variables(path)]


@pytest.mark.fast_cases("only")
@pytest.mark.parametrize("choice", [{"skip": "fc1"}, {"only": "fc2, out"}], ids=["skip", "only"])
def test_the_choice_of_layers_is_in_the_file(choice, tmp_path):
    model = dlth.wrap(compiled(mlp()), **choice)
    fit(model, [RandomMask(0.75, remove=True)], epochs=1)
    model.save(tmp_path / "net.keras")
    again = dlth.keras3.load_model(tmp_path / "net.keras")
    assert list(masking.prunable_weights(again)) == ["fc2/kernel", "out/kernel"]
    fit(compiled(again), [RandomMask(0.5, remove=True)], epochs=1)
    assert removed(again) == {"fc2/kernel": 0.5}
    other = dlth.wrap(mlp(), skip="out")  # what the user chooses here is not overruled
    compiled(mlp()).save_weights(tmp_path / "net.weights.h5")
    other.load_weights(tmp_path / "net.weights.h5")
    assert list(masking.prunable_weights(other)) == ["fc1/kernel", "fc2/kernel"]


def test_models_inside_keep_the_masks_that_are_their_own(tmp_path):
    inside, plain = compiled(mlp()), keras.Sequential([keras.Input((3,)), L.Dense(3, name="plain")], name="second")
    fit(inside, [RandomMask(0.75, remove=True)], epochs=1)
    inputs = keras.Input((6,))
    dlth.wrap(keras.Model(inputs, plain(inside(inputs)))).save(tmp_path / "net.keras")
    loaded = dlth.keras3.load_model(tmp_path / "net.keras")
    first, second = (loaded.get_layer(each.name) for each in (inside, plain))
    assert removed(first) == removed(inside) == {"fc1/kernel": 0.75, "fc2/kernel": 0.75}
    assert dlth.strip(first) is first and not masking.has_masks(second)


def test_a_folder_is_read_like_a_file(tmp_path):
    model = compiled(mlp())
    fit(model, [RandomMask(0.75, remove=True)], epochs=1)
    keras.saving.save_model(model, tmp_path / "folder", zipped=False)
    again = dlth.keras3.load_model(tmp_path / "folder")
    assert removed(again) == removed(model) == zeros(again)
