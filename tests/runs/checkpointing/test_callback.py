"""When a phase writes checkpoints, and that values that are not finite end it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking, stopping
from dlth_tf.methods import LearningRate, Phase
from dlth_tf.runs.checkpointing.callback import CheckpointCallback, NotFinite, first_not_finite
from dlth_tf.runs.checkpointing.interval import CheckpointInterval

DATA = np.random.default_rng(0).standard_normal((24, 5)).astype(np.float32), np.arange(24) % 3
PHASE = Phase("train", 6, 8, LearningRate((0.1,)))


def network(execution: int = 1) -> tf_keras.Model:
    model = dlth.wrap(
        tf_keras.Sequential([tf_keras.layers.Dense(4, input_shape=(5,), name="a"), tf_keras.layers.Dense(3, name="b")])
    )
    model.compile(
        dlth.optimizers.SGD(0.1),
        tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        steps_per_execution=execution,
    )
    return model


class Recorder:
    """Takes the place of a CheckpointManager, and notes the steps at which a checkpoint would be written."""

    def __init__(self, model: tf_keras.Model, due: Callable[[int, int], bool]) -> None:
        self.model = model
        self.due = due
        self.saved: list[int] = []

    def save(self, callbacks: Any) -> None:
        self.saved.append(int(self.model.optimizer.iterations.numpy()))


def saved_at(due: Callable[[int, int], bool], execution: int) -> list[int]:
    """The steps after which a checkpoint was written, in two epochs of three steps."""
    model = network(execution)
    recorder = Recorder(model, due)
    model.fit(*DATA, batch_size=8, epochs=2, verbose=0, callbacks=[CheckpointCallback(PHASE, 3, recorder)])
    return recorder.saved


@pytest.mark.fast_cases("2it-3-*", "2ep-1-*")
@pytest.mark.parametrize(
    ("every", "execution", "expected"),
    [
        ("1it", 1, [1, 2, 3, 4, 5, 6]),
        ("2it", 1, [2, 4, 6]),
        ("4it", 1, [4]),
        ("2it", 3, [3, 6]),
        ("1ep", 1, [3, 6]),
        ("2ep", 1, [6]),
        ("3ep", 1, []),
    ],
)
def test_steps_and_epochs_say_when(every, execution, expected):
    assert saved_at(CheckpointInterval.parse(every).due, execution) == expected


def test_a_request_to_stop_is_answered_at_the_next_step_with_a_checkpoint(monkeypatch):
    asked = iter([False, False, True, True])
    monkeypatch.setattr(stopping, "requested", lambda: next(asked))
    model = network()
    recorder = Recorder(model, lambda steps, per_epoch: False)
    with pytest.raises(stopping.Stopped, match=r"^stopped after a checkpoint in phase train, step 3 of 6$"):
        model.fit(*DATA, batch_size=8, epochs=2, verbose=0, callbacks=[CheckpointCallback(PHASE, 3, recorder)])
    assert recorder.saved == [3]


def saver_at(model: tf_keras.Model, step: int, before: int) -> tuple[CheckpointCallback, list[int]]:
    recorder = Recorder(model, lambda steps, per_epoch: True)
    saver = CheckpointCallback(PHASE, 3, recorder)
    saver.set_model(model)
    saver.on_train_begin()
    model.optimizer.iterations.assign(step)
    saver.before = before
    return saver, recorder.saved


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(("before", "where"), [(1, "step 2:"), (0, "one of the steps 1 to 2:")])
def test_a_loss_that_is_no_number_ends_it_before_anything_is_saved(loss, before, where):
    saver, saved = saver_at(network(), 2, before)
    with pytest.raises(NotFinite, match=f"^the loss is {loss} in phase train, {where} try a smaller") as stopped:
        saver.on_train_batch_end(1, {"loss": loss})
    assert str(stopped.value).endswith(
        "; all weights are still finite, so look at the images and labels of that step too"
    )
    assert str(pickle.loads(pickle.dumps(stopped.value))) == str(stopped.value)
    assert saved == []
    saver.on_train_batch_end(1, {"loss": 1.0})
    assert saved == [2]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("moment", ["step", "epoch"])
def test_a_weight_that_is_no_number_is_named_and_never_saved(bad, moment):
    model = network()
    saver, saved = saver_at(model, 2, 1)
    bias = masking.named_weights(model)["b/bias"]
    bias.assign([0.0, bad, 0.0])
    with pytest.raises(
        NotFinite,
        match=r"^a weight is not finite in phase train, step 2; the first tensor that is not finite: b/bias: ",
    ):
        saver.on_train_batch_end(1, {"loss": 1.0}) if moment == "step" else saver.on_epoch_end(0, {})
    assert saved == [] and first_not_finite(model) == "b/bias"
    bias.assign([0.0, 0.0, 0.0])
    assert first_not_finite(model) is None


@pytest.mark.parametrize("name", ["val_loss", "test_loss"])
def test_a_loss_on_other_data_that_is_no_number_ends_it_too(name):
    """Weights may be finite and too large for any data; the history could not be saved with such a loss."""
    saver, saved = saver_at(network(), 3, 2)
    with pytest.raises(NotFinite, match=f"^{name} is inf in phase train, step 3: "):
        saver.on_epoch_end(0, {"loss": 1.0, "val_loss": 1.0, "test_loss": 1.0, name: float("inf")})
    assert saved == []
    saver.on_epoch_end(0, {"loss": 1.0, "val_loss": 1.0, "test_loss": 1.0})
    assert saved == [3]
