"""RSTPenalty interrupted and resumed."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking
from tests.callbacks.transforming import StopAfter, chosen, penalty, refused, transform
from tests.masking.networks import (
    batches,
    compiled,
    kept_whole,
    largest_removed,
    mlp,
    same,
    weights,
)


def interrupted(model: tf_keras.Model, after: int) -> tf_keras.Model:
    with pytest.raises(RuntimeError, match=f"the transformation ended after {after} of 17 steps: nothing was removed"):
        transform(model, penalty(), per_epoch=17, extra=[StopAfter(after)])
    return model


def test_an_interrupted_transformation_removes_nothing():
    model = interrupted(compiled(chosen()), after=7)
    assert kept_whole(model) and masking.chosen_ticket(model) == masking.chosen_ticket(chosen())
    assert masking.installed(model) is None
    assert all((value != 0).all() for name, value in weights(model).items() if name.endswith("kernel"))


def test_early_stopping_removes_nothing():
    model = compiled(chosen())
    impatient = tf_keras.callbacks.EarlyStopping("loss", patience=0, min_delta=1e6)
    with pytest.raises(RuntimeError, match="ended after 10 of 17 steps"):
        transform(model, penalty(), extra=[impatient])
    assert kept_whole(model) and masking.installed(model) is None


@pytest.mark.parametrize("after", [1, 7])
def test_a_fit_in_two_parts_equals_one_fit_to_the_last_bit(after):
    whole = compiled(chosen())
    parts = interrupted(compiled(chosen()), after)
    transform(whole, penalty(), per_epoch=17)
    parts.fit(batches(17).skip(after), verbose=0, callbacks=[penalty(resume=True)])
    assert same(weights(parts), weights(whole)) and largest_removed(parts) == 0.0
    for ours, theirs in zip(parts.optimizer.variables, whole.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)


class Breaks(StopAfter):
    """Raises KeyboardInterrupt after some steps, so that `fit` ends without `on_train_end`."""

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations) >= self.steps:
            raise KeyboardInterrupt


def test_a_fit_that_broke_off_can_be_resumed():
    whole = compiled(chosen())
    broken = compiled(chosen())
    transform(whole, penalty(), per_epoch=17)
    with pytest.raises(KeyboardInterrupt):
        transform(broken, penalty(), per_epoch=17, extra=[Breaks(7)])
    assert kept_whole(broken)
    broken.fit(batches(17).skip(7), verbose=0, callbacks=[penalty(resume=True)])
    assert same(weights(broken), weights(whole)) and masking.installed(broken) is None


def test_resuming_with_a_fresh_optimizer_is_something_else():
    whole = compiled(chosen())
    parts = compiled(interrupted(compiled(chosen()), after=7))
    transform(whole, penalty(), per_epoch=17)
    parts.fit(batches(24).skip(7), verbose=0, callbacks=[penalty()])
    assert not same(weights(parts), weights(whole))


def test_a_transformation_goes_on_from_a_checkpoint_in_another_model(tmp_path):
    whole = compiled(chosen())
    first = interrupted(compiled(chosen()), after=7)
    other = compiled(dlth.wrap(mlp(seed=1)))
    transform(whole, penalty(), per_epoch=17)
    path = tf.train.Checkpoint(model=first, optimizer=first.optimizer).write(str(tmp_path / "ckpt"))
    tf.train.Checkpoint(model=other, optimizer=other.optimizer).read(path)
    other.fit(batches(17).skip(7), verbose=0, callbacks=[penalty(resume=True)])
    assert same(weights(other), weights(whole))


def test_what_is_left_decides_how_many_epochs_a_resumed_fit_needs():
    model = interrupted(compiled(chosen()), after=7)
    refused(
        model,
        [penalty(resume=True)],
        "epochs=1: are too few: 10 steps of transformation need 2 epochs of 5 steps",
        epochs=1,
    )
    transform(model, penalty(resume=True), epochs=2)
    assert int(model.optimizer.iterations) == 17 and largest_removed(model) == 0.0


def test_resuming_what_is_complete_is_refused():
    model = compiled(chosen())
    transform(model, penalty(remove_at_end=False))
    refused(model, [penalty(resume=True)], "optimizer=17 steps old: has made all 17 steps already")
