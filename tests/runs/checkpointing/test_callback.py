"""When checkpoints are due, and what is no number."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking, stopping
from dlth_tf.runs.checkpointing.callback import CheckpointCallback, CheckpointInterval, NotFinite, first_not_finite

DATA = np.random.default_rng(0).standard_normal((24, 5)).astype(np.float32), np.arange(24) % 3


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


def saved_at(due: Callable[[int], bool], execution: int) -> list[int]:
    """The steps after which was saved, in two epochs of three."""
    model, saved = network(execution), []
    saver = CheckpointCallback("train", 6, 3, due, lambda: saved.append(int(model.optimizer.iterations.numpy())))
    model.fit(*DATA, batch_size=8, epochs=2, verbose=0, callbacks=[saver])
    return saved


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
    clock = CheckpointInterval(int(every[:-2]), every[-2:])
    assert saved_at(lambda steps: clock.due(steps, 3), execution) == expected


def test_minutes_are_counted_from_the_last_checkpoint(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("dlth_tf.runs.checkpointing.callback.time", SimpleNamespace(monotonic=lambda: now[0]))
    clock = CheckpointInterval(5, "min")
    assert not clock.due(10**9, 1) and not clock.due_between_phases()
    now[0] += 299
    assert not clock.due(1, 1)
    now[0] += 1
    assert clock.due(0, 1) and clock.due_between_phases()
    clock.saved()
    assert not clock.due(1, 1)
    assert not CheckpointInterval(1, "it").due_between_phases() and not CheckpointInterval(1, "ep").due_between_phases()


def test_a_request_to_stop_is_answered_at_the_next_step_with_a_checkpoint(monkeypatch):
    asked = iter([False, False, True, True])
    monkeypatch.setattr(stopping, "requested", lambda: next(asked))
    saved: list[int] = []
    model = network()
    saver = CheckpointCallback(
        "train", 6, 3, lambda steps: False, lambda: saved.append(int(model.optimizer.iterations.numpy()))
    )
    with pytest.raises(stopping.Stopped, match=r"^stopped after a checkpoint in phase train, step 3 of 6$"):
        model.fit(*DATA, batch_size=8, epochs=2, verbose=0, callbacks=[saver])
    assert saved == [3]


def saver_at(model: tf_keras.Model, step: int, before: int) -> tuple[CheckpointCallback, list[int]]:
    saved: list[int] = []
    saver = CheckpointCallback("train", 6, 3, lambda steps: True, lambda: saved.append(1))
    saver.set_model(model)
    saver.on_train_begin()
    model.optimizer.iterations.assign(step)
    saver.before = before
    return saver, saved


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(("before", "where"), [(1, "step 2:"), (0, "one of the steps 1 to 2:")])
def test_a_loss_that_is_no_number_ends_it_before_anything_is_saved(loss, before, where):
    saver, saved = saver_at(network(), 2, before)
    with pytest.raises(NotFinite, match=f"^the loss is {loss} in phase train, {where} a smaller"):
        saver.on_train_batch_end(1, {"loss": loss})
    assert saved == []
    saver.on_train_batch_end(1, {"loss": 1.0})
    assert saved == [1]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("moment", ["step", "epoch"])
def test_a_weight_that_is_no_number_is_named_and_never_saved(bad, moment):
    model = network()
    saver, saved = saver_at(model, 2, 1)
    bias = masking.named_weights(model)["b/bias"]
    bias.assign([0.0, bad, 0.0])
    with pytest.raises(
        NotFinite,
        match=r"^a weight is not a finite number in phase train, step 2; the first tensor that is not finite: b/bias: ",
    ):
        saver.on_train_batch_end(1, {"loss": 1.0}) if moment == "step" else saver.on_epoch_end(0, {})
    assert saved == [] and first_not_finite(model) == "b/bias"
    bias.assign([0.0, 0.0, 0.0])
    assert first_not_finite(model) is None


@pytest.mark.parametrize("name", ["val_loss", "test_loss"])
def test_a_loss_on_other_data_that_is_no_number_ends_it_too(name):
    """Weights may be finite and too large for any data; history could not be saved with it."""
    saver, saved = saver_at(network(), 3, 2)
    with pytest.raises(NotFinite, match=f"^{name} is inf in phase train, step 3: "):
        saver.on_epoch_end(0, {"loss": 1.0, "val_loss": 1.0, "test_loss": 1.0, name: float("inf")})
    assert saved == []
    saver.on_epoch_end(0, {"loss": 1.0, "val_loss": 1.0, "test_loss": 1.0})
    assert saved == [1]
