"""Evaluation agrees with NumPy on the same network and counts every example once."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from dlth_tf.data import BatchFormat, Normalization, Split, evaluation_batches
from dlth_tf.runs import evaluation
from dlth_tf.runs.evaluation import Evaluator

UNIT = Normalization(1 / 255, (0.0,), (1.0,))


def split(count: int, seed: int) -> Split:
    draw = np.random.default_rng(seed)
    return Split(draw.integers(0, 256, (count, 4, 4, 1), dtype=np.uint8), draw.integers(0, 3, count))


@pytest.fixture(scope="module")
def model() -> tf_keras.Model:
    tf_keras.utils.set_random_seed(0)
    return tf_keras.Sequential(
        [
            tf_keras.Input((4, 4, 1)),
            tf_keras.layers.Flatten(),
            tf_keras.layers.Dense(5, "relu"),
            tf_keras.layers.Dense(3),
        ]
    )


def by_hand(model: tf_keras.Model, data: Split) -> tuple[float, float]:
    """(loss, accuracy) in float64."""
    kernel1, bias1, kernel2, bias2 = (weight.astype(np.float64) for weight in model.get_weights())
    hidden = np.maximum(data.images.reshape(len(data), -1) / 255 @ kernel1 + bias1, 0)
    logits = hidden @ kernel2 + bias2
    losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(data)), data.labels]
    return losses.mean(), (logits.argmax(1) == data.labels).mean()


def evaluator(model: tf_keras.Model, batch_size: int, **sets: Split) -> Evaluator:
    return Evaluator(
        model,
        {name: evaluation_batches(part, BatchFormat(UNIT), batch_size) for name, part in sets.items()},
    )


@pytest.mark.parametrize("most_kept", [0, evaluation.MOST_KEPT], ids=["streamed", "in memory"])
@pytest.mark.parametrize(
    "batch_size", [4, 11, 500], ids=["last batch smaller", "one batch", "batch larger than the set"]
)
def test_it_agrees_with_numpy(model, batch_size, most_kept, monkeypatch):
    monkeypatch.setattr(evaluation, "MOST_KEPT", most_kept)
    sets = {"val": split(11, 1), "test": split(30, 2)}
    found = evaluator(model, batch_size, **sets)()
    assert list(found) == ["val_loss", "val_accuracy", "test_loss", "test_accuracy"]
    for name, data in sets.items():
        loss, accuracy = by_hand(model, data)
        assert found[f"{name}_loss"] == pytest.approx(loss, rel=1e-6)
        assert found[f"{name}_accuracy"] == accuracy


def test_one_wrong_label_costs_one_example(model):
    data = split(11, 1)
    right = model(UNIT(data.images)).numpy().argmax(1)
    wrong = right.copy()
    wrong[10] = (wrong[10] + 1) % 3  # in the last, smaller batch
    assert evaluator(model, 4, test=Split(data.images, right))()["test_accuracy"] == 1.0
    assert evaluator(model, 4, test=Split(data.images, wrong))()["test_accuracy"] == 10 / 11


def test_sets_in_memory_are_evaluated_to_the_same_bits_as_streamed_ones(model, monkeypatch):
    sets = {"val": split(11, 1), "test": split(30, 2)}
    in_memory = evaluator(model, 4, **sets)()
    monkeypatch.setattr(evaluation, "MOST_KEPT", 0)
    assert evaluator(model, 4, **sets)() == in_memory


def test_small_sets_are_read_once(model):
    opened = []

    class Counted:
        """A data set that notes when it is read."""

        def __init__(self, batches: tf.data.Dataset) -> None:
            self.batches = batches

        def __iter__(self):
            opened.append("read")
            return iter(self.batches)

    measure = Evaluator(model, {"test": Counted(evaluation_batches(split(30, 2), BatchFormat(UNIT), 4))})
    assert measure() == measure() == measure() and opened == ["read"]


def test_repeated_calls_agree_until_the_network_changes(model):
    measure = evaluator(model, 4, val=split(11, 1), test=split(30, 2))
    first = measure()
    assert measure() == first == measure()
    weights = model.get_weights()
    model.set_weights([-weight for weight in weights])
    changed = measure()
    model.set_weights(weights)
    assert changed != first == measure()


def test_the_networks_own_training_state_is_left_alone():
    model = tf_keras.Sequential(
        [
            tf_keras.Input((4, 4, 1)),
            tf_keras.layers.Flatten(),
            tf_keras.layers.BatchNormalization(),
            tf_keras.layers.Dense(3),
        ]
    )
    before = [weight.copy() for weight in model.get_weights()]
    evaluator(model, 4, test=split(11, 1))()
    assert all(np.array_equal(one, other) for one, other in zip(before, model.get_weights(), strict=True))
